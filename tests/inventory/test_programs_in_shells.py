"""The one program, in every shell a node may have: the same facts, told in as few words as it takes."""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.inventory.collect import Collected, ask
from reconciler.inventory.facts import FACTS
from reconciler.inventory.facts import files as files_fact
from reconciler.inventory.frames import read_frames
from reconciler.inventory.program import program
from reconciler.model.command import Answer, Program
from reconciler.model.known import Known, Unknown
from reconciler.model.node import Become, Node
from reconciler.model.questions import Check, Questions
from tests.inventory.asking import EVERY_PATCH, FOR_PATCHES, NOON, SHELLS, WEB, ShellSession, asked_of

QUICK = frozenset({"os", "kernel", "identity", "clock", "users", "groups", "mounts", "files"})


@pytest.fixture(params=SHELLS)
def session(request: pytest.FixtureRequest) -> ShellSession:
    shell = SHELLS[request.param]
    if shutil.which(shell[0]) is None:
        pytest.skip(f"this machine has no {shell[0]}")
    return ShellSession(shell)


def look(
    session: ShellSession, questions: Questions, before: Collected | None = None, only: frozenset[str] | None = QUICK
) -> Collected:
    return ask(session, WEB, questions, before=before, only=only, clock=lambda: NOON)


def statuses(session: ShellSession) -> dict[str, str]:
    """How the last answer speaks of each section."""
    answered = read_frames(session.answers[-1].stdout, asked_of(session.programs[-1]))
    assert answered.problem is None
    return {name: frame.status.value for name, frame in answered.frames.items()}


def test_this_machine_tells_every_standard_fact(session: ShellSession) -> None:
    found = look(session, Questions(), only=None).facts
    unknown = {name: section.why for name, section in found.sections.items() if isinstance(section, Unknown)}
    has_packages = shutil.which("dpkg-query") or shutil.which("rpm")
    assert unknown.keys() == (set() if has_packages else {"packages"})
    assert set(found.sections) == set(FACTS) - FOR_PATCHES
    assert session.answers[-1].stderr == b""
    assert found.get("identity", "hostname") == Known(Path("/proc/sys/kernel/hostname").read_text().strip())
    assert found.get("kernel", "release") == Known(os.uname().release)
    me = pwd.getpwuid(os.geteuid())
    assert found.get("users", me.pw_name) == Known(
        {"uid": me.pw_uid, "gid": me.pw_gid, "home": me.pw_dir, "shell": me.pw_shell}
    )


def test_this_machine_tells_its_patches_the_same_in_every_shell(session: ShellSession) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("this machine has no apt")
    found = look(session, EVERY_PATCH, only=FOR_PATCHES).facts
    assert session.answers[-1].stderr == b""
    plain = look(ShellSession(SHELLS["dash"]), EVERY_PATCH, only=FOR_PATCHES).facts
    assert set(found.sections) == FOR_PATCHES
    told = FOR_PATCHES - {"locks", "restarts"}  # these two may change while we look
    assert {name: found.section(name) for name in told} == {name: plain.section(name) for name in told}
    installed = found.section("installed")
    assert isinstance(installed, Known)
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}\n"], capture_output=True, check=True, text=True
    )
    lines = [line for told in installed.value.values() if isinstance(told, list) for line in told]
    assert len(lines) == sum(line[1] not in "nc" for line in listed.stdout.splitlines())


def test_packages_are_those_that_dpkg_lists(session: ShellSession) -> None:
    if shutil.which("dpkg-query") is None:
        pytest.skip("this machine has no dpkg")
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version} ${Architecture}\n"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    installed = [line.split(" ", 1)[1] for line in listed.splitlines() if line.startswith("installed ")]
    found = look(session, Questions(), only=frozenset({"packages"})).facts.section("packages")
    assert isinstance(found, Known)
    assert sorted(f"{name.partition(':')[0]} {value}" for name, value in found.value.items()) == sorted(installed)


