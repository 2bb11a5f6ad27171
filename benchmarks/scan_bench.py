"""What a scan for patches costs a Debian node: 500 packages installed, lists of 63,000; its whole answer, and the processor time.

One real node of the tests, with a package database and lists written for it. The program is run there as a session would run
it; what it and everything it starts use is read when it has ended (wait4).
"""

import gzip
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figure import Figure
from reconciler.ids import NodeId
from reconciler.inventory.collect import Collected, ask
from reconciler.model.command import Answer, Program
from reconciler.model.known import Known
from reconciler.model.node import Node
from reconciler.model.questions import Questions
from tests.support.nodes import TestNode, start_fleet

SECONDS, KILOBYTES, UNCHANGED = 1.0, 200.0, 1.0
LISTED, INSTALLED, NEWER = 63_000, 500, 150
QUESTIONS = Questions(patches=True, ports=(), mounts=False)
LISTS = "var/lib/apt/lists"


class _Measured:
    """Runs a program inside the node, and keeps what it took."""

    host_key = None

    def __init__(self, node: TestNode) -> None:
        self.node = NodeId(node.name)
        self._init = node.init
        self.seconds: list[float] = []
        self.answers: list[bytes] = []

    def run(self, program: Program) -> Answer:
        namespaces = ("--mount", "--uts", "--ipc", "--pid", "--cgroup", "--time", "--root", "--wd=/")
        command = ["nsenter", f"--target={self._init}", *namespaces, "--", "sh", "-c", 'eval "$(cat)"']
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(program.text)
            child.stdin.close()
            said = child.stdout.read()
            _pid, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        self.seconds.append(used.ru_utime + used.ru_stime)
        self.answers.append(said)
        return Answer(stdout=said, stderr=b"", exit_status=child.returncode)

    def stream(self, program: Program) -> Iterator[bytes]:
        yield self.run(program).stdout


def scan_figures(folder: Path, *, runs: int) -> Iterator[Figure]:
    """Scan anew each time, then once more with everything held."""
    with start_fleet(folder, 1) as fleet:
        node = fleet.nodes[0]
        _write(node.root)
        session = _Measured(node)
        found = [_look(session, None) for _ in range(runs)]
        told = found[-1].facts.section("available")
        assert isinstance(told, Known), told
        assert len(told.value) == INSTALLED, len(told.value)
        full, used = max(map(len, session.answers)), tuple(session.seconds)
        again = _look(session, found[-1])
        assert again.facts.section("available") is told
        note = f"{INSTALLED} packages, {NEWER} with a newer version, lists of {LISTED:,} ({_compression()})"
        yield Figure(
            name="scan-cpu",
            what="scan of a node, user and system time there",
            values=used,
            unit="s",
            budget=SECONDS,
            note=note,
        )
        yield Figure(name="scan-answer", what="its whole answer", values=(full / 1000,), unit="kB", budget=KILOBYTES)
        quiet = (len(session.answers[-1]) / 1000,)
        yield Figure(
            name="scan-unchanged", what="answer of an unchanged node", values=quiet, unit="kB", budget=UNCHANGED
        )
        yield Figure(
            name="scan-unchanged-cpu", what="user and system time there", values=(session.seconds[-1],), unit="s"
        )


def _look(session: _Measured, before: Collected | None) -> Collected:
    return ask(session, Node(id=session.node), QUESTIONS, before=before, clock=lambda: datetime.now(UTC))


def _compression() -> str:
    return "lz4" if shutil.which("lz4") else "gz"


def _write(root: Path) -> None:
    """Give the node a package database and lists; sources that name them, and nothing else."""
    (root / "etc/apt/sources.list").write_text(
        "deb http://archive.example/debian bookworm main\ndeb http://archive.example/security bookworm-security main\n"
    )
    status = root / "var/lib/dpkg/status"
    kept = [part for part in status.read_text().split("\n\n") if part.startswith("Package: dpkg\n")]
    mine = [f"{_stanza(n, '1.0-1')}\nStatus: install ok installed\n" for n in range(INSTALLED - 1)]
    status.write_text("\n\n".join([*kept, *mine]) + "\n")
    for n in range(INSTALLED - 1):
        (root / f"var/lib/dpkg/info/{_name(n)}.list").write_text("/.\n")
    dpkg = dict(line.split(": ", 1) for line in kept[0].split("\n") if ": " in line)["Version"]
    main = [_offer(n, "1.0.12-1") for n in range(LISTED)] + [_offer(0, dpkg).replace(_name(0), "dpkg")]
    _list(root, "debian_dists_bookworm", "Debian", main)
    newer = [_offer(n * 3, "1.0.12-1+deb12u1") for n in range(NEWER)]
    _list(root, "security_dists_bookworm-security", "Debian-Security", newer)


def _list(root: Path, name: str, label: str, offers: list[str]) -> None:
    lists = root / LISTS
    codename = name.rpartition("_")[2]
    release = f"Origin: Debian\nLabel: {label}\nSuite: {codename}\nCodename: {codename}\nDate: Sat, 10 Jan 2026 10:00:00 UTC\n"
    (lists / f"archive.example_{name}_InRelease").write_text(release)
    text = "\n".join(offers).encode()
    path = lists / f"archive.example_{name}_main_binary-amd64_Packages"
    if _compression() == "lz4":
        subprocess.run(["lz4", "-q", "-f", "-", f"{path}.lz4"], input=text, check=True)
    else:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(text, 6))


def _name(number: int) -> str:
    """As long as names are on a Debian node: 14 characters, the source's 11."""
    return f"{'lib' * (number % 3 == 0)}package-{number:05}"


def _stanza(number: int, version: str) -> str:
    return (
        f"Package: {_name(number)}\nVersion: {version}\nArchitecture: amd64\nSource: source-{number // 3:04}\n"
        f"Maintainer: Somebody of a Team <team-{number % 500}@lists.example>\nInstalled-Size: {number}\nSection: libs\nPriority: optional\n"
        f"Depends: libc6 (>= 2.34), libgcc-s1 (>= 3.0), {_name(0)} (>= 1.0)\n"
        f"Provides: libc6, libgcc-s1\nDescription: what it is for, in as many words as usual"
    )


def _offer(number: int, version: str) -> str:
    checksum = hashlib.sha256(f"{number} {version}".encode()).hexdigest()
    source = f"source-{number // 3:04}"
    tags = ", ".join(f"role::of-{n}" for n in range(6))
    return (
        f"{_stanza(number, version)}\nMulti-Arch: same\nHomepage: https://project-{number}.example/\nTag: {tags}\n {tags}\n {tags}\n"
        f"Description-md5: {checksum[:32]}\nFilename: pool/main/s/{source}/{_name(number)}_{version}_amd64.deb\n"
        f"Size: {number * 7}\nMD5sum: {checksum[:32]}\nSHA256: {checksum}\n"
    )
