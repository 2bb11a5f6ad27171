"""What the AWS CLI has and this program has not, and what to write instead; takes a complaint of the parser, gives a remedy."""

import re
from collections.abc import Mapping
from typing import Final

_COMPLAINT: Final = re.compile(r"No such (?:option: |command ')(?P<word>[a-z0-9-]+)")

_ELSEWHERE: Final = "nothing here belongs to an account or a region: leave it out"

OPTIONS: Final[Mapping[str, str]] = {
    "--output": "write --format json",
    "--query": "write --format json, and give it to jq",
    **dict.fromkeys(
        ("--region", "--profile", "--endpoint-url", "--no-cli-pager", "--no-sign-request", "--output-s3-region"),
        _ELSEWHERE,
    ),
    "--cli-input-json": "write the options themselves; --parameters and --targets take file://PATH",
    "--document-hash-type": "leave it out: --document-hash is a SHA-256",
    "--cloud-watch-output-config": "there is no CloudWatch here: --output-s3-bucket-name keeps the whole output in a folder or bucket",
    **dict.fromkeys(
        ("--notification-config", "--service-role-arn"), "there are no notifications of commands: the exit code tells"
    ),
    "--alarm-configuration": "there are no alarms here: --max-errors and --max-unreachable stop a command",
}
"""Options of `aws ssm`, and of `aws` itself."""

COMMANDS: Final[Mapping[str, str]] = {
    "ssm": "leave it out: reconciler send-command ...",
    "describe-instance-information": "reconciler nodes",
    **dict.fromkeys(
        ("create-association", "update-association", "delete-association"),
        "associations are files, state/associations/NAME.yaml: commit, and reconciler plan shows what follows",
    ),
    **dict.fromkeys(("list-associations", "describe-association"), "reconciler status, or reconciler explain NODE"),
    "start-associations-once": "reconciler apply ASSOCIATION",
    **dict.fromkeys(
        ("create-document", "update-document", "delete-document", "list-documents", "update-document-default-version"),
        "documents are files, documents/NAME.yaml: commit, and reconciler document validate looks at them",
    ),
    **dict.fromkeys(("get-document", "describe-document"), "reconciler document show NAME"),
    **dict.fromkeys(
        ("put-parameter", "get-parameter", "get-parameters", "get-parameters-by-path", "describe-parameters"),
        "parameters are files, state/parameters/NAME.yaml",
    ),
    **dict.fromkeys(
        ("create-patch-baseline", "update-patch-baseline", "describe-patch-baselines", "get-patch-baseline"),
        "baselines are files, baselines/NAME.yaml",
    ),
    **dict.fromkeys(
        ("describe-instance-patches", "describe-instance-patch-states"),
        "reconciler patch list NODE, or reconciler status",
    ),
    **dict.fromkeys(
        ("get-inventory", "list-inventory-entries"), "reconciler inventory show NODE, or reconciler inventory query"
    ),
    **dict.fromkeys(("list-compliance-items", "list-compliance-summaries"), "reconciler status, or reconciler report"),
    "start-session": "ssh NODE: there are no sessions here",
    "start-automation-execution": "runbooks do not run here: write a Command document",
}
"""Commands of `aws ssm`."""


def remedy(complaint: str) -> str | None:
    """Give what to write in the place of an option or command of the AWS CLI; None where the word is none of these."""
    found = _COMPLAINT.match(complaint)
    if found is None:
        return None
    return {**OPTIONS, **COMMANDS}.get(found["word"])
