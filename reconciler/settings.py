"""Host settings: what belongs to the management host and is never in git. Read once, frozen, handed down as values.

The state repository can narrow them, never widen: a commit that names another fleet, branch or key path gains nothing.
"""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import SettingsError
from reconciler.model.command_rule import CommandRule
from reconciler.model.host_secret import HostSecret
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.schema import check
from reconciler.model.reading.signers import read_signer
from reconciler.model.reading.values import Table
from reconciler.model.reading.yaml_text import read_yaml
from reconciler.model.signer import Signer

DEFAULT_SSH_CONFIG = Path("~/.ssh/config")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SYSTEM_FILE = Path("/etc/reconciler/host.yaml")


PATCH_FILES_BYTES = 10 * 1024**3
"""10 GiB: what a mixed fleet of three releases has waiting in a month is a tenth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """Every key is optional."""

    fleet: str | None = None
    """The only fleet this host serves: a state repository that names another one is refused."""
    remote: str | None = None
    """The only state repository this host serves, as given on the command line."""
    branch: str | None = None
    """The only branch whose commits come into force; None: fleet.yaml's, else the remote's HEAD."""
    key_directory: Path = Path("~/.ssh")
    """Where `IdentityFile: NAME` is looked up; a name never leaves this folder."""
    ssh_config: Path | None = DEFAULT_SSH_CONFIG
    """The host's own ssh configuration; None: none is read. The default one may be missing, a named one must be there."""
    local_changes: bool = False
    """Whether the local transport may change this host; without it local nodes are only observed."""
    may_push_state: bool = False
    """Whether the key that pushes reports may push the state branch as well, or a rule of the server forbids it: no warning then."""
    trusted_signers: tuple[Signer, ...] = ()
    """The first signers of the state branch; where there are any, only signed commits come into force."""
    signing_key: Path | None = None
    """The ssh key that reports are signed with; None: they are not signed."""
    report_signers: tuple[Signer, ...] = ()
    """Whose reports count besides those signed with `signing_key`; with either, unsigned ones count for nothing."""

    package_signers: tuple[Signer, ...] = ()
    """Whose signatures count under manifests of packages; where there are any, none from outside is installed without one."""
    egress: tuple[Network, ...] = ()
    """Networks besides the public ones that documents may download from: loopback, link-local and private ones are not."""
    secrets: tuple[HostSecret, ...] = ()
    """What documents may log in with where they download: by name, never the value."""
    known_hosts: Path | None = None
    """Host keys of the git servers that documents download from; None: ssh's own files."""
    insecure_patch_sources: tuple[str, ...] = ()
    """Beginnings of addresses that `Sources` of baselines may use though no signature is checked there, or over plain http."""
    keep_patch_files: bool = False
    """Whether files of patches are kept on this host for when their archives drop them: it then fetches where nodes say."""
    patch_files_bytes: int = PATCH_FILES_BYTES
    """Bytes that those files may take together."""
    send_command: tuple[CommandRule, ...] = ()
    """Who may send which commands; none: whoever may write the state folder."""

    def ssh_config_file(self) -> Path | None:
        """Give the ssh configuration to read: the default one only where it exists."""
        if self.ssh_config is None:
            return None
        file = self.ssh_config.expanduser()
        return None if self.ssh_config == DEFAULT_SSH_CONFIG and not file.is_file() else file


def read_host_settings(given: Path | None) -> HostSettings:
    """Read the named file, else /etc/reconciler/host.yaml, else the XDG one; no file means the defaults.

    Raises SettingsError naming file, line and column; a file that was asked for by name must be there.
    """
    file = given or next((path for path in (SYSTEM_FILE, _xdg_file()) if path.is_file()), None)
    if file is None:
        return HostSettings()
    try:
        content = file.read_bytes()
    except OSError as exc:
        raise SettingsError(f"{file}: cannot be read ({exc.strerror}); name another with --host-settings") from exc
    return host_settings(content, str(file))


