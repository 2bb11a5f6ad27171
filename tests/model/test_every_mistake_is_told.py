"""Each mistake in a state repository: where it stands, what was met, what to do. All of them at once, in file order."""

import pytest

from reconciler.errors import DesiredStateError
from reconciler.model.read_state import desired_state, read_state
from tests.model.reading import ASSOCIATION, DIGEST, DOCUMENT, FILES, NODE, as_bytes, errors, lints, problems

NODE_FILE = "state/nodes/web.yaml"
MOTD = "state/associations/motd.yaml"
DOC = "documents/Motd.yaml"


def case(name: str, file: str, text: str | bytes, place: tuple[int, int], *words: str) -> object:
    return pytest.param(file, text, place, words, id=name)


@pytest.mark.parametrize(
    ("file", "text", "place", "words"),
    [
        case("a doubled key", NODE_FILE, NODE + "Id: other\n", (4, 1), "twice", "line 1, column 1", "keep one"),
        case("a tab", NODE_FILE, "Id: web-01\nTags:\n\tRole: web\n", (3, 1), "tab", "indent with blanks"),
        case("no UTF-8", NODE_FILE, b"Id: web-01\nUser: \xe9ric\n", (2, 7), "byte 17 is not UTF-8", "e9", "UTF-8"),
        case("UTF-16", NODE_FILE, NODE.encode("utf-16"), (1, 1), "UTF-16", "save it as UTF-8"),
        case("a byte order mark", NODE_FILE, "\ufeff" + NODE, (1, 1), "byte order mark", "without BOM"),
        case("a NUL", NODE_FILE, "Id: web\0-01\n", (1, 8), "NUL", "remove"),
        case("a NUL in quotes", NODE_FILE, 'Id: "web\\0-01"\n', (1, 5), "NUL", "remove"),
        case("a control character", NODE_FILE, "Id: web\x1b[31m\n", (1, 8), "control character", "U+001B"),
        case("a tag", NODE_FILE, "Id: !env NAME\n", (1, 5), "YAML tag", "!env"),
        case("a merge key", NODE_FILE, "<<: {Id: web-01}\n", (1, 1), "merge key", "write the keys out"),
        case("an alias without anchor", NODE_FILE, "Id: *nobody\n", (1, 5), "without its anchor", "*nobody"),
        case("an alias within itself", NODE_FILE, "Id: &x [*x]\n", (1, 9), "inside the very value", "*x"),
        case("a list as key", NODE_FILE, "[Id]: web-01\n", (1, 1), "key that is no plain text", "quotes"),
        case("no YAML", NODE_FILE, "Id: web: 01\n", (1, 8), "not YAML", "quotes"),
        case("a forgotten quote", DOC, 'schemaVersion: "2.2\nmainSteps:\n- name: "b"\n', (1, 16), "a quote that is opened here closes at line 3"),
        case("a forgotten quote before a comment", DOC, 'schemaVersion: "2.2\ndescription: x\nmainSteps:\n- name: "#!b"\n  action: x\n', (1, 16), "closes at line 4"),
        case("a forgotten quote before an empty one", DOC, 'schemaVersion: "2.2\ndescription: x\nmainSteps:\n- name: ""\n', (1, 16), "closes at line 4"),
        case("a forgotten quote in a text too long to be read twice", DOC, "# a long one\n" * 30_000 + 'schemaVersion: "2.2\nmainSteps:\n- name: "b"\n', (30_003, 10), "not YAML"),
        case("a forgotten quote before a backslash", DOC, 'schemaVersion: "2.2\nmainSteps:\n- name: \'\\d\'\n', (1, 16), "runs over keys to line 3"),
        case("a backslash in a text of two lines", DOC, 'schemaVersion: "2.2"\ndescription: "x\n  \\d"\n', (3, 3), "unknown escape"),
        case("a forgotten quote before the end of a document", DOC, 'schemaVersion: "2.2\nmainSteps:\n...\n', (1, 16), "not YAML"),
        case("a forgotten quote in JSON", "documents/J.json", '{"schemaVersion": "2.2,\n "mainSteps": []}\n', (1, 19), "a quote that is opened here closes at line 2", "a comma"),
        case("a comma that is missing after a text of two lines", "documents/J.json", '{"schemaVersion": "2.2\n",\n "mainSteps": 5 6}\n', (3, 17), "a comma"),
        case("a tab after a text of two lines", DOC, 'schemaVersion: "2.2"\ndescription: "x\n  y"\n\tmainSteps: []\n', (4, 1), "a tab"),
        case("an open bracket", NODE_FILE, "Id: web-01\nTags: {Role: web\n", (2, 7), "a bracket that is opened here is not closed", "brackets"),
        case("an open bracket before a key", NODE_FILE, "Id: web-01\nTags: [{Role: web}\n\nUser: ops\n", (2, 7), "is not closed before line 4"),
        case("a comma that is missing between brackets", NODE_FILE, "Id: web-01\nTags: {\n  Role: 'web'\n  Site: ams\n}\n", (4, 3), "not YAML"),
        case("a line that left its block", DOC, "schemaVersion: |\n  a\nb\n  c\nd: e: f\n", (3, 1), "left its block"),
        case("a line with a colon that left its block", DOC, "description: |\n  a\nsome (like: b)\n\n  # x\n  * c\n", (3, 1), "left its block"),
        case("words between keys after a block", DOC, "schemaVersion: >\n  a\njust words\nd: e\n", (3, 1), "left its block", "just words"),
        case("a colon after a block", DOC, "schemaVersion: |\n  a\nd: e: f\n", (3, 5), "not YAML", "colon"),
        case("no mapping", NODE_FILE, "- Id: web-01\n", (1, 1), "must be a mapping that describes a node"),
        case("an unknown key", NODE_FILE, NODE + "Prot: 22\n", (4, 1), "unknown key", "Prot", "did you mean Port?"),
        case("a key in the wrong case", NODE_FILE, NODE + "user: ops\n", (4, 1), "did you mean User?"),
        case("no id", NODE_FILE, "Address: h\n", (1, 1), "Id is missing", "add Id"),
        case("an empty key", NODE_FILE, NODE + "User:\n", (4, 6), "User: ", "is empty", "letters"),
        case("a quoted port", NODE_FILE, NODE + "Port: '22'\n", (4, 7), "whole number", "22", "without quotes"),
        case("port 0", NODE_FILE, NODE + "Port: 0\n", (4, 7), "at least 1", "0"),
        case("port 70000", NODE_FILE, NODE + "Port: 70000\n", (4, 7), "at most 65535"),
        case("an octal port", NODE_FILE, NODE + "Port: 0777\n", (4, 7), "whole number", "0777"),
        case("an id with a slash", NODE_FILE, "Id: a/b\nAddress: h\n", (1, 5), "not a node id", "a/b"),
        case("an id with a line end", NODE_FILE, 'Id: "ab\\n"\nAddress: h\n', (1, 5), "not a node id"),
        case("an upper-case user", NODE_FILE, NODE + "User: Ops\n", (4, 7), "not a user name", "Ops"),
        case("a user with a dash first", NODE_FILE, NODE + "User: -oProxy\n", (4, 7), "not a user name"),
        case("a key with a path", NODE_FILE, NODE + "IdentityFile: /root/k\n", (4, 15), "name of a key", "KeyDirectory"),
        case("a key above its folder", NODE_FILE, NODE + "IdentityFile: ..\n", (4, 15), "name of a key"),
        case("a key with a dash", NODE_FILE, NODE + "IdentityFile: -v\n", (4, 15), "name of a key"),
        case("Become: yes", NODE_FILE, NODE + "Become: yes\n", (4, 9), "one of none, sudo", "yes"),
        case("Mode: enforced", NODE_FILE, NODE + "Mode: enforced\n", (4, 7), "did you mean enforce?"),
        case("a list of tags", NODE_FILE, "Id: a\nAddress: h\nTags: [web]\n", (3, 7), "mapping of tag names"),
        case("a tag with a list", NODE_FILE, "Id: a\nAddress: h\nTags: {Role: [web]}\n", (3, 14), "Role: ", "one value"),
        case("a user in the address", NODE_FILE, "Id: a\nAddress: ops@h\n", (2, 10), "no user", "User: ops"),
        case("a port in the address", NODE_FILE, "Id: a\nAddress: h:22\n", (2, 10), "no port", "Port:"),
        case("brackets in the address", NODE_FILE, "Id: a\nAddress: '[::1]'\n", (2, 10), "no brackets"),
        case("an address that is an option", NODE_FILE, "Id: a\nAddress: -oProxyCommand=x\n", (2, 10), "dash"),
        case("half an IPv4 address", NODE_FILE, "Id: a\nAddress: 10.0.1\n", (2, 10), "not an IPv4 address"),
        case("a sexagesimal address", NODE_FILE, "Id: a\nAddress: 1:30\n", (2, 10), "no port"),
        case("leading zeros", NODE_FILE, "Id: a\nAddress: 010.0.0.1\n", (2, 10), "not an IPv4 address"),
        case("no IPv6 address", NODE_FILE, "Id: a\nAddress: fe80::1::2\n", (2, 10), "not an IPv6 address"),
        case("a blank in the address", NODE_FILE, "Id: a\nAddress: a b\n", (2, 10), "not a host name"),
        case("a newline in the address", NODE_FILE, 'Id: a\nAddress: "h\\n"\n', (2, 10), "not a host name"),
        case("no address", NODE_FILE, "Id: web-01\n", (1, 1), "Address is missing", "Transport: local"),
        case("a local node elsewhere", NODE_FILE, "Id: a\nTransport: local\nAddress: h\n", (3, 1), "no such key"),
        case("no gateway", NODE_FILE, NODE + "Gateway: web-02\n", (4, 10), "no node has this Id", "mean web-01?"),
        case("its own gateway", NODE_FILE, NODE + "Gateway: web-01\n", (4, 10), "circle: web-01 -> web-01"),
        case("two nodes", NODE_FILE, NODE + "---\nId: WEB-01\nAddress: h\n", (5, 5), "two nodes", "web.yaml:1"),
        case("a former id of another", NODE_FILE, NODE + "FormerIds: [WEB-01]\n", (4, 13), "bears or bore"),
        case("no text in a group", "state/groups/g.yaml", "Name: g\nResourceQuery: {}\n", (2, 16), "TagFilters is missing"),
        case("a rate that is none", "state/fleet.yaml", "Interval: 10 minutes\n", (1, 11), "not a rate", "rate(10"),
        case("a rate of 1 minutes", "state/fleet.yaml", "Interval: rate(1 minutes)\n", (1, 11), "rate(1 minute)"),
        case("a slow rate", "state/fleet.yaml", "Interval: rate(32 days)\n", (1, 11), "longer than 31 days"),
        case("an option as branch", "state/fleet.yaml", "Branch: --upload-pack=x\n", (1, 9), "branch's name"),
        case("a branch that climbs", "state/fleet.yaml", "Branch: a/../b\n", (1, 9), "branch's name"),
        case("one branch for both", "state/fleet.yaml", "Branch: compliance\n", (1, 9), "very branch they judge"),
        case("two fleets", "state/fleet.yaml", "Fleet: a\n---\nFleet: b\n", (3, 1), "second YAML document"),
        case("Suspend: yes", "state/fleet.yaml", "Suspend: yes\n", (1, 10), "true or false", "yes"),
        case("no breaker of 0", "state/fleet.yaml", "MaxChangedPerPass: 0\n", (1, 20), "a number from 1"),
        case("no document", MOTD, ASSOCIATION.replace("Name: Motd", "Name: Motdd"), (2, 7), "no such document", "mean Motd?"),
        case("no version", MOTD, ASSOCIATION + "DocumentVersion: '7'\n", (5, 18), "no such version", "7", "or one of 1"),
        case("version 0", MOTD, ASSOCIATION + "DocumentVersion: 0\n", (5, 18), "not a document's version"),
        case("another content", MOTD, ASSOCIATION + f"DocumentHash: {'0' * 64}\n", (5, 15), "is not what is pinned", DIGEST),
        case("half a hash", MOTD, ASSOCIATION + "DocumentHash: abc\n", (5, 15), "not a SHA-256", "sha256sum"),
        case("Sha1", MOTD, ASSOCIATION + f"DocumentHash: {DIGEST}\nDocumentHashType: Sha1\n", (6, 19), "Sha1", "not taken"),
        case("a kind of nothing", MOTD, ASSOCIATION + "DocumentHashType: Sha256\n", (5, 19), "pins nothing", "DocumentHash"),
        case("an ARN", MOTD, ASSOCIATION.replace("Name: Motd", "Name: arn:aws:ssm:::document/Motd"), (2, 7), "without an ARN"),
        case("no such parameter", MOTD, ASSOCIATION.replace("text:", "texts:"), (4, 14), "no such parameter", "mean text?"),
        case("a needed parameter", MOTD, ASSOCIATION.replace("text: [hello]", ""), (4, 13), "needs the parameter text"),
        case("two texts for a String", MOTD, ASSOCIATION.replace("[hello]", "[a, b]"), (4, 20), "one value, not 2"),
        case("a value not allowed", MOTD, ASSOCIATION.replace("[hello]", "[a], words: [a, c]"), (4, 36), "one of a, b", "c"),
        case("no value", MOTD, ASSOCIATION.replace("[hello]", ""), (4, 20), "text: no value"),
        case("no targets", MOTD, "AssociationName: abc\nName: Motd\nParameters: {text: [a]}\n", (1, 1), "names no targets"),
        case("an empty target", MOTD, ASSOCIATION.replace("[web]", "[]"), (3, 37), "means no node"),
        case("an unknown target", MOTD, ASSOCIATION.replace("tag:Role", "Role"), (3, 17), "key of targets", "tag:NAME"),
        case("* and more", MOTD, ASSOCIATION.replace("'tag:Role', Values: [web]", "InstanceIds, Values: ['*', a]"), (3, 38), "every node"),
        case("no group", MOTD, ASSOCIATION.replace("tag:Role", "resource-groups:Name"), (3, 50), "no group has this Name"),
        case("concurrency 0", MOTD, ASSOCIATION + "MaxConcurrency: 0\n", (5, 17), "percentage from 1%", "0"),
        case("concurrency 05%", MOTD, ASSOCIATION + "MaxConcurrency: 05%\n", (5, 17), "percentage from 1%"),
        case("errors of 101%", MOTD, ASSOCIATION + "MaxErrors: 101%\n", (5, 12), "percentage from 0%", "101%"),
        case("errors of 1.5", MOTD, ASSOCIATION + "MaxErrors: 1.5\n", (5, 12), "percentage from 0%", "1.5"),
        case("depends on nothing", MOTD, ASSOCIATION + "DependsOn: [motto]\n", (5, 13), "no association has this name"),
        case("depends on itself", MOTD, ASSOCIATION + "DependsOn: [motd]\n", (5, 12), "circle: motd -> motd"),
        case("target maps", MOTD, ASSOCIATION + "TargetMaps: [{a: [b]}]\n", (5, 1), "cannot be done", "one association"),
        case("an empty Expect", MOTD, ASSOCIATION + "Expect: {}\n", (5, 9), "Expect: this is empty"),
        case("a Mode of three digits", MOTD, ASSOCIATION + "Expect: {Files: [{Path: /a, Mode: 644}]}\n", (5, 35), "octal", "'0644'"),
        case("a relative path", MOTD, ASSOCIATION + "Expect: {Files: [{Path: etc/x}]}\n", (5, 25), "absolute path"),
        case("a path that climbs", MOTD, ASSOCIATION + "Expect: {Files: [{Path: /etc/../x}]}\n", (5, 25), "plain form", "write /x"),
        case("a doubled slash", MOTD, ASSOCIATION + "Expect: {Files: [{Path: //etc}]}\n", (5, 25), "write /etc"),
        case("content and checksum", MOTD, ASSOCIATION + f"Expect: {{Files: [{{Path: /a, Content: a, Sha256: '{'a' * 64}'}}]}}\n", (5, 49), "both say"),
        case("content of what is absent", MOTD, ASSOCIATION + "Expect: {Files: [{Path: /a, State: absent, Content: a}]}\n", (5, 44), "absent"),
        case("one file twice", MOTD, ASSOCIATION + "Expect: {Files: [{Path: /a}, {Path: /a, Mode: '0644'}]}\n", (5, 37), "named twice"),
        case("an operator of its own", MOTD, ASSOCIATION + "Expect: {Packages: [{Name: a, Version: '~> 1'}]}\n", (5, 40), "= >= <= > <"),
        case("a service and nothing", MOTD, ASSOCIATION + "Expect: {Services: [{Name: a}]}\n", (5, 21), "nothing is expected"),
        case("two kernels", MOTD, ASSOCIATION + "Expect: {Kernel: {Running: newest, Release: a}}\n", (5, 18), "takes one of"),
        case("a host name to listen on", MOTD, ASSOCIATION + "Expect: {Ports: [{Port: 22, Address: localhost}]}\n", (5, 38), "IP address"),
        case("an inventory of no type", MOTD, ASSOCIATION + "Expect: {Inventory: [{Type: Rack}]}\n", (5, 29), "inventory type"),
        case("a check that is a list", MOTD, ASSOCIATION + "Expect: {Checks: [[a]]}\n", (5, 19), "POSIX sh text"),
        case("a runbook", DOC, "schemaVersion: '0.3'\nmainSteps: []\n", (2, 12), "no list with steps in it"),
        case("a session", DOC, "schemaVersion: '1.0'\nsessionType: Shell\n", (1, 16), "Session document"),
        case("a stack", DOC, "schemaVersion: '1.0'\ntemplateBody: {Resources: {}}\n", (1, 16), "CloudFormation document"),
        case("a manifest", DOC, "schemaVersion: '2.0'\nversion: '1'\npackages: {}\nfiles: {}\n", (1, 16), "manifest"),
        case("schema 2.1", DOC, "schemaVersion: 2.1\n", (1, 16), "unsupported schemaVersion", "2.1", "2.2"),
        case("no schema", DOC, "mainSteps: []\n", (1, 1), "schemaVersion is missing"),
        case("a schema that is null", DOC, "mainSteps: []\nschemaVersion: null\n", (2, 16), "schemaVersion is no text", "null", "2.2"),
        case("a schema that is a list", DOC, "mainSteps: []\nschemaVersion: [2.2]\n", (2, 16), "schemaVersion is no text", "2.2"),
        case("no steps", DOC, "schemaVersion: '2.2'\n", (1, 1), "mainSteps is missing"),
        case("empty steps", DOC, "schemaVersion: '2.2'\nmainSteps: []\n", (2, 12), "empty"),
        case("no plugins", DOC, "schemaVersion: '1.2'\n", (1, 1), "runtimeConfig is missing"),
        case("two steps with one name", DOC, DOCUMENT + "  - {action: 'aws:x', name: say}\n", (7, 29), "one name", "line 6"),
        case("a step without action", DOC, DOCUMENT + "  - {name: b}\n", (7, 5), "action is missing"),
        case("an action that is a number", DOC, DOCUMENT + "  - {action: 5, name: b}\n", (7, 14), "an action is a text", "5"),
        case("an action that is true", DOC, DOCUMENT + "  - {action: true, name: b}\n", (7, 14), "an action is a text", "true"),
        case("properties that are a number", DOC, "schemaVersion: '1.2'\nruntimeConfig: {'aws:x': {properties: 5}}\n", (2, 39), "neither a mapping", "5"),
        case("properties that are words", DOC, "schemaVersion: '1.2'\nruntimeConfig: {'aws:x': {properties: echo {{ a }}}}\n".replace("echo {{ a }}", "'echo {{ a }}'"), (2, 39), "neither a mapping", "echo"),
        case("a name with a blank", DOC, DOCUMENT + "  - {action: 'aws:x', name: a b}\n", (7, 29), "step's name"),
        case("inputs that are text", DOC, DOCUMENT + "  - {action: 'aws:x', name: b, inputs: c}\n", (7, 40), "mapping of inputs"),
        case("a parameter with _", DOC, DOCUMENT.replace("  text:", "  a_b: {type: String}\n  text:"), (3, 3), "letters and digits"),
        case("a parameter of no type", DOC, DOCUMENT.replace("{type: String,", "{"), (3, 9), "type is missing"),
        case("a parameter of odd type", DOC, DOCUMENT.replace("{type: String,", "{type: Text,"), (3, 16), "parameter's type"),
        case("a list for the environment", DOC, DOCUMENT.replace("{type: String,", "{type: StringList, interpolationType: ENV_VAR,"), (3, 47), "ENV_VAR is for parameters of type String alone"),
        case("a misspelt environment", DOC, DOCUMENT.replace("{type: String,", "{type: String, interpolationType: ENVVAR,"), (3, 43), "known is ENV_VAR alone", "ENVVAR", "ENV_VAR"),
        case("a limit that is a word", DOC, DOCUMENT.replace("{type: String,", "{type: String, maxChars: many,"), (3, 34), "maxChars: not a whole number", "many"),
        case("a limit with a fraction", DOC, DOCUMENT.replace("{type: String,", "{type: String, minItems: 1.5,"), (3, 34), "minItems: not a whole number", "1.5"),
        case("a limit that is a list", DOC, DOCUMENT.replace("{type: String,", "{type: String, minChars: [1],"), (3, 34), "minChars: not a whole number"),
        case("a pattern that is none", DOC, DOCUMENT.replace("'[a-z]*'", "'[a-z'"), (3, 40), "allowedPattern is no regular expression", "not closed", "Java"),
        case("schema 2.0 and the environment", DOC, DOCUMENT.replace("2.2", "2.0").replace("{type: String,", "{type: String, interpolationType: ENV_VAR,"), (3, 43), "schema 2.0 has no ENV_VAR", "2.2"),
        case("two documents", DOC, DOCUMENT + "---\na: b\n", (8, 1), "second YAML document"),
        case("an empty document", DOC, "", (1, 1), "empty"),
        case("a plain secret", "state/parameters/p.yaml", "Name: a\nType: SecureString\nValue: hunter2\n", (3, 1), "plain text", "[not shown]"),
        case("a reserved name", "state/parameters/p.yaml", "Name: /aws/x\nType: String\nValue: a\n", (1, 7), "reserved"),
        case("a nested reference", "state/parameters/p.yaml", "Name: a\nType: String\nValue: '{{ssm:b}}'\n", (3, 8), "do not nest"),
        case("one parameter twice", "state/parameters/p.yaml", "Name: a\nType: String\nValue: b\n---\nName: /a\nType: String\nValue: c\n", (5, 7), "two parameters"),
        case("a cutoff too long", "state/windows/w.yaml", "Name: abc\nSchedule: cron(0 2 ? * SUN *)\nDuration: 2\nCutoff: 2\n", (4, 9), "no time"),
        case("a rule without delay", "baselines/b.yaml", "Name: abc\nOperatingSystem: SUSE\nApprovalRules: {PatchRules: [{PatchFilterGroup: {PatchFilters: []}}]}\n", (3, 30), "one of ApproveAfterDays"),
        case("an odd rejection", "baselines/b.yaml", "Name: abc\nRejectedPatches: [{Owner: me}]\n", (2, 19), "Id is missing"),
        case("a rejection of a list", "baselines/b.yaml", "Name: abc\nRejectedPatches: [[a]]\n", (2, 19), "a patch, or a mapping"),
        case("no calendar", "state/calendars/c.ics", "hello\n", (1, 1), "not a calendar"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_place_value_and_remedy(
    file: str, text: str | bytes, place: tuple[int, int], words: tuple[str, ...]
) -> None:
    found = errors(FILES | {file: text})
    told = [str(problem) for problem in found if problem.file == file and (problem.line, problem.column) == place]
    assert any(all(word in line for word in words) for line in told), "\n".join(map(str, found))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('Name: a\nType: SecureString\nValue: "hunter2\n', id="an open quote"),
        pytest.param("Name: a\nType: SecureString\nValue: hunter2: x\n", id="a colon"),
        pytest.param("Name: a\nType: SecureString\n\tValue: hunter2\n", id="a tab"),
        pytest.param("Name: a\nValue: [hunter2\nType: SecureString\n", id="before its type"),
        pytest.param("Name: a\nType: SecureString\nValue: *hunter2\n", id="an alias of nothing"),
        pytest.param("Name: a\nType: SecureString\nValue: !hunter2 x\n", id="a tag"),
        pytest.param("Name: a\nType: SecureString\nValue: {hunter2: x}\n", id="a mapping"),
        pytest.param("Name: a\nType: SecureString\nValue: a\nhunter2\n", id="a second line"),
    ],
)
def test_a_file_with_a_secret_that_is_no_yaml_is_not_quoted(text: str) -> None:
    found = errors(FILES | {"state/parameters/p.yaml": text})
    assert found
    assert "hunter2" not in "\n".join(map(str, found))


def test_all_mistakes_are_told_at_once_and_in_file_order() -> None:
    found = errors(
        FILES
        | {
            NODE_FILE: "Id: a b\nAddress: ops@h\nPort: 0\nGateway: gone\n---\n" + NODE + "---\n" + NODE,
            MOTD: "AssociationName: motd\nName: Gone\nTargets: [{Key: tag, Values: x}]\nDependsOn: [nobody]\n",
            DOC: DOCUMENT + "  - {name: say}\n",
        }
    )
    assert [(problem.file, problem.line) for problem in found] == [
        (DOC, 7),  # no action
        (DOC, 7),  # the name is taken
        (MOTD, 2),
        (MOTD, 3),  # the key
        (MOTD, 3),  # the value is no list
        (MOTD, 4),
        (NODE_FILE, 1),
        (NODE_FILE, 2),
        (NODE_FILE, 3),
        (NODE_FILE, 4),
        (NODE_FILE, 10),
    ]


def test_a_broken_file_is_not_told_again_where_it_is_used() -> None:
    found = errors(FILES | {DOC: "schemaVersion: '2.2'\nmainSteps: 3\n", NODE_FILE: NODE + "Port: x\n"})
    assert {problem.file for problem in found} == {DOC, NODE_FILE}


def test_a_circle_of_dependencies_is_named() -> None:
    def association(name: str, before: str) -> str:
        return ASSOCIATION.replace(": motd", f": {name}") + f"DependsOn: [{before}]\n"

    found = errors(
        FILES
        | {
            "state/associations/three.yaml": "---\n".join(
                map(association, ("one", "two", "six"), ("two", "six", "one"))
            )
        }
    )
    assert [problem.message for problem in found] == ["DependsOn goes in a circle: one -> two -> six -> one"]


def test_a_message_stays_short_whatever_the_names_are() -> None:
    long = "x" * 100_000
    named = ASSOCIATION.replace(": motd", f": {long}") + f"DependsOn: [{long}]\n"
    wanting = ASSOCIATION.replace(": motd", ": other") + f"DependsOn: [{long[:-1]}]\n"
    found = errors(FILES | {"state/associations/long.yaml": f"{named}---\n{wanting}"})
    assert {problem.message.split(":")[0] for problem in found} >= {
        "DependsOn goes in a circle",
        "DependsOn",
        "AssociationName",
    }
    assert all(len(str(problem)) < 1000 for problem in found)


def test_a_chain_of_ten_thousand_gateways_is_no_circle() -> None:
    chain = [f"Id: n{i}\nAddress: h\nGateway: n{i + 1}\n" for i in range(3000)]
    files = {f"state/nodes/{i}.yaml": node for i, node in enumerate(chain)} | {
        "state/nodes/z.yaml": "Id: n3000\nAddress: h\n"
    }
    assert errors(files) == []
    files["state/nodes/z.yaml"] += "Gateway: n1500\n"
    (found,) = errors(files)
    assert "gateways go in a circle: n1500 -> n1501" in found.message
    assert len(found.message) < 400


def test_problems_are_raised_together() -> None:
    files = as_bytes(FILES | {NODE_FILE: NODE + "Port: 0\nMode: x\n"})
    with pytest.raises(DesiredStateError) as refused:
        desired_state(files)
    assert refused.value.problems == read_state(files)[1]
    assert str(refused.value).count("\n") == 1


def test_a_schedule_is_held_against_the_checker_that_is_handed_in() -> None:
    files = as_bytes(FILES | {MOTD: ASSOCIATION + "ScheduleExpression: every day\n"})

    def check(text: str) -> tuple[list[str], list[str]]:
        return [f"{text}: no"], ["hm"]

    desired, found = read_state(files, check_schedule=check)
    assert desired is None
    assert [(p.line, p.column, p.message) for p in found] == [
        (5, 21, "ScheduleExpression: every day: no"),
        (5, 21, "ScheduleExpression: hm"),
    ]


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        pytest.param("state/nodes/more/a.yaml", NODE, ("not read", "state/nodes/"), id="a folder too deep"),
        pytest.param("state/fleet.yml", "Fleet: a\n", ("not read", "state/fleet.yaml"), id="another ending"),
        pytest.param("state/node/a.yaml", NODE, ("not read",), id="a misspelt folder"),
        pytest.param("documents/AWS-Mine.yaml", DOCUMENT, ("AWS's own", "another name"), id="a name of AWS"),
        pytest.param(MOTD, ASSOCIATION + "CalendarNames: [x]\n", ("not supported yet",), id="a gate to come"),
        pytest.param(MOTD, ASSOCIATION + "OutputLocation: {}\n", ("ignored",), id="an output elsewhere"),
        pytest.param(MOTD, ASSOCIATION + "RunOnChange: true\n", ("only with Expect",), id="a key that does nothing"),
        pytest.param(DOC, DOCUMENT + "onFailure: exit\n", ("unknown key", "ignored"), id="a stray key"),
        pytest.param(DOC, DOCUMENT.replace("mainSteps", "MainSteps"), ("case", "mainSteps"), id="the case of a key"),
        pytest.param("baselines/b.yaml", "Name: abc\nRejectedPatches: [x]\n", ("without Owner",), id="no reason"),
    ],
)
def test_a_doubt_keeps_nothing_from_being_accepted(file: str, text: str, words: tuple[str, ...]) -> None:
    files = FILES | {file: text}
    assert errors(files) == []
    assert any(all(word in str(problem) for word in words) for problem in lints(files)), problems(files)


def test_reasons_are_asked_for_where_the_fleet_says_so() -> None:
    files = {
        "state/fleet.yaml": "RequireReasons: true\n",
        "baselines/b.yaml": "Name: abc\nRejectedPatches: [x, {Id: y}]\n",
    }
    assert [(p.line, p.column, p.message) for p in errors(files)] == [
        (2, 19, "RejectedPatches: without Owner, Reason and Expires"),
        (2, 22, "RejectedPatches: without Owner and Reason and Expires"),
    ]


def test_files_that_nobody_takes_for_state_are_passed_over_in_silence() -> None:
    files: dict[str, str | bytes] = {
        "README.md": b"\xff",
        "state/nodes/README.md": "x",
        "state/.keep": "",
        "src/a.yaml": "\t",
        "documents/.x.yaml": "a",
    }
    assert problems({**FILES, **files}) == ()
