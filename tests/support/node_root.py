"""The Debian root that all test nodes share: made once by mmdebstrap, from the archive this machine itself is set to use.

debootstrap makes the same one where there is no mmdebstrap, in twice the processor time.

Gives the path of a directory nobody may write to afterwards. Starts no process in it and mounts nothing.
`python -m tests.support.node_root` makes it ahead of time.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGES = (
    "busybox",
    "dbus",
    "iproute2",
    "libpam-systemd",
    "openssh-server",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
)
RECIPE = "4"
"""Part of the cache's key: raised by whoever changes what `_bootstrap` or `_furnish` does."""

USERS = ("ops", "guest")
"""`ops` may do everything by sudo, `guest` nothing."""

_UNITS_OF_MACHINES = (
    "*crypt*",
    "*hibernate*",
    "*integritysetup*",
    "*pcrphase*",
    "*quota*",
    "*rfkill*",
    "*suspend*",
    "*veritysetup*",
    "bluetooth.target",
    "e2scrub*",
    "emergency*",
    "hybrid-sleep.target",
    "initrd*",
    "kexec.target",
    "printer.target",
    "rescue*",
    "runlevel*",
    "sleep.target",
    "smartcard.target",
    "sound.target",
    "system-update*",
    "systemd-backlight*",
    "systemd-boot-check*",
    "systemd-fsck*",
    "systemd-hybrid-sleep*",
    "systemd-kexec*",
    "systemd-networkd*",
    "systemd-pstore*",
    "systemd-repart*",
    "systemd-sysext*",
    "systemd-volatile-root*",
    "usb-gadget.target",
)
"""Of disks, sleep and the like, which no node has. systemd looks through all folders for each unit file that it lists: fewer
of both make a node's first look take a fraction of the processor time."""
_MAKERS = ("mmdebstrap", "debootstrap")
"""Any of them."""
_TOOLS = ("sshd", "ssh-keygen", "unshare", "nsenter", "setpriv", "mount", "chroot")
_CAP_SYS_ADMIN = 21
_CAP_MKNOD = 27


class NodesUnavailable(Exception):
    """This machine cannot have real test nodes; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Where this machine gets its packages from."""

    mirror: str
    suite: str
    keyring: str | None = None


def why_not() -> str | None:
    """Give the reason this machine cannot have real test nodes, or None."""
    if sys.platform != "linux":
        return "test nodes need Linux"
    if os.geteuid() != 0:
        return "test nodes need root"
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=search_path()) is None]
    missing += [] if _maker() else [" or ".join(_MAKERS)]
    if missing:
        return f"test nodes need {', '.join(missing)} (tests/support/install_packages.sh installs them)"
    if not _holds(_CAP_SYS_ADMIN) or not _holds(_CAP_MKNOD):
        return "test nodes need the right to mount and to make devices, which this container does not have"
    return None


def _maker() -> str | None:
    return next((tool for tool in _MAKERS if shutil.which(tool, path=search_path()) is not None), None)


def search_path() -> str:
    """Give PATH with the system directories, where sshd and mmdebstrap live."""
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"))


def _holds(capability: int) -> bool:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False


def cache_directory() -> Path:
    """Give the directory in which roots are kept."""
    chosen = os.environ.get("RECONCILER_TEST_CACHE")
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "reconciler-test-nodes"


def ensure_root(cache: Path | None = None) -> Path:
    """Give the shared root, making it if it is not there yet; several processes may ask at once."""
    reason = why_not()
    if reason is not None:
        raise NodesUnavailable(reason)
    archive = configured_archive()
    described = "\n".join((RECIPE, archive.mirror, *PACKAGES, *USERS))
    key = f"{archive.suite}-{os.uname().machine}-{hashlib.sha256(described.encode()).hexdigest()[:8]}"
    directory = cache if cache is not None else cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    root = directory / key
    if root.is_dir():
        return root
    with locked(directory / f"{key}.lock"):
        if not root.is_dir():
            _build(archive, root)
    return root


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that of several processes one makes what all want."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(archive: Archive, root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{root.name}.", suffix=".unfinished", dir=root.parent))
    try:
        unfinished.chmod(0o755)
        _bootstrap(archive, unfinished)
        _furnish(unfinished)
        unfinished.rename(root)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _bootstrap(archive: Archive, root: Path) -> None:
    """Fill a folder with a small Debian whose /bin is /usr/bin, as every installed one's is."""
    maker = _maker()
    keyring = () if archive.keyring is None else (f"--keyring={archive.keyring}",)
    given = ("--variant=minbase", f"--include={','.join(PACKAGES)}", *keyring)
    if maker == "mmdebstrap":
        given += ("--mode=root", "--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr")
        # A root that is not whole yet is thrown away: no file need be on the disk.
        given += ("--dpkgopt=force-unsafe-io",)
    command = [str(maker), *given, archive.suite, str(root), archive.mirror]
    build(command, f"{maker} could not make a {archive.suite} root", DEBIAN_FRONTEND="noninteractive")
    (root / "etc/dpkg/dpkg.cfg.d/99mmdebstrap").unlink(missing_ok=True)


