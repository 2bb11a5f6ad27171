r"""Java's regular expressions -> those of the `regex` module (its version 1), meaning the same; pure.

`allowedPattern` is read by Java on SSM: ASCII alone in `\d`, `\w`, `\s` and the POSIX classes, unions and `&&` in classes. Read
character by character, so that what cannot be had the same is refused with its place, and never taken for something else.
SSM: `allowedPattern`; Java: java.util.regex.Pattern.
"""

import sys
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

MOST_REPEATED: Final = 100_000
"""Characters that the least repetitions of a pattern come to: about 300 bytes of memory each once it is compiled."""
DEEPEST: Final = 100
"""Groups and classes within each other: what people write has five."""

_BREAKS = "\\n\\r\\x85\\u2028\\u2029"
_CLASSES = {
    "d": "0-9",
    "w": "a-zA-Z0-9_",
    "s": " \\t\\n\\x0b\\f\\r",
    "h": " \\t\\xa0\\u1680\\u180e\\u2000-\\u200a\\u202f\\u205f\\u3000",
    "v": "\\n\\x0b\\f\\r\\x85\\u2028\\u2029",
}
_POSIX = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": "\\x00-\\x7f",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Punct": "!-/:-@\\[-`{-~",
    "Graph": "!-~",
    "Print": " -~",
    "Blank": " \\t",
    "Cntrl": "\\x00-\\x1f\\x7f",
    "XDigit": "0-9a-fA-F",
    "Space": " \\t\\n\\x0b\\f\\r",
}
_CATEGORIES = frozenset(
    major + minor
    for major, minors in {
        "L": "ultmo",
        "M": "nce",
        "N": "dlo",
        "P": "cdseifo",
        "S": "mcko",
        "Z": "slp",
        "C": "cfon",
    }.items()
    for minor in ("", *minors)
)
_NAMED = {
    "IsAlphabetic": "Alphabetic",
    "IsLetter": "L",
    "IsLowercase": "Lowercase",
    "IsUppercase": "Uppercase",
    "IsDigit": "Nd",
    "IsPunctuation": "P",
    "IsControl": "Cc",
    "IsWhite_Space": "White_Space",
    **{f"Is{name}": name for name in ("Latin", "Greek", "Cyrillic", "Han", "Hiragana", "Katakana", "Hebrew", "Arabic")},
}
_PLACES = {"A": "\\A", "z": "\\Z", "Z": f"(?=(?:\\r\\n|[{_BREAKS}])?\\Z)"}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
_JAVAS_OWN = frozenset("GNXb")
"""Letters that mean something to Java behind a backslash, and not here."""
_GROUPS = ("(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>")
_DIGITS = "0123456789"
_MOST_OCTAL = 0o377
_SURROGATES = frozenset(map(chr, range(0xD800, 0xE000)))


class PatternError(ValueError):
    """A pattern that is not Java's, or cannot be had the same here."""


class PatternNotHere(PatternError):
    """A pattern that Java may well take, and that cannot be had the same here."""


class PatternTooLarge(PatternError):
    """A pattern whose repetitions would fill the memory."""


@lru_cache(maxsize=512)
def from_java(pattern: str) -> str:
    """Give the pattern as the regex module reads it with its flag V1. Raises PatternError in words, with the character's number."""
    return _Reader(pattern).read()


@dataclass(slots=True)
class _Group:
    """A group that is open."""

    ends_ignoring: bool
    """Whether case is ignored once it is closed."""
    ends_dotall: bool
    size: int = 0
    """What came in it so far, in characters of least length."""
    last: int = 0
    """What its last part comes to: a quantifier multiplies it."""
    repeatable: bool = False


