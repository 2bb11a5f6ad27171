"""The table of actions: a step's `action` -> the record that reads its inputs. Other modules here: one file an action."""

from collections.abc import Mapping

from reconciler.documents.actions.download_content import DownloadContent
from reconciler.documents.actions.run_document import RunDocument
from reconciler.documents.actions.run_powershell_script import RunPowerShellScript
from reconciler.documents.actions.run_shell_script import RunShellScript
from reconciler.documents.preconditions import Support

ACTIONS: Mapping[str, type[DownloadContent | RunDocument | RunPowerShellScript | RunShellScript]] = {
    action.name: action for action in (DownloadContent, RunDocument, RunPowerShellScript, RunShellScript)
}

NOT_ON_LINUX = frozenset(
    {"aws:applications", "aws:psModule", "aws:updateAgent", "aws:cloudWatch", "aws:configureDaemon"},
)
"""Known to SSM's agent, and not for Linux: skipped by schema 2.2, a failure in older ones."""

NOT_YET = frozenset(
    {
        "aws:configureDocker",
        "aws:configurePackage",
        "aws:domainJoin",
        "aws:refreshAssociation",
        "aws:runDockerAction",
        "aws:softwareInventory",
    }
)
"""They run on Linux, and not here yet: a document that would run one waits."""

AGENT_ONLY = frozenset({"aws:updateSsmAgent"})
"""Their subject does not exist here: skipped, with a note."""


def support_of(action: str) -> Support:
    """Say what is known about an action."""
    if action in ACTIONS or action in NOT_YET or action in AGENT_ONLY:
        return Support.HERE
    return Support.NOT_HERE if action in NOT_ON_LINUX else Support.UNKNOWN
