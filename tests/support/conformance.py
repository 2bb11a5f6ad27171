"""`python -m tests.support.conformance` writes docs/conformance.md: what the code's own tables hold, against Systems Manager.

A row is there because the code has it; what is said of it stands here. What the code does not have, or what is said of
nothing, is a KeyError or fails `tests/documents/test_conformance.py`.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reconciler.documents.actions import ACTIONS, LEFT_OUT, NOT_ON_LINUX, support_of
from reconciler.documents.preconditions import PLATFORM, Move, decide
from reconciler.model.known import JsonValue
from reconciler.rollout.node_programs import MOST_REBOOTS

FILE = Path(__file__).parents[2] / "docs/conformance.md"
SAME = "as on SSM"
NOT_HERE = "not on Linux"
ON_NODES = "tests/passes/test_actions_on_nodes.py"
REAL = "tests/rollout/test_runs_on_real_nodes.py"
DOWNLOADS = "tests/passes/test_downloads_on_nodes.py"
DOCKER = "tests/passes/test_docker_on_a_node.py"
INVENTORY = "tests/passes/test_inventory_and_refresh_on_nodes.py"
MODEL = "tests/passes/test_documents_against_a_model.py::test_fifteen_documents_end_as_the_model_says"
REBOOTS = "tests/passes/test_reboots.py"
COMMANDS = "tests/passes/test_commands.py"
SENT = f"{COMMANDS}::test_a_command_runs_on_its_targets_is_told_and_recorded"

Said = tuple[str, str]
"""What is so, and the test on a node that shows it; empty: none does."""

LIFE = f"{DOCKER}::test_a_container_lives_and_goes_by_the_actions_of_ssm"
ARRIVES = f"{DOWNLOADS}::test_bytes_of_any_kind_arrive_as_they_were"
INNER = f"{ON_NODES}::test_a_document_runs_another_of_the_repository"
POWERSHELL = f"{ON_NODES}::test_powershell_gets_the_script_as_from_ssms_agent"
LISTED = f"{INVENTORY}::test_files_that_the_inputs_name_are_in_the_committed_inventory"
ASKED = f"{INVENTORY}::test_associations_are_run_once_by_the_next_pass_when_a_step_asks_for_them"
INSTALLS = "tests/passes/test_packages_on_nodes.py::test_a_package_is_installed_updated_and_taken_away"
PATCHED = "tests/passes/test_patches_are_installed.py::test_exactly_the_approved_versions_are_installed"
HOOKED = "tests/passes/test_patches_are_installed.py::test_hooks_run_around_the_install_and_the_reboot_and_only_the_last_where_nothing_is_missing"
OTHER_LISTS = "tests/passes/test_patches_by_other_lists.py"
INPUTS = "tests/passes/test_inputs_on_nodes.py"
SIGNALLED = f"{INPUTS}::test_a_script_that_a_signal_ends_fails_and_the_next_step_runs"
OLD = f"{INPUTS}::test_a_precondition_in_schema_1_2_fails_its_plugin"
FOREIGN = f"{INPUTS}::test_actions_that_this_node_cannot_do_are_skipped"
TYPES = f"{INPUTS}::test_every_type_of_parameter_is_what_its_caller_gave"
ELSEWHERE = f"{DOWNLOADS}::test_the_bundled_document_for_documents_that_lie_elsewhere"
INSTALLED = f"{DOCKER}::test_docker_is_installed_and_removed_from_the_distributions_packages"

HELD = (
    "a child that holds the output is waited for about 1 s, where the agent waits until the time-out; each output is cut"
    " at 10 MiB"
)

ACTIONS_SAID: Mapping[str, Said] = {
    "aws:configureDocker": ("differs: the distribution's own package, on more systems", INSTALLED),
    "aws:downloadContent": (
        "differs: the management host fetches, and the plan pins it; links, submodules and git over http:// are refused",
        ARRIVES,
    ),
    "aws:refreshAssociation": ("differs: the next pass runs what it names", ASKED),
    "aws:runDockerAction": ("differs: podman where the node has no docker", LIFE),
    "aws:runDocument": (
        "differs: the outputs of inner steps stand in the order of steps, and a cancel reaches them",
        INNER,
    ),
    "aws:runPowerShellScript": (f"differs: {HELD}", POWERSHELL),
    "aws:runShellScript": (
        f"differs: {HELD}; HOME is set, where the agent has none",
        f"{REAL}::test_a_document_runs_as_root_in_clean_surroundings",
    ),
    "aws:softwareInventory": (
        "differs: files and custom types are added to the inventory that every pass makes",
        LISTED,
    ),
    "aws:configurePackage": ("differs: packages are the state repository's, or a pinned zip elsewhere", INSTALLS),
    "aws:updateSsmAgent": (
        "differs: skipped, there is no agent",
        f"{ON_NODES}::test_there_is_no_agent_to_update_and_the_step_says_so",
    ),
    "aws:domainJoin": ("differs: skipped, no directory service is joined", FOREIGN),
    "reconciler:runPatchBaseline": ("not on SSM: it is behind AWS-RunPatchBaseline", PATCHED),
}

SCRIPT_INPUTS: Mapping[str, Said] = {
    "runCommand": ("differs: a StringList inside the list is flattened, where the agent fails the step", SENT),
    "timeoutSeconds": (
        SAME,
        f"{COMMANDS}::test_too_long_is_an_error_and_a_failure_is_incomplete_where_more_are_tolerated",
    ),
    "workingDirectory": (
        "differs: without one, and without downloads, the folder is /",
        f"{DOWNLOADS}::test_the_bundled_document_for_remote_scripts",
    ),
    "environment": (SAME, f"{INPUTS}::test_the_environment_input_reaches_scripts_as_it_is"),
}

INPUTS_SAID: Mapping[str, Mapping[str, Said]] = {
    "aws:runShellScript": SCRIPT_INPUTS,
    "aws:runPowerShellScript": {**SCRIPT_INPUTS, "runCommand": (SCRIPT_INPUTS["runCommand"][0], POWERSHELL)},
    "aws:runDocument": {
        "documentType": (
            "differs: LocalPath runs what an earlier step of the run downloaded, unchanged, and nothing else",
            ELSEWHERE,
        ),
        "documentPath": (SAME, INNER),
        "documentParameters": (SAME, INNER),
    },
    "aws:downloadContent": {
        "sourceType": (SAME, ARRIVES),
        "sourceInfo": (
            "differs: secrets are the host settings', each for its servers, and a password is never taken in plain text",
            ARRIVES,
        ),
        "destinationPath": ("differs: a path with .. in it is refused", f"{DOWNLOADS}::test_the_destination_is_ssms"),
    },
    "aws:configureDocker": {
        "action": (SAME, INSTALLED),
        "timeoutSeconds": (SAME, f"{INPUTS}::test_the_installation_of_docker_ends_when_its_time_is_over"),
    },
    "aws:configurePackage": {
        **dict.fromkeys(("name", "action", "version", "installationType"), (SAME, INSTALLS)),
        "additionalArguments": ("differs: a map is taken as well, where the agent drops it", INSTALLS),
        "timeoutSeconds": (
            SAME,
            "tests/passes/test_packages_on_nodes.py::test_a_script_of_a_package_ends_when_its_time_is_over",
        ),
    },
    "reconciler:runPatchBaseline": {
        **dict.fromkeys(("operation", "rebootOption"), (SAME, PATCHED)),
        "snapshotId": ("differs: the plan freezes what is approved", PATCHED),
        "installOverrideList": (
            "differs: the management host fetches it",
            f"{OTHER_LISTS}::test_a_command_installs_what_a_list_over_https_names_and_nothing_else",
        ),
        "baselineOverride": (
            "differs: the management host fetches it",
            f"{OTHER_LISTS}::test_a_command_follows_a_baseline_override_over_https",
        ),
        "baselineTags": (SAME, f"{OTHER_LISTS}::test_an_association_goes_by_the_baseline_that_its_tags_choose"),
        "endIfNothing": ("not on SSM", HOOKED),
        "repair": (
            "not on SSM",
            "tests/rollout/test_patch_installs_with_faults.py::test_what_somebody_else_left_unfinished_is_repaired_only_where_asked",
        ),
        "oldKernels": (
            "not on SSM",
            "tests/rollout/test_patch_installs.py::test_old_kernels_are_told_and_removed_only_where_asked",
        ),
    },
    "aws:refreshAssociation": {"associationIds": ("differs: names of associations are taken as well", ASKED)},
    "aws:runDockerAction": {
        **dict.fromkeys(("action", "container", "image", "cmd", "user", "env", "volume"), (SAME, LIFE)),
        **dict.fromkeys(
            ("memory", "cpuShares", "publish", "timeoutSeconds", "workingDirectory"),
            (SAME, f"{INPUTS}::test_the_docker_client_hears_every_input_where_it_belongs"),
        ),
    },
    "aws:softwareInventory": {
        "files": (SAME, LISTED),
        "customInventory": (SAME, LISTED),
        "customInventoryDirectory": (
            "differs: the default is a folder of ours",
            f"{INVENTORY}::test_what_is_too_much_is_cut_or_left_out_and_said",
        ),
        **dict.fromkeys(
            ("applications", "awsComponents", "networkConfig", "services", "instanceDetailedInformation"),
            ("differs: every pass collects it, whatever this says", LISTED),
        ),
        **dict.fromkeys(("billingInfo", "windowsRoles", "windowsUpdates", "windowsRegistry"), (NOT_HERE, LISTED)),
    },
}

SAMPLES: Mapping[str, Mapping[str, JsonValue]] = {
    "aws:runShellScript": {"runcommand": ["id"]},
    "aws:runPowerShellScript": {"runcommand": ["id"]},
    "aws:runDocument": {"documenttype": "SSMDocument", "documentpath": "Inner"},
    "aws:downloadContent": {"sourcetype": "HTTP", "sourceinfo": {"url": "https://example.org/file"}},
    "aws:configureDocker": {"action": "Install"},
    "aws:configurePackage": {"name": "Package", "action": "Install"},
    "aws:refreshAssociation": {"associationids": []},
    "reconciler:runPatchBaseline": {"operation": "Scan"},
    "aws:runDockerAction": {"action": "Ps"},
    "aws:softwareInventory": {"applications": "Enabled"},
}

VALUES: Mapping[str, Said] = {
    "sourceType: Git": (SAME, f"{DOWNLOADS}::test_a_script_from_git_runs_at_the_commit_of_the_plan"),
    "sourceType: GitHub": (
        "differs: it is git over https from github.com",
        f"{DOWNLOADS}::test_a_script_from_github_runs_as_one_from_git_does",
    ),
    "sourceType: HTTP": (SAME, ARRIVES),
    "sourceType: S3": (SAME, f"{DOWNLOADS}::test_a_folder_of_a_bucket_arrives"),
    "sourceType: SSMDocument": (
        "differs: of the state repository",
        f"{DOWNLOADS}::test_the_bundled_document_runs_one_of_the_repository_too",
    ),
    "documentType: SSMDocument": ("differs: of the state repository", INNER),
    "documentType: LocalPath, of what an earlier step brought": (SAME, ELSEWHERE),
    "documentType: LocalPath, of what was changed since": (
        "differs: it fails, where the agent runs it",
        f"{DOWNLOADS}::test_a_document_that_was_changed_on_the_node_does_not_run",
    ),
    "documentType: LocalPath, of what only the node has": (
        "differs: it fails, where the agent runs it",
        f"{INPUTS}::test_a_document_that_only_the_node_has_does_not_run",
    ),
}

TYPES_SAID: Mapping[str, Said] = {
    "String": ("differs: more than one value is refused, where the agent takes the first", SENT),
    "StringList": (SAME, SENT),
    "Boolean": ("differs: a caller's true or false counts, where the agent takes the default", TYPES),
    "Integer": ("differs: a caller's number counts, where the agent takes the default", TYPES),
    "StringMap": (SAME, f"{DOWNLOADS}::test_the_bundled_document_for_remote_scripts"),
    "MapList": ("differs: a caller's list counts, where the agent takes the default", TYPES),
    "AWS::EC2::Instance::Id": ("differs: any text, as String", TYPES),
    "List<AWS::EC2::Instance::Id>": ("differs: any texts, as StringList", TYPES),
}

PRECONDITIONS: Mapping[str, tuple[str, Mapping[str, JsonValue] | None, str, str, Move]] = {
    "none": ("aws:runShellScript", None, "2.2", SAME, Move.RUN),
    "platformType is linux, in any case": (
        "aws:runShellScript",
        {"StringEquals": ["platformType", "LINUX"]},
        "2.2",
        SAME,
        Move.RUN,
    ),
    "platformType is another": (
        "aws:runShellScript",
        {"StringEquals": ["Windows", "platformType"]},
        "2.2",
        SAME,
        Move.SKIP,
    ),
    "a parameter has that value": ("aws:runShellScript", {"StringEquals": ["{{ p }}", "one"]}, "2.2", SAME, Move.RUN),
    "a parameter has another value": (
        "aws:runShellScript",
        {"StringEquals": ["{{ p }}", "One"]},
        "2.2",
        SAME,
        Move.SKIP,
    ),
    "nothing in it changes": ("aws:runShellScript", {"StringEquals": ["Linux", "Linux"]}, "2.2", SAME, Move.FAIL),
    "another operator": (
        "aws:runShellScript",
        {"StringNotEquals": ["platformType", "Windows"]},
        "2.2",
        SAME,
        Move.FAIL,
    ),
    "false beside unrecognised": (
        "aws:runShellScript",
        {"StringEquals": ["platformType", "Windows"], "Other": []},
        "2.2",
        SAME,
        Move.SKIP,
    ),
    "platformType against a parameter": (
        "aws:runShellScript",
        {"StringEquals": ["platformType", "{{ p }}"]},
        "2.2",
        SAME,
        Move.FAIL,
    ),
    "any, in schema 2.0": ("aws:runShellScript", {"StringEquals": ["platformType", "Linux"]}, "2.0", SAME, Move.FAIL),
    "any, in schema 1.2": ("aws:runShellScript", {"StringEquals": ["platformType", "Linux"]}, "1.2", SAME, Move.FAIL),
    "none, and an action that is not on Linux": ("aws:psModule", None, "2.2", SAME, Move.SKIP),
    "none, and an action that is not on Linux, in schema 2.0": ("aws:psModule", None, "2.0", SAME, Move.FAIL),
    "none, and an action that nobody knows": ("aws:nothing", None, "2.2", SAME, Move.FAIL),
    "false, and an action that nobody knows": (
        "aws:nothing",
        {"StringEquals": ["platformType", "Windows"]},
        "2.2",
        SAME,
        Move.SKIP,
    ),
}

EXITS: Mapping[str, tuple[str, str, str]] = {
    "0": ("Success", SAME, SENT),
    "168": ("Success without its stderr, and the steps after it are skipped", SAME, MODEL),
    "169": ("Failed, and the steps after it are skipped", SAME, MODEL),
    "194": (
        f"the node reboots and the step runs again, at most {MOST_REBOOTS} times; then Failed",
        "differs: past the limit it ends as Failed, where the agent never answers",
        f"{REBOOTS}::test_a_document_goes_on_after_the_reboot_it_asked_for",
    ),
    "137": (
        "TimedOut; Cancelled after a cancel",
        SAME,
        f"{REAL}::test_a_running_script_is_cancelled_with_its_children",
    ),
    "death by another signal than KILL": (
        "Failed, with 128 and the signal's number: 143 for TERM",
        "differs: the agent says -1; here it cannot be told from a script that ends with that number",
        SIGNALLED,
    ),
    "any other": ("Failed", SAME, f"{COMMANDS}::test_the_dispatch_stops_where_it_said"),
    "3010": (
        "the kernel keeps 8 bits of it, which are 194: the node reboots, and the step runs again",
        SAME,
        f"{REBOOTS}::test_an_exit_with_3010_reboots_as_194_does",
    ),
}


class Heard(dict[str, JsonValue]):
    """Inputs that note which of them are asked for."""

    def __init__(self, given: Mapping[str, JsonValue]) -> None:
        super().__init__(given)
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """Note and give."""
        self.names.add(key)
        return super().get(key, default)


def inputs_asked(action: str) -> set[str]:
    """Give the names (in lower case) of the inputs that an action's code asks for."""
    heard = Heard(SAMPLES[action])
    ACTIONS[action].from_inputs(heard)
    return heard.names