def host_settings(content: bytes, file: str) -> HostSettings:
    """Read the settings from text. Raises SettingsError with every mistake."""
    mistakes = Mistakes(file)
    documents = read_yaml(content, mistakes)
    if not mistakes.found_errors and len(documents) > 1:
        mistakes.error((1, 1), "more than one YAML document", remedy="keep one")
    if mistakes.found_errors or (documents and not check("host", documents[0], mistakes)):
        raise SettingsError("\n".join(str(problem) for problem in mistakes.problems))
    table = documents[0] if documents else None
    if not isinstance(table, Table):
        return HostSettings()
    downloads = table.table("Downloads") or Table({}, {}, 1, 1)
    egress, host_secrets = _networks(downloads, mistakes), _secrets(downloads, mistakes)
    known_hosts = downloads.scalar("KnownHosts")
    trusted, reporting = _signers(table, "TrustedSigners", mistakes), _signers(table, "ReportSigners", mistakes)
    packaging = _signers(table, "PackageSigners", mistakes)
    if mistakes.found_errors:
        raise SettingsError("\n".join(str(problem) for problem in mistakes.problems))
    patch_files = table.table("PatchFiles") or Table({}, {}, 1, 1)
    keys, signing_key = Path(table.scalar("KeyDirectory") or "~/.ssh"), table.scalar("SigningKey")
    return HostSettings(
        fleet=table.scalar("Fleet"),
        remote=table.scalar("Remote"),
        branch=table.scalar("Branch"),
        key_directory=keys,
        ssh_config=_ssh_config(table.scalar("SshConfig")),
        local_changes=table.flag("LocalChanges"),
        may_push_state=table.flag("MayPushState"),
        trusted_signers=trusted,
        signing_key=None if signing_key is None else keys.expanduser() / Path(signing_key).expanduser(),
        report_signers=reporting,
        package_signers=packaging,
        egress=egress,
        secrets=host_secrets,
        known_hosts=None if known_hosts is None else Path(known_hosts).expanduser(),
        insecure_patch_sources=tuple(scalar.text for scalar in table.texts("InsecurePatchSources")),
        keep_patch_files=patch_files.flag("Keep"),
        patch_files_bytes=patch_files.integer("MaxBytes") or PATCH_FILES_BYTES,
        send_command=tuple(map(_command_rule, table.tables("SendCommand"))),
    )


def _command_rule(table: Table) -> CommandRule:
    def texts(key: str) -> tuple[str, ...]:
        return tuple(scalar.text for scalar in table.texts(key))

    return CommandRule(
        logins=texts("Logins"),
        documents=texts("Documents"),
        targets=texts("Targets"),
        max_nodes=table.integer("MaxNodes"),
    )


def _networks(table: Table, mistakes: Mistakes) -> tuple[Network, ...]:
    found: list[Network] = []
    for scalar in table.texts("Egress"):
        try:
            network = ipaddress.ip_network(scalar.text, strict=True)
        except ValueError:
            mistakes.error(scalar, "no address or network", remedy="write 10.1.2.3, 10.1.0.0/16 or fd00::/8")
            continue
        found.append(network)
    return tuple(found)


def _secrets(table: Table, mistakes: Mistakes) -> tuple[HostSecret, ...]:
    found: dict[str, HostSecret] = {}
    for one in table.tables("Secrets"):
        name = one.scalar("Name") or ""
        if name in found:
            mistakes.error(one.entries["Name"], "a second secret of this name", remedy="keep one")
        hosts = tuple(host.text.lower() for host in one.texts("Hosts"))
        found[name] = HostSecret(name=name, file=Path(one.scalar("File") or "").expanduser(), hosts=hosts)
    return tuple(found.values())


def _signers(table: Table, key: str, mistakes: Mistakes) -> tuple[Signer, ...]:
    read = (read_signer(value, mistakes) for value in table.tables(key))
    return tuple(signer for signer in read if signer is not None)


def _ssh_config(written: str | None) -> Path | None:
    if written is None:
        return DEFAULT_SSH_CONFIG
    return None if written.lower() == "none" else Path(written)


def _xdg_file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "reconciler/host.yaml"
