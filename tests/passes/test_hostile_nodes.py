"""Nodes that answer with malice, in one pass with a healthy one: bounded, told in words, believed in nothing else."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.compliance.report import NodeReport, Status
from reconciler.daemon.passing import PassResult
from reconciler.ids import NodeId
from reconciler.inventory import program
from reconciler.model.command import Limits
from reconciler.model.known import Unknown
from tests.support.nodes import NodeSpec, TestNode, start_fleet
from tests.support.peak_memory import growth
from tests.support.site import APPEND_DOCUMENT, MOTD, Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(600)]

HEALTHY = "healthy"
MEMORY = 600 * 1024
"""KiB that the process may grow by: every answer is cut at 16 MiB, and several are on their way at once."""

SHELL = r"""#!/bin/sh
# A login shell that lies. $2 is the loader's command; the program is on standard input.
mode=$(cat /etc/hostile-mode)
nonce=${2##*echo }
nonce=${nonce%%[!0-9a-f]*}
case $mode in
forever) printf '%s\n' "$nonce"; exec yes ;;
forever-without-greeting) exec yes ;;
forever-errors) exec yes >&2 ;;
drips) printf '%s\n' "$nonce"; while sleep 1; do printf x; done ;;
escapes) cat /etc/hostile-words; exit 7 ;;
esac
case $2 in *'read -r h'*) exit 3 ;; esac # the short way carries the program twice: these lies are about the long one
file=$(mktemp)
cat >"$file"
if ! grep -q '^say() {' "$file"; then
    sh -c "$2" <"$file"
    exit
fi
if [ "$mode" = replays ] && [ -e /tmp/answer ]; then
    printf '%s\n' "$nonce"
    tail -n +2 /tmp/answer
    exit 0
fi
sed -i 's|^say() {.*|. /etc/hostile-say|' "$file"
{ printf '%s\n' "$nonce"; sudo -n sh "$file" </dev/null; } | tee /tmp/answer
"""
SAY = r"""
tell() { c=$((c+1)); printf '%s %s %s %s\n%s\n' "$N" "$1" "$2" "${#3}" "$3"; }
say() {
  case $1:$(cat /etc/hostile-mode) in
  packages:million-lines) tell packages ok "$(seq 1000000)" ;;
  packages:long-section) tell packages ok "$(head -c 9000000 /dev/zero | tr '\0' x)" ;;
  packages:twice) tell packages ok "$3"; tell packages ok "$3" ;;
  packages:foreign-frames) tell packages ok "dpkg
$N files ok 3
abc
$N end 2" ;;
  packages:wrong-length) printf '%s packages ok 5\n%s\n' "$N" "$3" ;;
  *) tell "$@" ;;
  esac
}
"""
WORDS = "\x1b[31mred\x1b]0;title\x07 | [click](http://evil.example) <script>alert(1)</script> ::error::x [bold]rich[/bold] $(id) `id`\n"
OBEYED = frozenset("\x1b\x07\x9b\u202e")


@dataclass(frozen=True, kw_only=True)
class Malice:
    """What a node does, and what is said of it; `section`: the one that is lost, while the node is kept."""

    name: str
    words: str
    section: str | None = None


MALICE = (
    Malice(name="forever", words="the answer is longer than 16777216 bytes"),
    Malice(name="forever-without-greeting", words="the answer is longer than 16777216 bytes"),
    Malice(name="forever-errors", words="the answer is longer than 16777216 bytes"),
    Malice(name="drips", words="the program was not done after 30 s"),
    Malice(name="escapes", words="the login shell ran no command: exit status 7, it said: "),
    Malice(name="replays", words="the answer holds no section"),
    Malice(name="million-lines", words="section packages has more than 200000 lines", section="packages"),
    Malice(name="long-section", words="section packages is longer than 8388608 bytes", section="packages"),
    Malice(name="twice", words="sections came twice: packages", section="packages"),
    Malice(name="foreign-frames", words="its answer is not understood: ", section="packages"),
    Malice(name="wrong-length", words="section packages is garbled: its length does not hold", section="packages"),
)


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What one pass left."""

    site: Site
    nodes: Mapping[str, TestNode]
    result: PassResult
    grown: int

    def report(self, name: str) -> NodeReport:
        return self.result.reports[NodeId(name)]


def turn_hostile(node: TestNode) -> None:
    for path, text in (
        ("usr/local/bin/hostile", SHELL),
        ("etc/hostile-say", SAY),
        ("etc/hostile-mode", node.name),
        ("etc/hostile-words", WORDS),
    ):
        (node.root / path).write_text(text)
        (node.root / path).chmod(0o755)
    node.run(["usermod", "-s", "/usr/local/bin/hostile", "ops"])


