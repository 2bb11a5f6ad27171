"""OpenSSH's client configuration: text -> blocks -> what one host name is told, each value with its file and line. Pure.

Five keywords are read: HostName, Port, User, IdentityFile, ProxyJump (and ProxyCommand, so that it can be told of; nothing is
ever run). `Match` blocks are reported and apply to nobody. Whoever calls answers what an Include means: this module opens
no file. As in ssh, the first value that is met for a host is the one that counts, IdentityFile alone collects.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.text import decode
from reconciler.problem import Gravity, Problem

READ = frozenset({"hostname", "port", "user", "identityfile", "proxyjump", "proxycommand"})
DEEPEST_INCLUDE = 16
"""As in ssh."""
MOST_FILES = 1000
MOST_NAMES = 20_000
"""Host names in all blocks together: twice the largest fleet."""
MOST_WILDCARDS = 1000
"""Blocks with patterns that have to be tried on every name."""
_LONGEST_PATTERN = 256
_HOP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@]*)@)?(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^@:/\[\]]+))(?::(?P<port>[0-9]{1,5}))?/?"
)
_WORD = re.compile(r'\s*(?:"([^"]*)"|([^\s"]+))')
_KEYWORD = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:\s*=\s*|\s+|$)")


class Said(NamedTuple):
    """A value, and where it stands."""

    text: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """Give its file and line."""
        return f"{self.file}:{self.line}"


Patterns: TypeAlias = tuple[str, ...]
Include: TypeAlias = Callable[[str], "tuple[tuple[str, bytes], ...] | str"]
"""The argument of an Include -> the files it means, by name; or why it is not followed."""


@dataclass(slots=True)
class _Block:
    """Settings under the same conditions: every list of patterns must match; None matches nobody."""

    conditions: tuple[Patterns | None, ...]
    settings: list[tuple[str, Said]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSays:
    """What the configuration says about one name; None where it says nothing."""

    hostname: Said | None = None
    port: Said | None = None
    user: Said | None = None
    identity_files: tuple[Said, ...] = ()
    proxy_jump: Said | None = None
    proxy_command: Said | None = None
    """Only where it comes before any ProxyJump: the first of the two is the one that counts."""


@dataclass(frozen=True, slots=True)
class SshConfig:
    """A configuration as read, included files and all."""

    names: Mapping[str, Said]
    """Every host name that is written without wildcards, in order."""
    problems: tuple[Problem, ...]
    """Errors, and as lints what is not followed."""
    _always: tuple[tuple[int, _Block], ...]
    _by_name: Mapping[str, tuple[tuple[int, _Block], ...]]

    def about(self, name: str) -> HostSays:
        """Give what counts for a host name."""
        candidates = sorted((*self._always, *self._by_name.get(name.lower(), ())), key=lambda numbered: numbered[0])
        first: dict[str, Said] = {}
        identities: list[Said] = []
        for _, block in candidates:
            if not all(patterns is not None and matches(name, patterns) for patterns in block.conditions):
                continue
            for keyword, said in block.settings:
                if keyword == "identityfile":
                    identities.append(said)
                elif keyword in {"proxyjump", "proxycommand"}:
                    if not first.keys() & {"proxyjump", "proxycommand"}:
                        first[keyword] = said
                else:
                    first.setdefault(keyword, said)
        return HostSays(
            hostname=first.get("hostname"),
            port=first.get("port"),
            user=first.get("user"),
            identity_files=tuple(dict.fromkeys(identities)),
            proxy_jump=first.get("proxyjump"),
            proxy_command=first.get("proxycommand"),
        )


@dataclass(frozen=True, slots=True)
class Hop:
    """One host of a ProxyJump."""

    host: str
    user: str | None
    port: int | None


def read_hop(text: str) -> Hop | None:
    """Read `[user@]host[:port]`; None where it is something else."""
    found = _HOP.fullmatch(text.strip())
    port = None if found is None or found["port"] is None else int(found["port"])
    if found is None or (port is not None and not 1 <= port <= 65535):  # noqa: PLR2004  (ports end there)
        return None
    return Hop(found["v6"] or found["host"], found["user"] or None, port)


def expanded_name(name: str, hostname: str) -> str | None:
    """Fill a name into HostName, where %h stands for it; None where another variable is left."""
    if re.search(r"%[a-zA-Z]", hostname.replace("%h", "").replace("%%", "")) and ":" not in hostname:
        return None
    return re.sub(r"%([h%])", lambda token: name if token[1] == "h" else "%", hostname)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Say whether a Host line means a name: one pattern fits, and no negated one does."""
    found = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if _fits(name.lower(), pattern[1:].lower()):
                return False
        else:
            found = found or _fits(name.lower(), pattern.lower())
    return found


def _fits(name: str, pattern: str) -> bool:
    """Match `*` and `?` by going back to the last star alone: `*a*a*a*b` costs no more than its length times the name's."""
    at = star = 0
    last_star = -1
    here = 0
    while here < len(name):
        if at < len(pattern) and pattern[at] == "*":
            last_star, star, at = at, here, at + 1
        elif at < len(pattern) and pattern[at] in {"?", name[here]}:
            at, here = at + 1, here + 1
        elif last_star >= 0:
            star += 1
            at, here = last_star + 1, star
        else:
            return False
    return not pattern[at:].strip("*")


def read_ssh_config(file: str, data: bytes, include: Include) -> SshConfig:
    """Read a configuration; `include` says what Include lines mean."""
    reader = _Reader(include)
    reader.read(file, data, conditions=(), depth=0)
    return reader.done()


