"""The corpus of hostile strings wherever a node or a repository may speak, and every command that shows any of it."""

import json
import re
import signal
import socket
import subprocess
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.cli.commands import Answer, Host
from tests.support.git_over_ssh import git_over_ssh
from tests.support.hostile_strings import hostile_strings
from tests.support.nodes import TestNode, start_fleet
from tests.support.site import Site, nodes_yaml

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(600)]

TEXTS = [text.encode("utf-8", "replace").decode()[:4000] for text in hostile_strings().values()]
"""As text that may stand in a file: no half characters, and what one value may hold of a megabyte."""
ONE_LINE = [re.sub(r"[\n\r\0:\"'\\\t ]", "", text)[:200] for text in TEXTS]
"""As a line of passwd, of os-release and of dpkg-query takes it."""
RUNNERS = re.compile(r"^\s*::[\w-]*[g-z][\w-]*|##\w*\[", re.IGNORECASE)
REPO = "state-repository"
HIDDEN = {"Cc", "Cf", "Zl", "Zp"}
"""Control and format characters, and the separators that some programs take for a new line."""


def quoted(text: str) -> str:
    """Write it as YAML, every odd character escaped."""
    return (
        '"' + "".join(f"\\U{ord(c):08x}" if ord(c) > 0xFFFF else json.dumps(c)[1:-1] for c in text if c != "\0") + '"'
    )


ASSOCIATION = f"""\
AssociationName: hostile
Name: Hostile
Targets: [{{Key: 'tag:Role', Values: [web]}}]
Expect:
  Files: [{{Path: /etc/motd, Content: "ours\\n"}}, {{Path: {json.dumps("/etc/hostile/::error::x ##vso[a]<b>")}, State: absent}}]
  Packages: [{{Name: sudo, Version: '>= 99999'}}]
  Inventory: [{{Type: 'Custom:Rack', Count: '>= 5000'}}]
  Checks: ['cat /etc/hostile/words; cat /etc/hostile/words >&2; false']
"""

DOCUMENT = f"""\
schemaVersion: '2.2'
description: {quoted(" ".join(TEXTS)[:5000])}
parameters:
  words: {{type: String, default: {json.dumps("::error::x [bold]y[/] <b> ##vso[task.complete]")}}}
mainSteps:
  - name: complain
    action: aws:runShellScript
    inputs:
      runCommand: ['cat /etc/hostile/words', 'cat /etc/hostile/words >&2', 'echo {{{{ words }}}}', 'exit 3']
"""

TELLS = """#!/bin/sh
/usr/bin/dpkg-query.real "$@" && case $* in *db:Status*) cat /etc/hostile/packages;; esac
"""


UNITS = """#!/bin/sh
case $* in *list-units*) cat /etc/hostile/units;; *) exec /usr/bin/systemctl "$@";; esac
"""


def speak_in_units(node: TestNode) -> None:
    """Let a node name its units by the corpus, where systemd itself would refuse most of it, and truly where it would not."""
    (node.root / "etc/hostile").mkdir()
    rows = "".join(f"x{text}.service loaded active running {text}\n" for text in ONE_LINE)
    (node.root / "etc/hostile/units").write_text(rows)
    (node.root / "usr/local/bin/systemctl").write_text(UNITS)
    (node.root / "usr/local/bin/systemctl").chmod(0o755)


def refuse(connection: socket.socket) -> None:
    """Say the corpus where sshd would greet."""
    with connection, suppress(OSError):
        connection.sendall("\r\n".join(TEXTS).encode()[:60_000])
        connection.recv(1)