@dataclass(slots=True)
class _Reader:
    """Walks a pattern once."""

    text: str
    at: int = 0
    out: list[str] = field(default_factory=list)
    groups: int = 0
    names: set[str] = field(default_factory=set)
    ignoring: bool = False
    dotall: bool = False
    open: list[_Group] = field(default_factory=list)

    def read(self) -> str:
        """Give the translation."""
        self.open.append(_Group(ends_ignoring=False, ends_dotall=False))
        while self.at < len(self.text):
            self._part()
        if len(self.open) > 1:
            raise self._wrong("a group is not closed")
        return "".join(self.out)

    # ------------------------------------------------------------ groups and repetitions

    def _part(self) -> None:
        here = self.text[self.at]
        match here:
            case "(":
                self._opened()
            case ")":
                self._closed()
            case "|":
                self.at += 1
                self.out.append("|")
                self.open[-1].repeatable = False
            case "*" | "+" | "?" | "{":
                self._repeated(here)
            case "[":
                self._add(self._class())
            case "\\":
                self._escaped()
            case ".":
                self.at += 1
                self._add("(?s:.)" if self.dotall else f"[^{_BREAKS}]")
            case "^":
                self.at += 1
                self._add("\\A", 0)
            case "$":
                self.at += 1
                self._add(_PLACES["Z"], 0)
            case _:
                self.at += 1
                self._add(self._literal(here))

    def _add(self, text: str, size: int = 1) -> None:
        group = self.open[-1]
        self.out.append(text)
        group.size += size
        group.last = size
        group.repeatable = True

    def _opened(self) -> None:
        head = next((each for each in _GROUPS if self.text.startswith(each, self.at)), "")
        ignoring, dotall = self.ignoring, self.dotall
        if head:
            self.at += len(head)
        elif self.text.startswith("(?<", self.at):
            name = self._until(">", self.at + 3)
            if not (name.isascii() and name.isalnum() and name[0].isalpha()) or name in self.names:
                raise self._wrong(f"a group cannot be named {name!r}")
            self.names.add(name)
            self.groups += 1
            head = f"(?P<{name}>"
        elif self.text.startswith("(?", self.at):
            if not self._flags():
                return
            head = "(?:"
        else:
            self.at += 1
            self.groups += 1
            head = "("
        if len(self.open) > DEEPEST:
            raise self._lacking(f"more than {DEEPEST} groups within each other")
        self.out.append(head)
        self.open.append(_Group(ends_ignoring=ignoring, ends_dotall=dotall))

    def _flags(self) -> bool:
        """Read `(?i)`, `(?s-i:`; tell whether a group is open after it."""
        start, self.at = self.at, self.at + 2
        on = True
        while self.at < len(self.text) and self.text[self.at] in "is-":
            match self.text[self.at]:
                case "-":
                    on = False
                case "i":
                    self.ignoring = on
                case _:
                    self.dotall = on
            self.at += 1
        end = self.text[self.at : self.at + 1]
        if end not in {")", ":"} or self.at == start + 2:
            raise self._lacking("a group or flag that is not taken here: (?i) and (?s) are", start)
        self.at += 1
        self.open[-1].repeatable = False
        return end == ":"

    def _closed(self) -> None:
        if len(self.open) == 1:
            raise self._wrong("a ) without its (: write \\)")
        group = self.open.pop()
        self.at += 1
        self.ignoring, self.dotall = group.ends_ignoring, group.ends_dotall
        self._add(")", group.size)

    def _repeated(self, here: str) -> None:
        group = self.open[-1]
        if not group.repeatable:
            raise self._wrong(f"a {here} that repeats nothing: write \\{here}")
        start = self.at
        least = 1 if here == "+" else 0
        if here == "{":
            inner = self._until("}", self.at + 1)
            low, comma, high = inner.partition(",")
            numbers = [low, high] if comma and high else [low]
            if not all(part and len(part) < 10 and set(part) <= set(_DIGITS) for part in numbers):  # noqa: PLR2004  (Java's int)
                raise self._wrong("a { that is no repetition: write \\{", start)
            if int(numbers[-1]) < int(low):
                raise self._wrong("a repetition from more to less", start)
            least = int(low)
        else:
            self.at += 1
        if self.text[self.at : self.at + 1] in {"?", "+"}:
            self.at += 1
        self.out.append(self.text[start : self.at])
        group.size += group.last * max(least, 1) - group.last
        group.repeatable = False
        if group.size > MOST_REPEATED:
            raise PatternTooLarge(
                f"its repetitions come to more than {MOST_REPEATED} characters (character {start + 1}): write fewer"
            )

    # ------------------------------------------------------------ characters

    def _escaped(self) -> None:
        here = self.text[self.at + 1 : self.at + 2]
        if here == "Q":
            for each in self._quoted():
                self._add(self._literal(each))
        elif here in {"b", "B"} and self.text[self.at + 2 : self.at + 3] != "{":
            self.at += 2
            self._add(f"\\{here}", 0)
        elif here in _PLACES:
            self.at += 2
            self._add(_PLACES[here], 0)
        elif here == "R":
            self.at += 2
            self._add(f"(?:\\r\\n|[{_CLASSES['v']}])")
        elif here and here in _DIGITS[1:]:
            self._back_reference()
        elif here == "k" and self.text[self.at + 2 : self.at + 3] == "<":
            start = self.at
            name = self._until(">", self.at + 3)
            if name not in self.names:
                raise self._wrong(f"no group before it is named {name!r}", start)
            self._add(f"(?i:(?P={name}))" if self.ignoring else f"(?P={name})")
        else:
            classed = self._named_class()
            self._add(f"[{classed}]" if classed else self._literal(self._character()))

    def _back_reference(self) -> None:
        start = self.at
        self.at += 1
        number = 0
        while (digit := self.text[self.at : self.at + 1]) and digit in _DIGITS:
            # Java: as many digits as name a group that there is.
            if number and number * 10 + int(digit) > self.groups:
                break
            number = number * 10 + int(digit)
            self.at += 1
        if number > self.groups:
            raise self._lacking(f"there is no group {number} before it", start)
        self._add(f"(?i:\\g<{number}>)" if self.ignoring else f"(?:\\{number})")

    def _quoted(self) -> str:
        r"""Give what stands between \Q and \E."""
        end = self.text.find("\\E", self.at + 2)
        found = self.text[self.at + 2 : end if end >= 0 else len(self.text)]
        self.at = end + 2 if end >= 0 else len(self.text)
        return found

    def _named_class(self) -> str:
        r"""Read \d, \p{Alnum} and their like as what stands in a class; empty where something else comes."""
        here = self.text[self.at + 1 : self.at + 2]
        if here and here.lower() in _CLASSES:
            self.at += 2
            inner = _CLASSES[here.lower()]
            return f"[^{inner}]" if here.isupper() else inner
        if here not in {"p", "P"}:
            return ""
        start = self.at
        if self.text[self.at + 2 : self.at + 3] == "{":
            name = self._until("}", self.at + 3)
        else:
            name = self.text[self.at + 2 : self.at + 3]
            self.at += 3
        if name in _POSIX:
            inner = _POSIX["Alpha" if self.ignoring and name in {"Lower", "Upper"} else name]
            return f"[^{inner}]" if here == "P" else inner
        known = name if name in _CATEGORIES else name[2:] if name[:2] == "Is" and name[2:] in _CATEGORIES else ""
        known = known or _NAMED.get(name, "")
        if not known or (self.ignoring and known in {"Lu", "Ll", "Lt", "Lowercase", "Uppercase"}):
            raise self._lacking(f"the class \\p{{{name}}} cannot be had here: write its characters out", start)
        return f"\\{here}{{{known}}}"

    def _character(self) -> str:
        """Read one character, escaped or not."""
        start = self.at
        here = self.text[self.at]
        self.at += 1
        if here != "\\":
            return here
        code = self.text[self.at : self.at + 1]
        self.at += 1
        if code in _CONTROLS:
            return _CONTROLS[code]
        match code:
            case "0":
                return chr(self._octal(start))
            case "x" | "u":
                return self._by_number(code, start)
            case "c" if self.at < len(self.text):
                self.at += 1
                return chr(ord(self.text[self.at - 1]) ^ 64)
        if not code or (code.isascii() and code.isalnum()):
            problem = f"\\{code} means nothing here"
            raise self._lacking(problem, start) if code in _JAVAS_OWN else self._wrong(problem, start)
        return code

    def _octal(self, start: int) -> int:
        digits = ""
        while len(digits) < 3 and (each := self.text[self.at : self.at + 1]) and each in "01234567":  # noqa: PLR2004  (\0377)
            if int(digits + each, 8) > _MOST_OCTAL:
                break
            digits += each
            self.at += 1
        if not digits:
            raise self._wrong("\\0 without an octal number", start)
        return int(digits, 8)

    def _by_number(self, code: str, start: int) -> str:
        length = 0
        if code == "x" and self.text[self.at : self.at + 1] == "{":
            digits = self._until("}", self.at + 1)
        else:
            length = 2 if code == "x" else 4
            self.at += length
            digits = self.text[self.at - length : self.at]
        if not digits or len(digits) > 8 or not set(digits) <= set("0123456789abcdefABCDEF"):  # noqa: PLR2004  (10FFFF)
            raise self._wrong("no number of a character", start)
        number = int(digits, 16)
        if number > sys.maxunicode or (length and len(digits) < length):
            raise self._wrong("no number of a character", start)
        if chr(number) in _SURROGATES:  # Java takes two of them for one character
            raise self._lacking("half of a character", start)
        return chr(number)

    def _literal(self, character: str) -> str:
        """Give one character outside a class."""
        if self.ignoring and character.isascii() and character.isalpha():
            return f"[{character.lower()}{character.upper()}]"
        return _spelled(character)

    # ------------------------------------------------------------ classes

    def _class(self, depth: int = 0) -> str:
        start = self.at
        if depth > DEEPEST:
            raise self._lacking(f"more than {DEEPEST} classes within each other")
        self.at += 1
        head = "["
        if self.text[self.at : self.at + 1] == "^":
            self.at += 1
            head = "[^"
        sides: list[list[str]] = [[]]
        while True:
            here = self.text[self.at : self.at + 1]
            if not here:
                raise self._wrong("a class is not closed", start)
            if here == "]" and any(sides):
                self.at += 1
                break
            if here == "[":
                sides[-1].append(self._class(depth + 1))
            elif self.text.startswith("&&", self.at):
                self.at += 2
                sides.append([])
            else:
                sides[-1].append(self._class_part())
        if not all(sides):
            raise self._lacking("&& without a class on either side", start)
        if len(sides) == 1:
            return f"{head}{''.join(sides[0])}]"
        return f"{head}{'&&'.join('[' + ''.join(side) + ']' for side in sides)}]"

    def _class_part(self) -> str:
        if self.text.startswith("\\Q", self.at):
            return "".join(self._classed(each, each) for each in self._quoted())
        if self.text[self.at] == "\\":
            named = self._named_class()
            if named:
                return named
        start = self.at
        low = self._character()
        after = self.text[self.at + 1 : self.at + 2]
        if self.text[self.at : self.at + 1] != "-" or after in {"", "]", "["} or self.text.startswith("-&&", self.at):
            return self._classed(low, low)
        self.at += 1
        high = self._character()
        if high < low:
            raise self._wrong("a range from a later character to an earlier one", start)
        return self._classed(low, high)

    def _classed(self, low: str, high: str) -> str:
        """Give a range as it stands in a class, with the other case of its ASCII letters where case is ignored."""
        parts = [(low, high)]
        if self.ignoring:
            for first, last, shift in (("a", "z", -32), ("A", "Z", 32)):
                begin, end = max(low, first), min(high, last)
                if begin <= end:
                    parts.append((chr(ord(begin) + shift), chr(ord(end) + shift)))
        return "".join(_spelled(one) if one == other else f"{_spelled(one)}-{_spelled(other)}" for one, other in parts)

    # ------------------------------------------------------------ words

    def _until(self, end: str, start: int) -> str:
        found = self.text.find(end, start)
        if found <= start:
            raise self._wrong(f"a {end} is missing")
        self.at = found + 1
        return self.text[start:found]

    def _wrong(self, what: str, at: int | None = None) -> PatternError:
        return PatternError(self._placed(what, at))

    def _lacking(self, what: str, at: int | None = None) -> PatternNotHere:
        return PatternNotHere(self._placed(what, at))

    def _placed(self, what: str, at: int | None) -> str:
        return f"{what} (character {(self.at if at is None else at) + 1})"


def _spelled(character: str) -> str:
    """Give a character so that it means itself, inside a class and outside."""
    if character.isascii() and character.isalnum():
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\U{number:08x}"  # noqa: PLR2004  (two digits)
