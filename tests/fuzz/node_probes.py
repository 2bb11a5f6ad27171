"""What nodes say: answers in frames, each fact's text, and what run folders tell."""

import json
from datetime import UTC, datetime, timedelta

from reconciler.ids import FleetId, NodeId, RunId
from reconciler.inventory.canonical import canonical, read_canonical
from reconciler.inventory.decode import Parses, Request, decode
from reconciler.inventory.fact import Asked
from reconciler.inventory.facts import FACTS
from reconciler.inventory.frames import Status, read_frames
from reconciler.inventory.observed import Facts
from reconciler.model.known import JsonValue, Known, Unknown
from reconciler.model.questions import Check, Questions
from reconciler.rollout.manifest import Manifest, read_manifest
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.record import record_of
from reconciler.rollout.settle import leftovers
from reconciler.rollout.sight import Refusal, read_report
from tests.fuzz.target import ROOT, Target, bound, outcome, unbound
from tests.support.cases import read_cases

WEB = NodeId("web-01")
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
NONCE = "0123456789abcdef" * 2
LONGEST_WHY = 4000
"""Characters: a reason goes into a report, and a node may not fill it."""
QUESTIONS = Questions(
    files=("/etc/motd", "/etc/ssh/sshd_config", "/srv/a b"),
    sysctls=("net.ipv4.ip_forward", "vm.swappiness"),
    services=("nginx", "ssh"),
    checks=(Check(script="test -e /x"), Check(script="true", as_root=True)),
    ports=(443, 32768),
    patches=True,
)


def _cases() -> list[tuple[str, str]]:
    """Give the sections of the answers kept for the tests of the facts."""
    found = []
    for path in sorted((ROOT / "tests/inventory/cases").glob("*/*.yaml")):
        said = read_cases(path)["stdout"]
        if len(said) < 20_000:
            found.append((path.parent.name, said))
    return found


def _framed(sections: list[tuple[str, str, bytes]]) -> bytes:
    parts = [f"{NONCE} {name} {status} {len(text)}\n".encode() + text + b"\n" for name, status, text in sections]
    return b"".join(parts) + f"{NONCE} end {len(sections)}\n".encode()


def _answers() -> list[bytes]:
    """Raw answers, and the same as sections whose lengths are put right after they were changed."""
    sections = dict(_cases())
    whole = _framed([(name, "ok", text.encode()) for name, text in sections.items()])
    apart = bound({f"{name} ok": text.encode() for name, text in sections.items()})
    each = [bound({f"{name} ok": text.encode()}) for name, text in _cases()]
    odd = bound(
        {"packages unchanged": b"", "ports unknown": b"no ss", "at.packages ok": b"1 2 3", "checks.user ok": b"0"}
    )
    doubled = bound(
        {"packages ok": b"rpm\n" + b"glibc\t(none)\t2.38-1\ti686\n" * 40_000}
    )  # once sorted anew for every line
    return [doubled, whole, b"Welcome to web-01\n" + whole, apart, odd, *each]


def answers(data: bytes) -> str:
    """Read a whole answer as `collect` does: every section is Known, or Unknown with a reason of bounded length."""
    if data.startswith(b"#### "):
        named = [name.partition(" ") for name in unbound(data)]
        data = _framed(
            [
                (name, status or "ok", text)
                for (name, _, status), text in zip(named, unbound(data).values(), strict=True)
            ]
        )
    answered = read_frames(data, NONCE)
    assert all(isinstance(frame.status, Status) for frame in answered.frames.values())
    held = decode(answered, Request(questions=QUESTIONS, now=NOW, parses=Parses()))
    facts = Facts(node=WEB, sections={name: one.section for name, one in held.items()})
    words = []
    for name, one in held.items():
        match one.section:
            case Unknown(why):
                assert why, f"{name} does not say why"
                assert len(why) < LONGEST_WHY, f"{name} says {len(why)} characters"
                words.append("-")
            case Known(rows):
                dict(rows)
                words.append("=")
    _is_kept_as_it_was(facts)
    leftovers(facts, FleetId("example"))
    return outcome("".join(words), answered.problem or "")