@contextmanager
def a_liar() -> Iterator[int]:
    """A server that is no sshd; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    refuse(server.accept()[0])

        server.settimeout(0.2)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            thread.join()


def hostile_remote(site: Site, bare: Path) -> list[str]:
    """Let a remote name its branches after the corpus, and refuse pushes with its words; gives the branches."""
    (bare / "words").write_text("\n".join(TEXTS))
    made: list[str] = []
    for text in ONE_LINE:
        name = re.sub(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|/+$|^/+|\.lock$|\.$", "", text)[:60].strip("/.")
        if name and not name.startswith("-") and name not in made:
            with suppress(subprocess.CalledProcessError):
                site.git("update-ref", f"refs/heads/{name}", "main", repo=bare)
                made.append(name)
    (bare / "hooks").mkdir(exist_ok=True)
    (bare / "hooks/pre-receive").write_text(f"#!/bin/sh\ncat {bare}/words {bare}/words >&2\nexit 1\n")
    (bare / "hooks/pre-receive").chmod(0o755)
    return made


@dataclass(frozen=True, kw_only=True)
class Place:
    """A management host over one hostile node and a hostile repository."""

    site: Site
    host: Host
    node: TestNode


def turn_hostile(node: TestNode) -> None:
    """Let the node say the corpus wherever it is asked."""
    etc = node.root / "etc"
    (etc / "hostile").mkdir()
    (etc / "hostile/words").write_text("\n".join(TEXTS))
    (etc / "hostile/::error::x ##vso[a]<b>").touch()
    (etc / "hostile/packages").write_text(
        "".join(f"ii \tx{text}\t1{text}\tall\n" for text in ONE_LINE if "\u2028" not in text)
    )
    with (etc / "passwd").open("a") as users:
        users.writelines(f"u{n}{text}:x:{7000 + n}:7000:{text}:/{text}:/{text}\n" for n, text in enumerate(ONE_LINE))
    release = (node.root / "usr/lib/os-release").read_text()
    name = "".join(text[:12] for text in ONE_LINE)
    (etc / "os-release").unlink()
    (etc / "os-release").write_text(re.sub("PRETTY_NAME=.*", lambda _: f'PRETTY_NAME="{name}"', release))
    (etc / "reconciler/inventory.d").mkdir(parents=True)
    rack = {"TypeName": "Custom:Rack", "SchemaVersion": "1.0", "Content": [{"Text": text} for text in TEXTS]}
    (etc / "reconciler/inventory.d/rack.json").write_text(json.dumps(rack))
    asked = node.root / "usr/bin/dpkg-query"
    asked.rename(asked.with_name("dpkg-query.real"))
    asked.write_text(TELLS)
    asked.chmod(0o755)
    (node.root / "home/ops/.bashrc").write_text("cat /etc/hostile/words; cat /etc/hostile/words >&2\n")
    (etc / "hostile/banner").write_text("\n".join(TEXTS))
    node.configure_sshd("Banner /etc/hostile/banner\n")
    node.run(["sh", "-c", r"printf 'h<b>[x](y)\033[31m::error::' >/proc/sys/kernel/hostname"], check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with start_fleet(folder / "nodes", count=2, systemd=1) as fleet, a_liar() as port:
        node, units = fleet.nodes
        turn_hostile(node)
        speak_in_units(units)
        site = Site(folder / "site", fleet)
        tags = "".join(f"  T{n:02}: {quoted(text[:200])}\n" for n, text in enumerate(TEXTS[:40]))
        site.commit({"state/fleet.yaml": "Fleet: example\n"})
        site.commit(
            {
                "state/nodes/web.yaml": nodes_yaml([node]).replace("Tags: {Role: web}", f"Tags:\n  Role: web\n{tags}"),
                "state/nodes/units.yaml": nodes_yaml([units], prefix="units"),
                "state/nodes/liar.yaml": f"Id: liar\nAddress: 127.0.0.1\nPort: {port}\nUser: ops\nIdentityFile: fleet\n",
                "state/known_hosts": fleet.known_hosts.strip()
                + f" ::error::comment<b>##vso[x]\n[127.0.0.1]:{port} {' '.join(node.host_key_line.split()[1:])}\n",
                "state/associations/hostile.yaml": ASSOCIATION,
                "state/associations/::error::,x ##vso[a]\u202e<b>.yaml": "# such a name\n",
                "documents/Hostile.yaml": DOCUMENT,
            },
            message="\n\n".join(TEXTS).replace("\0", "")[:60_000],
        )
        yield Place(site=site, host=Host(site.folder, site.settings.read_text()), node=node)


def assert_harmless(text: str) -> None:
    """No character is obeyed or hidden but the line feeds that we write, and no runner of builds finds a command."""
    odd = {char for char in text if char not in " \n" and unicodedata.category(char)[0] not in "LMNPS"}
    assert odd == set()
    assert [line for line in text.split("\n") if RUNNERS.search(line)] == []


def ran(place: Place, *arguments: str) -> Answer:
    answer = place.host.run(*arguments)
    assert answer.code in {0, 1, 2}, answer
    assert "Traceback" not in answer.err
    assert_harmless(answer.err)
    if "github" not in arguments:
        assert_harmless(answer.out)
    if "json" in arguments:
        assert answer.document()
    return answer


def assert_no_markup(page: str) -> None:
    """Markdown shows text: links lead to our own files alone, and the one tag is the break that we write."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page)
    inline = [child for token in tokens for child in (token, *(token.children or ()))]
    assert {child.type for child in inline} & {"image", "html_block", "fence", "s_open"} == set()
    assert {child.content for child in inline if child.type == "html_inline"} <= {"<br>"}
    links = [str(child.attrs["href"]) for child in inline if child.type == "link_open"]
    assert all(re.fullmatch(r"nodes/[0-9a-f]{2}/(?:web-01|units-01|liar)\.json", link) for link in links), links