def _table(title: str, heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"\n## {title}\n\n"
    yield f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n"
    yield from (f"| {' | '.join(row)} |\n" for row in rows)


def _shown(test: str) -> str:
    return f"`{test}`" if test else "not exercised"


def _actions() -> Iterator[tuple[str, ...]]:
    for action in sorted((*ACTIONS, *LEFT_OUT)):
        what, test = ACTIONS_SAID[action]
        yield f"`{action}`", what, _shown(test)
    for action in sorted(NOT_ON_LINUX):
        yield f"`{action}`", f"{NOT_HERE}: skipped by schema 2.2, a failure in older ones", _shown(FOREIGN)


def _inputs() -> Iterator[tuple[str, ...]]:
    for action in sorted(ACTIONS):
        names = inputs_asked(action)
        for name, (what, test) in sorted(INPUTS_SAID[action].items()):
            names.remove(name.lower())
            yield f"`{action}`", f"`{name}`", what, _shown(test)
        for name in sorted(names):
            raise KeyError(f"{action} asks for {name}, and nothing is said of it")


def _preconditions() -> Iterator[tuple[str, ...]]:
    words = {Move.RUN: "runs", Move.SKIP: "skipped", Move.FAIL: "fails"}
    for what, (action, precondition, schema, said, _) in PRECONDITIONS.items():
        found = decide(
            action=action,
            support=support_of(action),
            schema_version=schema,
            precondition=precondition,
            values={"p": "one"},
        )
        # The documents made by chance are of schema 2.x.
        yield what, words[found.move], said, _shown(MODEL if schema.startswith("2") else OLD)


def page() -> str:
    """Give the page."""
    parts = [
        (
            "# Conformance\n\n"
            "What runs here of Systems Manager's Command documents, row by row from the tables in the code; generated by\n"
            "`python -m tests.support.conformance`. *Shown by* is a test on a real node; where there is none it says so.\n"
            f"Every node is `{PLATFORM}`.\n"
        ),
        *_table("Actions", ("Action", "Here", "Shown by"), _actions()),
        *_table("Inputs", ("Action", "Input", "Here", "Shown by"), _inputs()),
        *_table(
            "Values of inputs",
            ("Value", "Here", "Shown by"),
            ((f"`{name}`", what, _shown(test)) for name, (what, test) in VALUES.items()),
        ),
        *_table(
            "Parameter types",
            ("Type", "Here", "Shown by"),
            ((f"`{name}`", what, _shown(test)) for name, (what, test) in TYPES_SAID.items()),
        ),
        *_table("Preconditions", ("Precondition", "The step", "Here", "Shown by"), _preconditions()),
        *_table(
            "Exit codes",
            ("Code", "Comes to", "Here", "Shown by"),
            ((f"`{code}`", what, said, _shown(test)) for code, (what, said, test) in EXITS.items()),
        ),
    ]
    return "".join(parts)


def tests_named() -> set[str]:
    """Give every test that the page names."""
    said = [
        *ACTIONS_SAID.values(),
        *(row for rows in INPUTS_SAID.values() for row in rows.values()),
        *TYPES_SAID.values(),
    ]
    return {test for *_, test in (*said, *EXITS.values()) if test} | {
        MODEL,
        OLD,
        FOREIGN,
        *(test for _, test in VALUES.values()),
    } - {""}


def main() -> int:
    """Write the page."""
    FILE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
