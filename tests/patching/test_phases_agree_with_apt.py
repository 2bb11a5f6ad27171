"""Which phased updates a machine is offered: the same by our rule and by apt itself, for any machine id."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

import pytest

from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.patch import Family, Index, Installed, Patch
from reconciler.model.patch_lines import PatchTable, installed_line, patch_line
from reconciler.patching.from_facts import NodeMemory, node_patches
from reconciler.patching.phase import Phasing, deferred, draw

NAMES = tuple(f"phased-{number:03}" for number in range(150))
MACHINES = ("0123456789abcdef0123456789abcdef", "9b1c2f6ad0c04a0c8f3de0b3a0a4c111", "f" * 32)
NUMBERS = (26, 65, 26)
UPDATES = Index(repository="deb.example.org", label="Ubuntu", suite="jammy-updates")
SECURITY = Index(repository="deb.example.org", label="Ubuntu", suite="jammy-security")


def share(name: str) -> int:
    return int(name[-3:]) * 7 % 101


def source(name: str) -> tuple[str, str]:
    """A third of them come from a source of another name and version."""
    return (f"src-{name}", "5:7.1-2") if int(name[-3:]) % 3 == 0 else ("", "")


def offer(name: str, version: str = "2.0-1", *, phased: int | None = None, index: Index = UPDATES) -> Patch:
    of, of_version = source(name)
    return Patch(
        family=Family.APT,
        name=name,
        arch="amd64",
        version=version,
        source=of,
        source_version=of_version,
        phased=phased,
        indexes=(index,),
    )


def installed(names: Sequence[str] = NAMES) -> list[Installed]:
    return [Installed(name=name, arch="amd64", version="1.0-1") for name in names]


@pytest.fixture(scope="module")
def apt(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """An apt that looks at nothing of this machine: its own status, one archive, no keys."""
    if shutil.which("apt-get") is None:
        pytest.skip("this machine has no apt to compare with")
    root = tmp_path_factory.mktemp("apt")
    for folder in ("etc/apt.conf.d", "state/lists/partial", "cache/archives/partial", "archive"):
        (root / folder).mkdir(parents=True)
    stanza = "Package: {}\nVersion: {}\nArchitecture: amd64\nMaintainer: a\nDescription: a\n"
    (root / "status").write_text(
        "\n".join(f"{stanza.format(name, '1.0-1')}Status: install ok installed\n" for name in NAMES)
    )
    packages = []
    for name in NAMES:
        of, of_version = source(name)
        told = f"Source: {of} ({of_version})\n" if of else ""
        packages.append(
            f"{stanza.format(name, '2.0-1')}{told}Filename: ./{name}.deb\nSize: 1\nSHA256: {'a' * 64}\n"
            f"Phased-Update-Percentage: {share(name)}\n"
        )
    (root / "archive/Packages").write_text("\n".join(packages))
    (root / "sources.list").write_text(f"deb [trusted=yes arch=amd64] file:{root}/archive ./\n")
    options = {
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "root",
        "Dir::Etc": root / "etc",
        "Dir::Etc::SourceList": root / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": root / "state",
        "Dir::State::status": root / "status",
        "Dir::Cache": root / "cache",
    }
    command = ["apt-get", "-q", *(part for key, value in options.items() for part in ("-o", f"{key}={value}"))]
    subprocess.run([*command, "update"], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return command


def held_back(apt: list[str], *options: str) -> set[str]:
    """Ask apt what it would upgrade now; give the rest."""
    asked = [*apt, *(part for option in options for part in ("-o", option)), "--simulate", "dist-upgrade"]
    done = subprocess.run(asked, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return set(NAMES) - set(re.findall(r"^Inst (\S+)", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("machine", MACHINES)
def test_a_machine_is_offered_what_its_own_apt_offers_it(apt: list[str], machine: str) -> None:
    ours = deferred(Phasing(machine_id=machine), installed(), [offer(name, phased=share(name)) for name in NAMES])
    assert ours == {f"{name}.amd64:2.0-1" for name in held_back(apt, f"APT::Machine-ID={machine}")}
    assert 20 < len(ours) < 130, "some are deferred, and some are not"


def test_apts_own_settings_for_always_and_never_are_followed(apt: list[str]) -> None:
    everything = [offer(name, phased=share(name)) for name in NAMES]
    machine = f"APT::Machine-ID={MACHINES[0]}"
    assert held_back(apt, machine, "APT::Get::Always-Include-Phased-Updates=true") == set()
    assert deferred(Phasing(machine_id=MACHINES[0], always=True), installed(), everything) == frozenset()
    never = {f"{name}.amd64:2.0-1" for name in held_back(apt, machine, "APT::Get::Never-Include-Phased-Updates=true")}
    assert deferred(Phasing(machine_id=MACHINES[0], never=True), installed(), everything) == never


def test_a_security_update_below_it_makes_a_phased_version_one_for_everybody() -> None:
    late = offer("phased-001", "3.0-1", phased=0)
    fix = offer("phased-001", "2.0-1", index=SECURITY)
    asked = Phasing(machine_id=MACHINES[0])
    assert deferred(asked, installed(), [late]) == {"phased-001.amd64:3.0-1"}
    assert deferred(asked, installed(), [late, fix]) == frozenset()
    has_it = [Installed(name="phased-001", arch="amd64", version="2.0-1")]
    assert deferred(asked, has_it, [late, fix]) == {"phased-001.amd64:3.0-1"}, (
        "the fix is installed: it is a usual update"
    )


def test_a_machine_without_an_id_and_versions_without_a_phase_are_not_deferred() -> None:
    assert deferred(Phasing(machine_id=""), installed(), [offer("phased-001", phased=0)]) == frozenset()
    assert deferred(Phasing(machine_id=MACHINES[0]), installed(), [offer("phased-001")]) == frozenset()


@pytest.mark.parametrize(("machine", "number"), [*zip(MACHINES, NUMBERS, strict=True)])
def test_a_machine_keeps_its_number_for_a_version(machine: str, number: int) -> None:
    """The numbers are those of libstdc++."""
    assert draw(offer("phased-004"), machine) == number


def sections(**given: Observed[Mapping[str, JsonValue]]) -> dict[str, Observed[Mapping[str, JsonValue]]]:
    row = "phased-004.amd64"
    return {
        "os": Known({"family": "debian", "arch": "x86_64"}),
        "installed": Known({row: [installed_line(installed(["phased-004"])[0])]}),
        "available": Known({row: [patch_line(offer("phased-004", phased=40))]}),
        **given,
    }


@pytest.mark.parametrize(("machine", "number"), [*zip(MACHINES, NUMBERS, strict=True)])
def test_what_a_node_told_of_itself_decides(machine: str, number: int) -> None:
    found = node_patches(sections(identity=Known({"machine_id": machine})), PatchTable(), NodeMemory())
    assert isinstance(found, Known)
    assert found.value.deferred == ({"phased-004.amd64:2.0-1"} if number > 40 else frozenset())


def test_a_node_that_does_not_say_which_machine_it_is_is_unknown_and_not_up_to_date() -> None:
    found = node_patches(sections(identity=Unknown("timed out")), PatchTable(), NodeMemory())
    assert found == Unknown("identity: timed out, and it decides which phased updates the node is offered")
