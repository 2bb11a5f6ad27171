"""The committed form of facts: the same facts, the same bytes; and what is read back is what was known."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ids import NodeId
from reconciler.inventory.canonical import canonical, read_canonical
from reconciler.inventory.observed import SECTIONS, VOLATILE, VOLATILE_ROWS, Facts
from reconciler.inventory.rows import Rows
from reconciler.model.known import JsonValue, Known, Observed, Unknown

NODE = NodeId("web-01")

keys = st.text(st.characters(blacklist_categories=["Cs"]), min_size=0, max_size=12)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(st.characters(blacklist_categories=["Cs"]))
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=6,
)
sections = st.dictionaries(
    st.sampled_from(SECTIONS),
    st.one_of(
        st.builds(Unknown, st.text(st.characters(blacklist_categories=["Cs"]))),
        st.dictionaries(keys, values, max_size=8).map(Known),
    ),
)
facts = st.builds(
    Facts, node=st.just(NODE), sections=sections, unreachable=st.one_of(st.none(), st.sampled_from(["timed out", ""]))
)


def lasting(found: Facts) -> dict[str, Observed[Mapping[str, JsonValue]]]:
    """What is left of facts when nothing volatile counts."""
    left: dict[str, Observed[Mapping[str, JsonValue]]] = {}
    for name, section in found.sections.items():
        if name in VOLATILE:
            continue
        if isinstance(section, Known):
            rows = {key: value for key, value in section.value.items() if (name, key) not in VOLATILE_ROWS}
            left[name] = Known(rows)
        else:
            left[name] = section
    return left


@given(facts)
def test_what_is_read_back_is_what_was_known_less_the_volatile(found: Facts) -> None:
    read = read_canonical(NODE, canonical(found))
    assert read.unreachable == found.unreachable
    assert dict(read.sections.items()) == lasting(found)
    for name, section in lasting(found).items():
        assert name in read.sections
        if isinstance(section, Known):
            rows = read.sections[name]
            assert isinstance(rows, Known)
            assert len(rows.value) == len(section.value)
            assert {key: rows.value[key] for key in section.value} == section.value
            assert rows.value.get("no such key at all") == section.value.get("no such key at all")


@given(facts)
def test_the_same_facts_give_the_same_bytes_however_they_are_held(found: Facts) -> None:
    shuffled = {
        name: Known(Rows(dict(reversed(list(section.value.items()))))) if isinstance(section, Known) else section
        for name, section in reversed(list(found.sections.items()))
    }
    content = canonical(found)
    assert canonical(Facts(node=NODE, sections=shuffled, unreachable=found.unreachable)) == content
    read = read_canonical(NODE, content)
    assert canonical(read) == content
    again = Facts(node=NODE, sections=dict(read.sections.items()), unreachable=read.unreachable)
    assert canonical(again) == content


@given(facts)
def test_the_file_is_json_of_one_row_a_line_in_order(found: Facts) -> None:
    content = canonical(found)
    parsed = json.loads(content)
    first, *lines, last, nothing = content.split(b"\n")
    assert (first, last, nothing) == (b"{", b"}", b"")
    assert len(lines) == len(parsed)
    assert lines == sorted(lines)


def test_a_file_as_people_see_it() -> None:
    found = Facts(
        node=NODE,
        sections={
            "packages": Known({"nginx": "1.22.1-9 amd64", "linux-image": ["6.1 amd64", "6.2 amd64"]}),
            "identity": Known({"hostname": "web-01", "boot_id": "volatile", "acknowledged": 7}),
            "services": Unknown("systemctl list-units: exit status 1"),
            "holds": Known({}),
            "clock": Known({"epoch": 1}),
        },
    )
    assert canonical(found).decode() == (
        "{\n"
        '"empty/holds": true,\n'
        '"identity/hostname": "web-01",\n'
        '"packages/linux-image": ["6.1 amd64","6.2 amd64"],\n'
        '"packages/nginx": "1.22.1-9 amd64",\n'
        '"unknown/services": "systemctl list-units: exit status 1"\n'
        "}\n"
    )


def test_last_known_facts_of_an_unreachable_node_are_kept_and_none_may_be_used() -> None:
    found = Facts(node=NODE, sections={"packages": Known({"a": "1 all"})}, unreachable="timed out")
    read = read_canonical(NODE, canonical(found))
    assert read.sections["packages"] == Known({"a": "1 all"})
    assert read.get("packages", "a") == Unknown("timed out")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]\n", b"{\n", b'{\n"os/id": "debian"\n', b"<html>\n}\n"])
def test_bytes_that_are_no_facts_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a list of facts"):
        read_canonical(NODE, content)


def test_a_row_that_is_garbled_in_the_repository_is_unknown() -> None:
    read = read_canonical(NODE, b'{\n"packages/a": "1 all",\n"packages/b": oops,\n"packages/c": "1 all"\n}\n')
    assert read.get("packages", "a") == Known("1 all")
    assert isinstance(read.get("packages", "b"), Unknown)
    assert read.get("packages", "c") == Known("1 all")
    assert read.get("packages", "d") == Known(None)
    section = read.section("packages")
    assert isinstance(section, Known)
    assert list(section.value) == ["a", "b", "c"]


def test_a_file_somebody_put_out_of_order_is_read_all_the_same() -> None:
    read = read_canonical(NODE, b'{\n"packages/c": "3 all",\n"packages/a": "1 all",\n"packages/b": "2 all"\n}\n')
    section = read.section("packages")
    assert isinstance(section, Known)
    assert dict(section.value) == {"a": "1 all", "b": "2 all", "c": "3 all"}
    assert [read.get("packages", name) for name in "abc"] == [Known("1 all"), Known("2 all"), Known("3 all")]