class _Reader:
    """Goes through the files in the order in which ssh does."""

    def __init__(self, include: Include) -> None:
        self._include = include
        self._blocks: list[_Block] = []
        self._names: dict[str, Said] = {}
        self._problems: list[Problem] = []
        self._files = 0

    def read(self, file: str, data: bytes, *, conditions: tuple[Patterns | None, ...], depth: int) -> None:
        mistakes = Mistakes(file)
        self._files += 1
        text = decode(data, mistakes)
        block = self._begin(conditions)
        for number, raw in enumerate((text or "").splitlines(), start=1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            found = _KEYWORD.match(line)
            words = None if found is None else _words(line[found.end() :])
            if found is None or words is None:
                problem = "a quote that is not closed" if found else "not a line of an ssh configuration"
                mistakes.error((number, 1), problem, value=line, remedy="write `Keyword value`")
                continue
            keyword = found[1].lower()
            if keyword == "host":
                self._note_names(words, file, number, mistakes)
                block = self._begin((*conditions, tuple(words)))
            elif keyword == "match":
                mistakes.lint(
                    (number, 1),
                    "a Match block is not followed: what stands in it is left out",
                    value=line,
                    remedy="write what you need under Host",
                )
                block = self._begin((*conditions, None))
            elif keyword == "include":
                self._problems.extend(mistakes.problems)
                mistakes.problems.clear()
                self._follow(words, mistakes, number, block, depth)
                block = self._begin(block.conditions)
            elif keyword in READ:
                self._take(keyword, words, line[found.end() :], Said("", file, number), block, mistakes)
        self._problems.extend(mistakes.problems)

    def _begin(self, conditions: tuple[Patterns | None, ...]) -> _Block:
        block = _Block(conditions)
        self._blocks.append(block)
        return block

    def _note_names(self, words: list[str], file: str, number: int, mistakes: Mistakes) -> None:
        if not words:
            mistakes.error((number, 1), "Host without a name", remedy="write `Host NAME`")
        for word in words:
            if len(word) > _LONGEST_PATTERN:
                mistakes.error((number, 1), f"a name of more than {_LONGEST_PATTERN} characters", value=word)
            elif not re.search(r"[*?!]", word) and len(self._names) < MOST_NAMES:
                self._names.setdefault(word, Said(word, file, number))
        if len(self._names) >= MOST_NAMES:
            mistakes.error((number, 1), f"more than {MOST_NAMES} host names", remedy="import it in parts")

    def _follow(self, words: list[str], mistakes: Mistakes, number: int, block: _Block, depth: int) -> None:
        for word in words:
            if depth >= DEEPEST_INCLUDE or self._files >= MOST_FILES:
                limit = f"{DEEPEST_INCLUDE} levels" if depth >= DEEPEST_INCLUDE else f"{MOST_FILES} files"
                mistakes.error((number, 1), f"Include beyond {limit}", value=word, remedy="write it flatter")
                return
            files = self._include(word)
            if isinstance(files, str):
                mistakes.lint((number, 1), f"Include is not followed: {files}", value=word)
                continue
            for name, data in files:
                if self._files >= MOST_FILES:
                    break
                self.read(name, data, conditions=block.conditions, depth=depth + 1)

    def _take(self, keyword: str, words: list[str], rest: str, place: Said, block: _Block, mistakes: Mistakes) -> None:
        if not words:
            mistakes.error((place.line, 1), f"{keyword} without a value", remedy="write one, or remove the line")
            return
        text = rest.strip() if keyword == "proxycommand" else words[0]
        if keyword == "port" and not (re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= 65535):  # noqa: PLR2004
            mistakes.error((place.line, 1), "not a port number", value=text, remedy="write 1 to 65535")
            return
        block.settings.append((keyword, place._replace(text=text)))

    def done(self) -> SshConfig:
        always: list[tuple[int, _Block]] = []
        by_name: dict[str, list[tuple[int, _Block]]] = {}
        for number, block in enumerate(self._blocks):
            if not block.settings or None in block.conditions:
                continue
            exact = _exact_names(block)
            if exact is None:
                always.append((number, block))
            for name in exact or ():
                by_name.setdefault(name, []).append((number, block))
        if len(always) > MOST_WILDCARDS:
            said = always[-1][1].settings[0][1]
            self._problems.append(
                Problem(
                    file=said.file,
                    line=said.line,
                    message=f"more than {MOST_WILDCARDS} Host blocks with wildcards",
                    remedy="write fewer, or import it in parts",
                )
            )
            always = []
        problems = tuple(sorted(self._problems, key=lambda p: (p.gravity is Gravity.LINT, p.file, p.line)))
        return SshConfig(
            dict(self._names), problems, tuple(always), {name: tuple(blocks) for name, blocks in by_name.items()}
        )


def _exact_names(block: _Block) -> frozenset[str] | None:
    """Give the only names a block can be about; None where it has to be tried on every name."""
    for patterns in block.conditions:
        wanted = [pattern.lower() for pattern in patterns or () if not pattern.startswith("!")]
        if not any(re.search(r"[*?]", pattern) for pattern in wanted):
            return frozenset(wanted)
    return None


def _words(text: str) -> list[str] | None:
    """Split a line's values as ssh does: quotes hold blanks, `#` begins a comment; None for a quote without its end."""
    words = []
    text = text.rstrip()
    at = 0
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None:
            return None
        word = found[1] if found[1] is not None else found[2]
        if found[2] is not None and word.startswith("#"):
            break
        words.append(word)
        at = found.end()
    return words
