"""The table of actions: a step's `action` -> the record that reads its inputs. Other modules here: one file an action."""

from collections.abc import Mapping

from reconciler.documents.actions.configure_docker import ConfigureDocker
from reconciler.documents.actions.configure_package import ConfigurePackage
from reconciler.documents.actions.download_content import DownloadContent
from reconciler.documents.actions.refresh_association import RefreshAssociation
from reconciler.documents.actions.run_docker_action import RunDockerAction
from reconciler.documents.actions.run_document import RunDocument
from reconciler.documents.actions.run_patch_baseline import RunPatchBaseline
from reconciler.documents.actions.run_powershell_script import RunPowerShellScript
from reconciler.documents.actions.run_shell_script import RunShellScript
from reconciler.documents.actions.software_inventory import SoftwareInventory
from reconciler.documents.own_script import Scripted
from reconciler.documents.preconditions import Support

ACTIONS: Mapping[
    str, type[ConfigurePackage] | type[DownloadContent] | type[RunDocument] | type[RunPatchBaseline] | type[Scripted]
] = {
    action.name: action
    for action in (
        ConfigureDocker,
        ConfigurePackage,
        DownloadContent,
        RefreshAssociation,
        RunDockerAction,
        RunDocument,
        RunPatchBaseline,
        RunPowerShellScript,
        RunShellScript,
        SoftwareInventory,
    )
}

NOT_ON_LINUX = frozenset(
    {"aws:applications", "aws:psModule", "aws:updateAgent", "aws:cloudWatch", "aws:configureDaemon"},
)
"""Known to SSM's agent, and not for Linux: skipped by schema 2.2, a failure in older ones."""

LEFT_OUT: Mapping[str, str] = {
    "aws:updateSsmAgent": "there is no agent here to update",
    "aws:domainJoin": "no directory service is joined from here: let a script of your own join it",
}
"""Their subject does not exist here: skipped, with this note."""

ALONE = frozenset({"aws:updateSsmAgent"})
"""They cannot stand in a document that another one runs."""


def support_of(action: str) -> Support:
    """Say what is known about an action."""
    if action in ACTIONS or action in LEFT_OUT:
        return Support.HERE
    return Support.NOT_HERE if action in NOT_ON_LINUX else Support.UNKNOWN