def test_every_command_shows_the_corpus_and_obeys_none_of_it(place: Place) -> None:
    first = ran(place, "once", REPO)
    assert first.code == 2
    (place.node.root / "etc/reconciler/hold").write_text("\n".join(TEXTS)[:3000])
    (place.node.root / "etc/reconciler/hold").chmod(0o644)
    ran(place, "once", REPO, "--format", "json")
    assert "held" in ran(place, "once", REPO).out
    for n, text in enumerate(TEXTS[:8]):
        ran(
            place,
            "pause",
            "--reason",
            text.replace("\0", ""),
            "--node",
            "web-01",
            "--repo",
            REPO,
            *(("--format", "json") if n % 2 else ()),
        )
    (run,) = ran(place, "runs", "list", REPO, "--format", "json").document()["runs"]
    seen = 0
    for words in (
        *(("status", REPO), ("nodes", REPO), ("drift", REPO), ("report", REPO), ("plan", REPO), ("validate", REPO)),
        *(("explain", "web-01", "--repo", REPO), ("document", "validate", f"{REPO}/documents")),
        *(("document", "show", "Hostile", "--repo", REPO), ("runs", "list", REPO), ("locks", "list", REPO)),
        *(("runs", "show", run["run"], "--repo", REPO), ("runs", "output", run["run"], "--repo", REPO)),
        *(("inventory", "show", "web-01", "--repo", REPO), ("inventory", "collect", REPO)),
        *(
            ("inventory", "query", f"TABLE {table}".replace("TABLE", "SELECT * FROM"), "--repo", REPO)
            for table in ("packages", "users", "custom")
        ),
        *(("doctor", "web-01", "--repo", REPO), ("schedule", "next", "rate(30 minutes)")),
        ("plan", REPO, "--base", "HEAD~1", "--head", "HEAD"),
    ):
        for form in ((), ("--format", "json")):
            answer = ran(place, *words, *form)
            seen += len(answer.out)
    assert seen > 100_000, "the corpus is shown"
    for form in ("plan", "plan --base HEAD~1 --head HEAD"):
        assert_no_markup(ran(place, *form.replace("plan", f"plan {REPO}").split(), "--format", "markdown").out)
    for line in ran(place, "validate", REPO, "--format", "github").out.splitlines():
        assert re.match(r"::(error|warning) file=[^,]*,line=\d+,col=\d+::", line) or not RUNNERS.search(line)
    states = ran(place, "nodes", REPO, "--format", "json").document()["nodes"]
    facts = ran(place, "inventory", "show", "units-01", "--repo", REPO, "--format", "json").document()["facts"]
    assert "unknown/services" in facts or any(key.startswith("services/x") for key in facts)
    assert "liar" in str(states)
    facts = ran(place, "inventory", "show", "web-01", "--repo", REPO, "--format", "json").document()["facts"]
    assert [entry["Text"] for entry in facts["custom/Custom:Rack"]] == TEXTS, "as they were said, to the letter"
    assert {"unknown/packages", "unknown/users", "unknown/os"}.isdisjoint(facts), "the node was believed in all of it"
    assert sum(key.startswith(("packages/x", "users/u")) for key in facts) > len(TEXTS)


