"""Asking many nodes: each is told apart, none waits for another, and what is not known is never taken for nothing."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.inventory.collect import DAY, HOUR, Collected, collect, held_for
from reconciler.inventory.facts import FACTS
from reconciler.inventory.observed import Facts
from reconciler.model.command import Answer, Program
from reconciler.model.known import Known, Unknown
from reconciler.model.node import Node
from reconciler.model.questions import Questions
from tests.inventory.asking import EVERY_PATCH, FOR_PATCHES, NOON, CannedSession, asked_of, connect_by, framed

Sections = Mapping[str, str | tuple[str, str]]

TEXTS = (
    "grep 0\n+ users /etc/passwd\n+ groups /etc/group\n+ mounts /proc/self/mounts\n"
    "/etc/passwd:root:x:0:0:root:/root:/bin/sh\n/etc/group:root:x:0:\n/proc/self/mounts:/dev/sda / ext4 rw 0 0"
)
FULL: Sections = {
    "at.users": "81a4 users\n",
    "at.groups": "81a4 groups\n",
    "at.mounts": "boot",
    "at.os": "81a4 os\n",
    "at.packages": "81a4 status\n",
    "at.interfaces": "boot",
    "texts": TEXTS,
    "ports": ("unknown", "no proc"),
    "os": "arch x86_64\ninit other\nID=debian",
    "kernel": "release 6.1",
    "identity": "machine_id m\nhostname h\nboot_id boot\nuser ops\nacknowledged none",
    "clock": "2026-01-31 12:00:00.500 +0000\nuptime 5.5",
    "packages": "dpkg\nii \tdpkg\t1.21\tamd64",
    "services": "sysv",
    "interfaces": "sys\nlink eth0 02",
    "files": "--",
    "checks": "",
}


def node(name: str) -> Node:
    return Node(id=NodeId(name))


def always(sections: Sections) -> Callable[[Program], Answer]:
    def answer(program: Program) -> Answer:
        return Answer(stdout=framed(asked_of(program), sections), stderr=b"", exit_status=0)

    return answer


def ask_one(
    sections: Sections,
    *,
    before: Collected | None = None,
    questions: Questions | None = None,
    now: datetime = NOON,
    host_key: str = "ssh-ed25519 AAAA",
    afresh: bool = False,
) -> tuple[Collected, Program]:
    programs: list[Program] = []

    def answer(program: Program) -> Answer:
        programs.append(program)
        return always(sections)(program)

    web = node("web-01")
    found = collect(
        [web],
        {web.id: questions or Questions(mounts=False, ports=())},
        connect_by({web.id: CannedSession(web, answer, host_key)}),
        before={} if before is None else {web.id: before},
        clock=lambda: now,
        afresh=afresh,
    )
    return found[web.id], programs[0]


def holds(program: Program, section: str) -> bool:
    return f"\nheld_{section}='".encode() in program.text


def test_each_node_gets_its_own_facts_in_the_order_asked() -> None:
    names = ["b", "c", "a"]
    sessions = {name: CannedSession(node(name), always({**FULL, "kernel": f"release {name}"})) for name in names}
    heard: list[str] = []
    found = collect(map(node, names), {}, connect_by(sessions), workers=2, on_node=lambda one, _: heard.append(one.id))
    assert list(found) == names
    assert sorted(heard) == sorted(names)
    assert [found[NodeId(name)].facts.get("kernel", "release") for name in names] == [Known(name) for name in names]


def test_no_nodes_give_no_facts() -> None:
    assert collect([], {}, connect_by({})) == {}


def test_a_node_that_fails_is_unknown_with_its_reason_and_its_last_facts_are_kept() -> None:
    web, old = node("web-01"), node("old-01")
    last, _ = ask_one(FULL)
    trouble = NodeTimeout(web.id, "the node sent nothing for 30 s")
    found = collect(
        [web, old],
        {},
        connect_by({web.id: trouble, old.id: NodeUnreachable(old.id, "connection refused")}),
        before={web.id: last},
        clock=lambda: NOON + timedelta(hours=1),
    )
    assert found[web.id].error is trouble
    assert found[web.id].facts.sections == last.facts.sections
    assert found[web.id].facts.get("packages", "dpkg") == Unknown("the node sent nothing for 30 s")
    assert found[web.id].collected_at == NOON
    assert found[web.id].fingerprints == last.fingerprints
    assert found[old.id].facts == Facts(node=old.id, unreachable="connection refused")


def test_a_slow_node_does_not_hold_up_the_others() -> None:
    slow_may_answer = threading.Event()
    others: list[str] = []

    def slowly(program: Program) -> Answer:
        assert slow_may_answer.wait(60)
        return always(FULL)(program)

    def heard(one: Node, _: Collected) -> None:
        others.append(one.id)
        if len(others) == 9:
            slow_may_answer.set()

    names = [f"n{number}" for number in range(9)]
    sessions = {name: CannedSession(node(name), always(FULL)) for name in names}
    sessions["slow"] = CannedSession(node("slow"), slowly)
    found = collect(map(node, ["slow", *names]), {}, connect_by(sessions), workers=2, on_node=heard)
    assert others[-1] == "slow"
    assert all(one.facts.unreachable is None for one in found.values())


def test_like_nodes_share_their_rows() -> None:
    sessions = {name: CannedSession(node(name), always(FULL)) for name in ("a", "b")}
    found = collect(map(node, sessions), {}, connect_by(sessions))
    assert found[NodeId("a")].facts.sections["packages"] is found[NodeId("b")].facts.sections["packages"]


def test_unchanged_sections_are_those_that_were_held() -> None:
    first, asked = ask_one(FULL)
    assert not holds(asked, "packages")
    answer: dict[str, str | tuple[str, str]] = dict.fromkeys(
        ("packages", "os", "users", "groups", "mounts", "interfaces"), ("unchanged", "")
    )
    rest = {name: FULL[name] for name in ("kernel", "identity", "clock", "services", "files", "checks")}
    later = NOON + timedelta(minutes=10)
    second, asked = ask_one(
        {**answer, **rest, "texts": "grep 1\n", "ports": ("unknown", "no proc")}, before=first, now=later
    )
    assert holds(asked, "packages")
    assert second.facts.sections["packages"] is first.facts.sections["packages"]
    assert second.facts == replace(first.facts, sections=second.facts.sections)
    assert second.facts.sections == first.facts.sections
    assert second.read_at["packages"] == NOON
    assert second.collected_at == later


def test_unchanged_of_what_was_never_held_is_unknown() -> None:
    found, _ = ask_one({**FULL, "packages": ("unchanged", "")})
    packages = found.facts.section("packages")
    assert isinstance(packages, Unknown)
    assert "nothing is held" in packages.why


def test_another_host_key_at_the_same_address_holds_nothing() -> None:
    first, _ = ask_one(FULL)
    _, asked = ask_one(FULL, before=first, host_key="ssh-ed25519 BBBB")
    assert not holds(asked, "packages")


@pytest.mark.parametrize("section", sorted(FACTS))
def test_a_section_that_does_not_arrive_is_unknown_and_takes_no_other_with_it(section: str) -> None:
    lost = "texts" if section not in FULL or section == "ports" else section
    sections = {name: text for name, text in FULL.items() if name not in (section, lost)}
    found, _ = ask_one(sections)
    assert isinstance(found.facts.section(section), Unknown)
    assert isinstance(found.facts.get(section, "anything"), Unknown)
    known = {name for name in FULL if isinstance(found.facts.section(name), Known)}
    assert known >= {"os", "kernel", "packages"} - {section}


def test_an_empty_answer_makes_everything_unknown_with_what_the_node_said() -> None:
    web = node("web-01")
    answer = Answer(stdout=b"", stderr=b"sh: 1: cannot fork: Resource temporarily unavailable\n", exit_status=2)
    found = collect(
        [web],
        {web.id: EVERY_PATCH},
        connect_by({web.id: CannedSession(web, lambda _: answer)}),
    )[web.id].facts
    for section in FACTS:
        told = found.section(section)
        assert isinstance(told, Unknown)
        assert told.why.startswith("the answer is empty; the program ended with exit status 2: sh: 1: cannot fork")


@given(st.sampled_from(sorted(set(FULL) - {"texts"})), st.text(st.characters(blacklist_categories=["Cs"]), max_size=40))
def test_any_text_of_a_node_is_rows_or_unknown_and_never_an_exception(section: str, text: str) -> None:
    found, _ = ask_one({**FULL, section: text})
    assert set(found.facts.sections) == set(FACTS) - FOR_PATCHES


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=60))
def test_any_small_files_are_rows_or_unknown_and_never_an_exception(text: str) -> None:
    found, _ = ask_one({**FULL, "texts": f"grep 0\n{text}"})
    assert isinstance(found.facts.section("users"), Unknown)
    assert isinstance(found.facts.section("packages"), Known)


def test_a_section_may_be_held_for_a_day_at_most_and_nodes_are_not_read_again_all_at_once() -> None:
    first, _ = ask_one(FULL)
    asked = Questions(mounts=False, ports=())

    def held(name: str, age: timedelta) -> set[str]:
        return set(held_for(first, now=NOON + age, node=NodeId(name), questions=asked))

    names = [f"web-{number}" for number in range(200)]
    for name in names:
        assert held(name, timedelta(0)) == {"users", "groups", "mounts", "os", "packages", "interfaces"}
        assert held(name, HOUR) == {"users", "groups", "os", "packages"}
        assert held(name, DAY) == set()
        assert held(name, -timedelta(seconds=1)) == set()  # our clock was set back: how old it is cannot be told
    due = [name for name in names if "packages" not in held(name, 0.9 * DAY)]
    assert 40 < len(due) < 160


def test_what_expectations_rest_on_is_read_in_every_pass() -> None:
    found, _ = ask_one(FULL)
    found = replace(found, fingerprints={**found.fingerprints, "ports": "boot"})
    later = NOON + timedelta(minutes=1)

    def held(questions: Questions) -> set[str]:
        return set(held_for(found, now=later, node=NodeId("web-01"), questions=questions))

    assert {"ports", "mounts"} <= held(Questions(mounts=False, ports=()))
    assert not {"ports", "mounts"} & held(Questions(mounts=True, ports=(443,)))
    assert not {"ports", "mounts"} & held(Questions())


def test_after_a_run_everything_without_a_sure_sign_is_looked_at_afresh() -> None:
    first, _ = ask_one(FULL)
    _, asked = ask_one(FULL, before=first, afresh=True)
    assert holds(asked, "packages")
    assert not holds(asked, "mounts")
    assert not holds(asked, "interfaces")


@pytest.mark.parametrize(
    ("told", "skew"),
    [
        pytest.param("2026-01-31 12:00:00.000 +0000", 0.0, id="the same"),
        pytest.param("2026-01-31 12:05:00.000 +0000", 300.0, id="ahead"),
        pytest.param("2026-01-31 11:59:00.000 +0000", -60.0, id="behind"),
        pytest.param("whenever", None, id="not told"),
    ],
)
def test_the_skew_of_a_node_s_clock(told: str, skew: float | None) -> None:
    found, _ = ask_one({**FULL, "clock": f"{told}\nuptime 1"})
    assert found.skew_seconds == skew
