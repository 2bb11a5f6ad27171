"""A plan for people and programs: takes a Plan or a difference, gives text, Markdown or versioned JSON; pure.

Everything that nodes or the repository said goes through `fit` on its way out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC
from functools import partial
from itertools import groupby
from operator import attrgetter

import orjson

from reconciler.drift.text import instant_text
from reconciler.foreign_text import Sink, fit
from reconciler.plan.difference import PlanDifference
from reconciler.plan.digest import item_fields
from reconciler.plan.plan import LeftOut, Plan, PlanItem, Removal

VERSION = 1
_NAMED_NODES = 20
"""Nodes that one line names; the JSON names all."""
_SHORT = 12
"""Digits of a digest that people compare."""
_text: Callable[[str], str] = partial(fit, sink=Sink.TERMINAL)
_markdown: Callable[[str], str] = partial(fit, sink=Sink.MARKDOWN)


def plan_text(plan: Plan) -> str:
    """Show a plan on a terminal: what runs, what is left out, what is removed, what is worth knowing."""
    lines = [
        f"Plan {plan.digest[:_SHORT]} for commit {(plan.commit or 'of a working tree')[:_SHORT]} as of {instant_text(plan.at)}",
        _summary(plan),
    ]
    lines += _section("Runs", _item_lines(plan.items, _text))
    lines += _section("Left out", _left_out_lines(plan.left_out, _text))
    lines += _section("No longer managed", _removal_lines(plan.removals, _text))
    lines += _section("Notes", map(_text, plan.notes))
    return "\n".join(lines) + "\n"


def plan_markdown(plan: Plan) -> str:
    """Show a plan as a comment on a pull request."""
    lines = [f"### Plan `{plan.digest[:_SHORT]}`", "", f"{_summary(plan)} As of {instant_text(plan.at)}."]
    lines += _list("Runs", _item_lines(plan.items, _markdown))
    lines += _list("Left out", _left_out_lines(plan.left_out, _markdown))
    lines += _list("No longer managed", _removal_lines(plan.removals, _markdown))
    lines += _list("Notes", map(_markdown, plan.notes))
    return "\n".join(lines) + "\n"


def difference_text(found: PlanDifference) -> str:
    """Show what a change does, on a terminal."""
    if not found:
        lines = ["The change runs nothing, and holds nothing back, that the base did not."]
    else:
        lines = [_difference_summary(found)]
    for title, entries in _difference_sections(found, _text):
        lines += _section(title, entries)
    return "\n".join(lines) + "\n"


def difference_markdown(found: PlanDifference) -> str:
    """Show what a change does, as a comment on a pull request."""
    nothing = "It runs nothing, and holds nothing back, that the base did not."
    lines = ["### What this change does", "", _difference_summary(found) if found else nothing]
    for title, entries in _difference_sections(found, _markdown):
        lines += _list(title, entries)
    return "\n".join(lines) + "\n"


def plan_json(plan: Plan) -> bytes:
    """Give one versioned document, sorted: the same plan, the same bytes."""
    value = {
        "version": VERSION,
        "digest": plan.digest,
        "commit": plan.commit,
        "trees": dict(plan.trees),
        "history": plan.history,
        "facts": plan.facts,
        "at": plan.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "mode": plan.mode.value,
        "items": [_item_json(item) for item in plan.items],
        "left_out": [
            {
                "node": left.node,
                "association": left.association,
                "reason": left.reason,
                "until": None if left.until is None else instant_text(left.until),
            }
            for left in plan.left_out
        ],
        "removals": [
            {"node": removal.node, "association": removal.association, "reason": removal.reason}
            for removal in plan.removals
        ],
        "notes": list(plan.notes),
    }
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _item_json(item: PlanItem) -> Mapping[str, object]:
    changes = [
        {"subject": each.subject, "expected": each.expected, "observed": each.observed} for each in item.expected_change
    ]
    fetches = [{"source": each.source, "pin": each.pin, "mutable": each.mutable} for each in item.fetches]
    return {**item_fields(item), "reason": item.reason, "expected_change": changes, "fetches": fetches}


def _summary(plan: Plan) -> str:
    nodes = len({item.node for item in plan.items})
    runs = f"{_count(len(plan.items), 'run')} on {_count(nodes, 'node')}" if plan.items else "Nothing to run"
    rest = [
        f"{len(entries)} {words}"
        for entries, words in ((plan.left_out, "left out"), (plan.removals, "no longer managed"))
        if entries
    ]
    return f"{', '.join([runs, *rest])}."


def _difference_summary(found: PlanDifference) -> str:
    return (
        f"{_count(len(found.added), 'more run')}, {_count(len(found.changed), 'other run')}, "
        f"{_count(len(found.gone), 'run')} less, {len(found.left_out)} newly left out, "
        f"{len(found.removals)} no longer managed."
    )


def _difference_sections(found: PlanDifference, shown: Callable[[str], str]) -> tuple[tuple[str, Iterable[str]], ...]:
    return (
        ("Would run", _item_lines(found.added, shown)),
        ("Would run otherwise", _item_lines(tuple(changed.after for changed in found.changed), shown)),
        ("Would no longer run", _item_lines(found.gone, shown)),
        ("Newly left out", _left_out_lines(found.left_out, shown)),
        ("No longer managed", _removal_lines(found.removals, shown)),
        ("Notes", map(shown, found.notes)),
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _section(title: str, entries: Iterable[str]) -> list[str]:
    indented = [f"  {line}" for entry in entries for line in entry.split("\n")]
    return ["", title, *indented] if indented else []


def _list(title: str, entries: Iterable[str]) -> list[str]:
    items = ["- " + entry.replace("\n", "\n  ") for entry in entries]
    return ["", f"**{title}**", "", *items] if items else []


def _item_lines(items: tuple[PlanItem, ...], shown: Callable[[str], str]) -> Iterator[str]:
    """One entry for all nodes that an association runs on for one reason."""
    same: dict[tuple[object, ...], list[PlanItem]] = {}
    for item in items:
        key = (item.association, item.document, item.cause, item.reason, item.opaque, item.forced, item.rendered)
        same.setdefault(key, []).append(item)
    for group in same.values():
        first = group[0]
        canary = next((item.node for item in group if item.canary), None)
        head = f"{shown(first.association)} ({shown(first.document)}) on {_nodes((i.node for i in group), shown)}"
        told = [f"{first.cause.value}: {shown(first.reason)}"]
        told += [f"{shown(d.subject)}: {shown(d.observed)} -> {shown(d.expected)}" for d in first.expected_change]
        told += [f"downloads {shown(each.in_words)}" for each in first.fetches]
        if first.opaque:
            told.append("what it changes cannot be told beforehand (opaque)")
        if canary is not None:
            told.append(f"never applied before: {shown(canary)} goes first, alone")
        yield "\n".join([head, *(f"  {line}" for line in told)])


def _nodes(nodes: Iterable[str], shown: Callable[[str], str]) -> str:
    names = list(nodes)
    named = ", ".join(shown(name) for name in names[:_NAMED_NODES])
    return named if len(names) <= _NAMED_NODES else f"{named} and {len(names) - _NAMED_NODES} more"


def _left_out_lines(left_out: tuple[LeftOut, ...], shown: Callable[[str], str]) -> Iterator[str]:
    ordered = sorted(left_out, key=lambda left: (left.association, left.reason, left.node or ""))
    for (association, reason), group in groupby(ordered, key=attrgetter("association", "reason")):
        entries = list(group)
        until = next((left.until for left in entries if left.until is not None), None)
        nodes = [left.node for left in entries if left.node is not None]
        where = f" on {_nodes(nodes, shown)}" if nodes else ""
        yield f"{shown(association)}{where}: {shown(reason)}{'' if until is None else f' (until {instant_text(until)})'}"


def _removal_lines(removals: tuple[Removal, ...], shown: Callable[[str], str]) -> Iterator[str]:
    for removal in removals:
        what = " on ".join(shown(name) for name in (removal.association, removal.node) if name is not None)
        yield f"{what}: {shown(removal.reason)}"
