"""What every node of a fleet has on top of the shared root: read-only layers for the overlay, written once per fleet.

Takes the client's public key and sshd's port; gives the directories, topmost first. What differs from node to node is
written into the node itself.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

_ON_NODE = Path(__file__).with_name("on_node")
_SSHD = """\
Port {port}
PidFile /run/sshd.pid
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys/%u .ssh/authorized_keys
PasswordAuthentication no
LogLevel VERBOSE
MaxStartups 200
UseDNS no
"""
_MASKED = (
    "apt-daily.service",
    "apt-daily.timer",
    "apt-daily-upgrade.service",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "getty-static.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-modules-load.service",
    "systemd-random-seed.service",
    "systemd-sysctl.service",
    "systemd-udev-trigger.service",
    "systemd-udevd.service",
)
"""They wait for hardware, reach for the kernel, or work on their own when a test does not expect it."""
_SSH_SERVICE = """\
[Unit]
After=systemd-user-sessions.service
[Service]
ExecStart=
ExecStart=/usr/sbin/sshd -D -E /var/log/sshd.log
"""
"""Until users may log in, PAM turns them away: a node that greets sooner would not be up for whoever waits for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """The layers of both kinds of node."""

    plain: tuple[Path, ...]
    systemd: tuple[Path, ...]


def write_layers(directory: Path, *, authorized_key: str, port: int) -> Layers:
    """Write the layers below `directory`."""
    common, plain, systemd = (directory / "layers" / name for name in ("common", "plain", "systemd"))
    _write(common / "etc/ssh/sshd_config.d/test.conf", _SSHD.format(port=port))
    for user in ("ops", "root", "guest"):
        _write(common / "etc/ssh/authorized_keys" / user, authorized_key)
    _write(plain / "etc/ssh/sshd_config.d/plain.conf", "UsePAM no\n")
    _copy("init.sh", plain / "usr/sbin/node-init")
    for name in ("reboot", "shutdown", "halt", "poweroff"):
        _copy("shutdown.sh", plain / "usr/sbin" / name)
    _write(systemd / "etc/systemd/system/ssh.service.d/test.conf", _SSH_SERVICE)
    _write(systemd / "etc/systemd/journald.conf.d/test.conf", "[Journal]\nStorage=volatile\n")
    for unit in _MASKED:
        (systemd / "etc/systemd/system" / unit).symlink_to("/dev/null")
    return Layers(plain=(plain, common), systemd=(systemd, common))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")
    path.chmod(0o644)


def _copy(name: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_ON_NODE / name, path)
    path.chmod(0o755)