def build(command: list[str], trouble: str, **environment: str) -> None:
    """Run what makes a part of nodes, in English and through this machine's proxies. Raises NodesUnavailable: `trouble`, and why."""
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    made = subprocess.run(
        command,
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8", **environment, **proxies},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        tail = "\n".join(made.stdout.splitlines()[-5:])
        raise NodesUnavailable(f"{trouble}: {tail}")


def _furnish(root: Path) -> None:
    """Add the users, and take out what must differ between nodes or would reach out of this machine."""
    for user in USERS:
        _in_root(root, "useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", user)
    for pattern in ("etc/ssh/ssh_host_*", "var/cache/apt/archives/*.deb", "var/cache/apt/*.bin", "var/lib/apt/lists/*"):
        for path in root.glob(pattern):
            if path.is_file():
                path.unlink()
    for pattern in _UNITS_OF_MACHINES:
        for path in (root / "usr/lib/systemd/system").glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (root / "etc/apt/sources.list").write_text("", encoding="ascii")
    (root / "etc/machine-id").write_text("", encoding="ascii")
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    sudoers = root / "etc/sudoers.d/ops"
    sudoers.write_text("ops ALL=(ALL) NOPASSWD: ALL\n", encoding="ascii")
    sudoers.chmod(0o440)


def _in_root(root: Path, *argv: str) -> None:
    subprocess.run(
        ["chroot", str(root), *argv],
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        check=True,
        capture_output=True,
    )


def configured_archive(etc_apt: Path = Path("/etc/apt")) -> Archive:
    """Read mirror, suite and keyring of the distribution's own archive from apt's configuration."""
    files = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]
    for file in files:
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        for fields in _stanzas(text) if file.suffix == ".sources" else _lines(text):
            archive = _distribution(fields)
            if archive is not None:
                return archive
    raise NodesUnavailable(f"no distribution archive in {etc_apt}: is this machine a Debian one?")


def _distribution(fields: dict[str, str]) -> Archive | None:
    """Give the archive if it is the distribution's main one: a `deb` with `main`, and neither updates nor security."""
    suite = fields.get("suites", "").split()[:1]
    ours = "deb" in fields.get("types", "").split() and "main" in fields.get("components", "").split()
    if not ours or not suite or "-" in suite[0] or "/" in suite[0] or fields.get("enabled", "yes") == "no":
        return None
    signed_by = fields.get("signed-by", "")
    keyring = signed_by if signed_by.startswith("/") and Path(signed_by).is_file() else None
    return Archive(mirror=fields["uris"].split()[0], suite=suite[0], keyring=keyring)


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    for stanza in text.split("\n\n"):
        rows = (line.partition(":") for line in stanza.splitlines() if line[:1] not in ("#", " ", ""))
        yield {name.strip().lower(): value.strip() for name, colon, value in rows if colon}


def _lines(text: str) -> Iterator[dict[str, str]]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        options: dict[str, str] = {}
        if len(words) > 1 and words[1].startswith("["):
            end = next((at for at, word in enumerate(words) if word.endswith("]")), len(words) - 1)
            pairs = (word.strip("[]").partition("=") for word in words[1 : end + 1])
            options = {name.lower(): value for name, _, value in pairs}
            words = [words[0], *words[end + 1 :]]
        if len(words) > 3:
            yield options | {
                "types": words[0],
                "uris": words[1],
                "suites": words[2],
                "components": " ".join(words[3:]),
            }


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{ensure_root()}\n")
    except NodesUnavailable as unavailable:
        sys.exit(str(unavailable))