def test_files_are_told_by_kind_owner_mode_and_checksum(session: ShellSession, tmp_path: Path) -> None:
    odd = tmp_path / "two  words'; touch x; $(id) *.txt"
    odd.write_bytes(b"odd\n")
    odd.chmod(0o604)
    (tmp_path / "empty").touch(mode=0o600)
    (tmp_path / "link").symlink_to(odd)
    os.mkfifo(tmp_path / "pipe")
    names = ["absent", "empty", "link", "pipe", odd.name, odd.name + "/below"]
    paths = {name: str(tmp_path / name) for name in names}
    found = look(session, Questions(files=(*paths.values(), str(tmp_path)))).facts

    def row(name: str) -> object:
        told = found.get("files", paths[name])
        assert isinstance(told, Known)
        return told.value

    me, group = pwd.getpwuid(os.geteuid()).pw_name, odd.group()
    checksum = hashlib.sha256(b"odd\n").hexdigest()
    assert row(odd.name) == {"kind": "file", "sha256": checksum, "size": 4, "mode": "0604", "owner": me, "group": group}
    assert row("empty") == {
        "kind": "file",
        "sha256": hashlib.sha256(b"").hexdigest(),
        "size": 0,
        "mode": "0600",
        "owner": me,
        "group": group,
    }
    assert row("absent") is None
    assert row(odd.name + "/below") is None
    for name, kind in (("link", "symlink"), ("pipe", "fifo")):
        told = row(name)
        assert isinstance(told, dict)
        assert told["kind"] == kind
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["empty", "link", "pipe", odd.name])


def test_what_has_not_changed_is_not_told_again(session: ShellSession, tmp_path: Path) -> None:
    motd = tmp_path / "motd"
    motd.write_text("one\n")
    asked = Questions(files=(str(motd),), mounts=False)
    first = look(session, asked)
    second = look(session, asked, before=first)
    told = statuses(session)
    assert {name for name, status in told.items() if status == "unchanged"} == {
        "os",
        "users",
        "groups",
        "mounts",
        "files",
    }
    assert second.facts.sections["files"] == first.facts.sections["files"]
    third = look(session, asked, before=second)
    assert third.facts == replace(
        second.facts, sections={**second.facts.sections, "clock": third.facts.sections["clock"]}
    )
    assert len(session.answers[2].stdout) < 1000


def test_a_file_changed_by_hand_is_seen_whatever_its_date_and_size(session: ShellSession, tmp_path: Path) -> None:
    motd, other = tmp_path / "motd", tmp_path / "other"
    motd.write_text("one\n")
    other.write_text("other\n")
    asked = Questions(files=(str(motd), str(other)))
    first = look(session, asked)
    date = motd.stat().st_mtime_ns
    motd.write_text("two\n")
    os.utime(motd, ns=(date, date))
    second = look(session, asked, before=first).facts

    def checksum(path: Path) -> object:
        row = second.get("files", str(path))
        assert isinstance(row, Known)
        assert isinstance(row.value, dict)
        return row.value["sha256"]

    assert checksum(motd) == hashlib.sha256(b"two\n").hexdigest()
    assert checksum(other) == hashlib.sha256(b"other\n").hexdigest()
    last = session.answers[-1].stdout
    assert last.count(str(motd).encode()) > last.count(str(other).encode())  # only one was hashed