def test_what_a_remote_says_and_calls_its_branches_is_shown(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real ssh, where a hook answers our push with the corpus, on the channel that git shows people as it comes."""
    with git_over_ssh(tmp_path) as served:
        monkeypatch.setenv("PATH", served.ssh_first_on_path(tmp_path / "bin", served.pushes))
        # With the reports and the lease: a new history would not lead nodes that have heard of this one's leaders.
        ran(place, "once", REPO)
        place.site.git(
            "push",
            "--quiet",
            str(served.remote.path),
            "refs/heads/*:refs/heads/*",
            "refs/reconciler/*:refs/reconciler/*",
        )
        served.remote.commit({"state/fleet.yaml": b"Fleet: example\nReports: {Remote: origin}\n"})
        branches = hostile_remote(place.site, served.remote.path)
        assert len(branches) > 10
        refused = ran(place, "once", served.url)
        assert "remote: " in refused.out + refused.err, "what the hook said"
        pushes = [line for line in served.asked.read_text().splitlines() if line.startswith("git-receive-pack")]
        assert len(pushes) == 2, "for the lease and for the report: what a hook refuses is no race, and not tried again"
        ran(place, "status", served.url, "--format", "json")
        for branch in branches[:3]:
            ran(place, "plan", served.url, "--base", "HEAD~1", "--head", branch)
        served.remote.git("symbolic-ref", "HEAD", f"refs/heads/{branches[0]}")
        ran(place, "validate", served.url)


@pytest.mark.parametrize("form", ["console", "json"])
def test_the_daemon_s_log_shows_it(place: Place, form: str) -> None:
    log = place.site.folder / f"{form}.log"
    daemon = place.site.start("daemon", ".", "--log-format", form, log=log)
    try:
        deadline = time.monotonic() + 120
        while not re.search(r'\] pass  |"event": "pass"', log.read_text()) and time.monotonic() < deadline:
            assert daemon.poll() is None, log.read_text()
            time.sleep(0.1)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=120)
    said = log.read_text()
    assert "paused" in said
    assert_harmless(said)
    if form == "json":
        assert all(isinstance(json.loads(line), dict) for line in said.splitlines())


def test_what_is_committed_is_text_and_no_markup(place: Place) -> None:
    ran(place, "once", REPO)
    assert_no_markup(place.site.git("show", "compliance:README.md"))
    for path in place.site.git("ls-tree", "-r", "--name-only", "compliance").splitlines():
        content = place.site.git("show", f"compliance:{path}")
        assert {char for char in content if unicodedata.category(char) in HIDDEN} <= {"\n"}, path
        if path.endswith(".json"):
            json.loads(content)
    for ref in ("refs/reconciler/heartbeat", "refs/reconciler/lease"):
        content = place.site.git("cat-file", "blob", ref)
        assert {char for char in content if unicodedata.category(char) in HIDDEN} == set(), ref
    messages = place.site.git("log", "--format=%B", "compliance")
    assert_harmless(messages)
    assert not re.search(r"(?<!\w)@\w|#\d|\[skip|://", messages)