def limits(found: object) -> Limits:
    del found
    return replace(Limits(), total=timedelta(seconds=30))


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Aftermath]:
    folder = tmp_path_factory.mktemp("hostile")
    specs = [NodeSpec(name=name) for name in (HEALTHY, "named", *(each.name for each in MALICE))]
    with start_fleet(folder / "nodes", specs=specs) as fleet, pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "_limits", limits)
        site = Site(folder / "site", fleet)
        nodes = {node.name: node for node in fleet.nodes}
        site.commit(
            {
                "state/fleet.yaml": "Fleet: example\n",
                "state/known_hosts": fleet.known_hosts,
                "state/nodes/all.yaml": "---\n".join(
                    f"Id: {name}\nAddress: {node.address}\nPort: {node.port}\nUser: ops\nIdentityFile: fleet\n"
                    "Become: sudo\nTags: {Role: web}\n"
                    for name, node in nodes.items()
                ),
                "state/associations/motd.yaml": MOTD,
                "documents/Motd.yaml": APPEND_DOCUMENT,
            }
        )
        for each in MALICE:
            turn_hostile(nodes[each.name])
        (nodes["named"].root / "etc/os-release").unlink()
        (nodes["named"].root / "etc/os-release").write_text(f"ID=debian\nPRETTY_NAME='{WORDS.strip()}'\nNAME=x\n")
        with growth() as grown:
            result = site.once()
        yield Aftermath(site=site, nodes=nodes, result=result, grown=grown.kib)


@pytest.mark.parametrize("malice", MALICE, ids=lambda malice: malice.name)
def test_malice_costs_its_own_section_or_node_and_nobody_else(aftermath: Aftermath, malice: Malice) -> None:
    node, report = aftermath.nodes[malice.name], aftermath.report(malice.name)
    if malice.section is None:
        said = report.facts.unreachable or "; ".join(reported.finding.reason for reported in report.findings)
        assert malice.words in said
        assert report.status is not Status.COMPLIANT
        assert bodies(node) == 0
    else:
        lost = report.facts.section(malice.section)
        assert isinstance(lost, Unknown), lost
        assert malice.words in lost.why
        assert report.status is Status.COMPLIANT, report.findings
        assert bodies(node) == 1
    assert aftermath.report(HEALTHY).status is Status.COMPLIANT
    assert bodies(aftermath.nodes[HEALTHY]) == 1


def test_the_memory_it_takes_is_bounded(aftermath: Aftermath) -> None:
    assert aftermath.grown < MEMORY


def test_what_they_call_themselves_is_text_in_every_report(aftermath: Aftermath) -> None:
    page = aftermath.site.git("show", "compliance:README.md")
    assert "red" in page
    assert not OBEYED & set(page)
    assert "<script>" not in page
    assert "[click](http" not in page
    everything = aftermath.site.git("show", "--format=%B", "compliance")
    assert not OBEYED & set(everything)
    for command in ("report", "status", "nodes", "drift"):
        told = aftermath.site.command(command, str(aftermath.site.repo))
        assert told.returncode in {0, 2}
        assert not OBEYED & set(told.stdout + told.stderr)


def test_a_planted_run_root_is_refused_and_nothing_is_written_through_it(tmp_path: Path, require_nodes: None) -> None:
    plants = {
        "link": "ln -s /home/guest /var/lib/reconciler",
        "owner": "mkdir /var/lib/reconciler; chown guest /var/lib/reconciler",
        "mode": "mkdir -m 777 /var/lib/reconciler",
        "runs": "mkdir -m 700 /var/lib/reconciler; ln -s /home/guest /var/lib/reconciler/runs",
    }
    with start_fleet(tmp_path / "nodes", specs=[NodeSpec(name=name) for name in (*plants, HEALTHY)]) as fleet:
        site = Site(tmp_path / "site", fleet)
        site.standard(fleet.nodes)
        for node, plant in zip(fleet.nodes, plants.values(), strict=False):
            node.run(["sh", "-c", plant])
        result = site.once()
        for number, node in enumerate(fleet.nodes, 1):
            report = result.reports[NodeId(f"web-{number:02}")]
            is_healthy = node.name == HEALTHY
            assert bodies(node) == int(is_healthy)
            assert (report.status is Status.COMPLIANT) is is_healthy
            said = "; ".join(reported.finding.reason for reported in report.findings)
            assert is_healthy or "/var/lib/reconciler" in said, said
            assert node.run(["ls", "-A", "/home/guest"]).stdout.split() in ([], [".bash_logout", ".bashrc", ".profile"])