def test_a_file_too_large_to_hash_is_unknown(session: ShellSession, tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(files_fact.LARGEST + 1)
    found = look(session, Questions(files=(str(big),))).facts.get("files", str(big))
    assert isinstance(found, Unknown)
    assert "larger than" in found.why


def test_checks_are_told_by_their_exit_status_and_leave_nothing_behind(session: ShellSession, tmp_path: Path) -> None:
    scripts = {
        "true": 0,
        "exit 3": 3,
        "exit 125": 125,
        "kill -9 $$": 137,
        "echo noise; echo more >&2": 0,
        "read line": 1,
        "N=x; end() { :; }; set -e; false": 1,
        "if": 2,
        f"touch '{tmp_path}/it'\\''s'": 0,
        'test -z "${held_os-}${S-}"': 0,
    }
    checks = tuple(sorted(Check(script=script) for script in scripts))
    found = look(session, Questions(checks=checks), only=frozenset({"checks"})).facts.section("checks")
    assert isinstance(found, Known)
    told = {key.removeprefix("user:"): value for key, value in found.value.items()}
    assert told.pop("if") in (1, 2)  # shells differ in what a syntax error is worth
    assert told == {script: status for script, status in scripts.items() if script != "if"}
    assert [path.name for path in tmp_path.iterdir()] == ["it's"]


def test_checks_that_hang_are_ended_and_the_others_do_not_wait_in_line(
    session: ShellSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.inventory.facts.checks.CHECK_SECONDS", 1)
    hanging = tuple(Check(script=f"echo $$ >'{tmp_path}/{n}'; sleep 321{n}; true") for n in range(5))
    checks = (*sorted(hanging), Check(script="true"))
    found = look(session, Questions(checks=checks), only=frozenset({"checks"})).facts
    assert found.get("checks", "user:true") == Known(0)
    for check in hanging:
        assert found.get("checks", check.key) == Known(137)
    for n in range(5):
        group = (tmp_path / str(n)).read_text().strip()
        alive = subprocess.run(["ps", "-o", "args=", "-g", group], capture_output=True, text=True, check=False).stdout
        assert f"sleep 321{n}" not in alive


def test_a_check_as_root_without_root_is_unknown(session: ShellSession) -> None:
    check = Check(script="true", as_root=True)
    found = look(session, Questions(checks=(check,)), only=frozenset({"checks"})).facts.get("checks", check.key)
    if os.geteuid() == 0:
        assert found == Known(0)
    else:
        assert isinstance(found, Unknown)
        assert "needs root" in found.why


def test_checks_run_as_the_login_user_where_the_program_runs_as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    nobody = pwd.getpwnam("nobody")
    environment = {"PATH": os.environ["PATH"], "HOME": "/root", "SUDO_USER": "nobody"}
    environment |= {"SUDO_UID": str(nobody.pw_uid), "SUDO_GID": str(nobody.pw_gid)}
    node = replace(WEB, become=Become.SUDO)
    checks = (
        Check(script=f"test \"$(id -u) $(id -g) $HOME\" = '{nobody.pw_uid} {nobody.pw_gid} {nobody.pw_dir}'"),
        Check(script="test -r /etc/shadow"),
        Check(script="test -r /etc/shadow", as_root=True),
    )
    session = ShellSession(("dash",), node=node, environment=environment)
    found = ask(
        session, node, Questions(checks=checks), only=frozenset({"checks", "identity"}), clock=lambda: NOON
    ).facts
    assert found.get("identity", "user") == Known("nobody")
    assert [found.get("checks", check.key) for check in checks] == [Known(0), Known(1), Known(0)]


def test_where_nothing_can_go_back_to_the_login_user_checks_are_unknown(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for name in ("setpriv", "runuser", "su"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": "/root"}
    environment |= {"SUDO_USER": "nobody", "SUDO_UID": "65534", "SUDO_GID": "65534"}
    node = replace(WEB, become=Become.SUDO)
    session = ShellSession(("dash",), node=node, environment=environment)
    check = Check(script="true")
    found = ask(session, node, Questions(checks=(check,)), only=frozenset({"checks"}), clock=lambda: NOON).facts
    assert isinstance(found.get("checks", check.key), Unknown)


def test_a_tool_that_fails_makes_its_section_unknown_and_no_other(session: ShellSession, tmp_path: Path) -> None:
    fake = tmp_path / "dpkg-query"
    fake.write_text(
        "#!/bin/sh\nprintf 'ii \\tdpkg\\t1\\tamd64\\n'\necho 'dpkg-query: error: the database is locked' >&2\nexit 2\n"
    )
    fake.chmod(0o755)
    (tmp_path / "rpm").symlink_to(fake)
    broken = ShellSession(session._shell, environment={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": "/"})
    found = look(broken, Questions(), only=QUICK | {"packages"}).facts
    packages = found.section("packages")
    assert isinstance(packages, Unknown)
    assert "exit status 2" in packages.why
    assert "the database is locked" in packages.why
    assert isinstance(found.section("users"), Known)


class WithoutStat(ShellSession):
    """No path hides the programs that some shells of busybox bring along; a function does."""

    def run(self, program: Program) -> Answer:
        return super().run(replace(program, text=b"stat() { return 127; }\n" + program.text))


def test_without_stat_everything_is_asked_and_files_are_unknown(session: ShellSession, tmp_path: Path) -> None:
    for name in ("stat", "id", "date", "grep", "uname", "sha256sum"):
        target = shutil.which(name)
        assert target is not None
        if name != "stat":
            (tmp_path / name).symlink_to(target)
    shell = Path(shutil.which(session._shell[0]) or "")
    bare = WithoutStat((str(shell), *session._shell[1:]), environment={"PATH": str(tmp_path), "HOME": "/"})
    # The usual folders are appended by the program; a stat that fails stands in front of them.
    (tmp_path / "stat").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "stat").chmod(0o755)
    asked = Questions(files=("/etc/passwd",))
    for before in (None, look(bare, asked)):
        found = look(bare, asked, before=before)
        assert isinstance(found.facts.section("files"), Unknown)
        assert isinstance(found.facts.section("users"), Known)
        assert found.facts.get("identity", "user") == Known(pwd.getpwuid(os.geteuid()).pw_name)
        assert "users" not in found.fingerprints


def test_a_node_with_nothing_but_busybox_tells_the_same(tmp_path: Path) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("this machine has no busybox")
    tools = tmp_path / "bin"
    tools.mkdir()
    applets = subprocess.run([busybox, "--list"], capture_output=True, check=True, text=True).stdout.split()
    for applet in applets:
        (tools / applet).symlink_to(busybox)
    motd = tmp_path / "motd"
    motd.write_text("one\n")
    checks = (Check(script="exit 3"), Check(script="true"))
    asked = Questions(
        files=(str(motd), str(tmp_path), "/nowhere"),
        sysctls=("kernel.nope", "kernel.ostype"),
        checks=checks,
        mounts=False,
    )
    node = ShellSession((busybox, "sh"), environment={"PATH": str(tools), "HOME": "/"})
    only = QUICK | {"checks", "sysctls", "ports", "interfaces"}
    here = look(ShellSession(("dash",)), asked, only=only)
    there = look(node, asked, only=only)
    for section in only:
        assert isinstance(there.facts.section(section), Known)
    for section in only - {"clock", "interfaces", "ports", "mounts"}:  # these may change while we look
        assert there.facts.section(section) == here.facts.section(section)
    again = look(node, asked, before=there, only=only)
    assert statuses(node)["files"] == "unchanged"
    assert again.facts.sections["files"] is there.facts.sections["files"]


def test_bytes_that_are_no_text_do_not_shift_the_answer(session: ShellSession, tmp_path: Path) -> None:
    """Shells mark quoting with bytes of their own inside strings; what a node says may hold any byte but NUL."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/" + bytes(range(0x80, 0x100)))
    Path(path).write_bytes(b"x")
    listed = os.fsencode(path)
    text = program(Questions(), node=WEB, nonce="0" * 32, only=frozenset({"kernel"})).text
    raw = text.replace(b"first /proc/sys/kernel/osrelease", b"first /dev/null; v='" + listed + b"'")
    # `first` wants a regular file: the replaced line sets $v itself, as a release with every byte in it
    done = subprocess.run([*session._shell, "-c", b'eval "$1"', b"sh", raw], capture_output=True, check=True)
    answered = read_frames(done.stdout, "0" * 32)
    assert answered.problem is None
    assert listed.decode("utf-8", "backslashreplace") in answered.frames["kernel"].text


@pytest.mark.parametrize("become", Become)
def test_a_program_says_whether_it_runs_as_root(become: Become) -> None:
    node = Node(id=WEB.id, become=become)
    assert program(Questions(), node=node, nonce="0" * 32).become is (become is Become.SUDO)


def test_hanging_checks_have_time_to_be_ended_within_the_limits() -> None:
    checks = tuple(Check(script=f"sleep {n}") for n in range(40))
    limits = program(Questions(checks=checks), node=WEB, nonce="0" * 32).limits
    usual = program(Questions(), node=WEB, nonce="0" * 32).limits
    assert (limits.idle - usual.idle).total_seconds() == 50
    assert (limits.total - usual.total).total_seconds() == 50