def _is_kept_as_it_was(facts: Facts) -> None:
    """What is committed reads back as what was observed, and is written the same again."""
    content = canonical(facts)
    again = read_canonical(facts.node, content)
    for name, section in again.sections.items():
        if isinstance(section, Known):
            before = facts.sections[name]
            assert isinstance(before, Known), name
            for row, value in section.value.items():
                assert _plain(before.value[row]) == _plain(value), (name, row)
    copy = Facts(node=facts.node, sections={name: _copied(section) for name, section in again.sections.items()})
    assert canonical(copy) == content


def _copied(section: object) -> object:
    return Known(dict(section.value)) if isinstance(section, Known) else section


def _plain(value: JsonValue) -> object:
    return json.loads(json.dumps(value, default=list))


def _facts() -> list[bytes]:
    return [bound({name: text.encode()}) for name, text in _cases()]


def facts(data: bytes) -> str:
    """Hand a text to its fact's parser alone: rows, or ValueError and nothing else."""
    words = []
    for name, text in unbound(data).items():
        if name not in FACTS:
            continue
        try:
            rows = FACTS[name].parse(text.decode("utf-8", "backslashreplace"), Asked(questions=QUESTIONS))
        except ValueError as error:
            words.append(outcome(name, str(error)))
        else:
            dict(rows)
            words.append(f"{name} read")
    return "; ".join(words[:3])


MANIFEST = {
    "run": "a" * 64,
    "fleet": "example",
    "node": "web-01",
    "association": "motd",
    "definition": "b" * 64,
    "rendered": "c" * 64,
    "n": 3,
    "cause": "Drifted",
    "epoch": 2,
    "started": "2026-08-31T12:00:00+00:00",
    "steps": ["install", "check"],
}


def _runs() -> list[bytes]:
    manifest = json.dumps(MANIFEST).encode()
    reports = (
        b"absent\n",
        b"claimed\nstate ended Success 0 12\nstanding ended\ntook 12\nstep 1 Success 0\nstep 2 Skipped 0\ndata 1 out 0 4\nabc\n\nend\n",
        b"state ended Failed 3 99\nstanding ended\ntook 5\nstep 1 Failed 194\nstep 2\ndata 1 err 0 2\nx\n\nmore\nend\n",
        b"state step 2 1700000000\nstanding going\nstep 1 TimedOut 137\nend\n",
        b"state step 1 1700000000\nstanding down\nwhy the node was booted\nend\n",
        b"state\nstanding unbegun\nend\n",
        b"state waiting 1700000000\nstanding killed\nend\n",
        b"state step 1 5\nstanding orphan\nend\n",
        b"refused busy another run goes on\n",
        b"refused differs its manifest is another\n",
    )
    return [bound({"manifest": manifest, "report": report}) for report in reports]


def runs(data: bytes) -> str:
    """Read a manifest and a report as they come back, and make the record of them."""
    parts = unbound(data)
    manifest: Manifest | None = None
    words = []
    try:
        manifest = read_manifest(parts.get("manifest", b"").decode("utf-8", "replace"), "a" * 64, WEB)
        words.append("manifest")
    except ValueError as error:
        words.append(outcome("manifest", str(error)))
    keeper = OutputKeeper(None)
    try:
        found = read_report(parts.get("report", b""))
        if isinstance(found, Refusal):
            return outcome(words[0] + " refused", found.kind)
        keeper.keep(RunId("a" * 64), found.pieces)
    except ValueError as error:
        return outcome(words[0] + " report", str(error))
    if manifest is not None:
        record = record_of(manifest, found, keeper, NOW + timedelta(hours=1))
        if record is not None:
            assert record.ended is None or record.ended.tzinfo is not None
            json.dumps(record.detail).encode()
    return outcome(words[0], f"{found.standing} {found.status}")


NODE_TARGETS = {
    "frames": Target(
        seeds=_answers,
        probe=answers,
        words=(
            NONCE.encode(),
            b" ok ",
            b" unchanged 0\n",
            b" unknown ",
            b" end 1\n",
            b"#### ",
            *(name.encode() for name in FACTS),
        ),
    ),
    "facts": Target(seeds=_facts, probe=facts, words=(b"#### ", *(name.encode() for name in FACTS))),
    "runs": Target(
        seeds=_runs,
        probe=runs,
        words=(b"standing ended\n", b"took ", b"step ", b"data 1 out 0 ", b"more\n", b"end\n", b"Success", b"why "),
    ),
}
