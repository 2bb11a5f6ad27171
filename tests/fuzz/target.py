"""What a parser that is fuzzed is made of, and the texts that hold many files in one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One kind of foreign text."""

    seeds: Callable[[], list[bytes]]
    probe: Callable[[bytes], str]
    """Reads one input and says in a word what came out; a refusal of ours is an answer, whatever else it raises is a fault."""
    words: tuple[bytes, ...] = ()
    """What stands in such texts."""


_PART = re.compile(rb"^#### (.*)\n", re.MULTILINE)


def bound(parts: Mapping[str, bytes]) -> bytes:
    """Write several named texts as one, in a form that outlives most changes."""
    return b"".join(b"#### " + name.encode() + b"\n" + text + b"\n" for name, text in parts.items())


def unbound(data: bytes) -> dict[str, bytes]:
    """Read what `bound` wrote; never raises."""
    _, *found = _PART.split(data)
    return {
        name.decode("utf-8", "replace"): text.removesuffix(b"\n")
        for name, text in zip(found[::2], found[1::2], strict=True)
    }


def outcome(kind: str, text: str = "") -> str:
    """Give a word for what came out, alike for inputs that differ in values alone: new ones show that something new was reached."""
    told = re.sub(r"'[^']*'|\"[^\"]*\"|\d+|\(met: .*?\)", "_", text[:300])
    return f"{kind} {re.sub(r'[^ -~]+', '_', told)[:120]}".strip()
