"""Seeds made worse: bytes, lines and values are changed with the structure of our texts in mind. Chance is handed in."""

import random
import re
from collections.abc import Sequence

LONGEST = 64 * 1024
"""Of most inputs: long ones find little and take long."""
GROWN = 1200 * 1024
"""Of those that are blown up on purpose: a little more than a file may have."""

_SHORT = 8 * 1024

WORDS: tuple[bytes, ...] = (
    *(b"0", b"-1", b"1", b"255", b"65536", b"2147483648", b"9007199254740993", b"9" * 40, b"1e308", b"1e999", b"-0.0"),
    *(b"null", b"true", b"~", b"", b"[]", b"{}", b"''", b'""', b"NaN", b"Infinity", b"0x10", b"1_000", b"1:30"),
    *(b"[" * 70, b"{a: " * 70, b"&a [*a]", b"*a", b"&a ", b"<<: *a", b"!!python/name:os.system ", b"%TAG ! x\n", b"? "),
    *(
        b"---\n",
        b"...\n",
        b"- ",
        b": ",
        b"#",
        b"|\n",
        b">-\n",
        b"\t",
        b"\r\n",
        b"\n",
        b",",
        b'"',
        b"'",
        b"\\",
        b"\\u0000",
    ),
    *(b"\\ud800", b"\x00", b"\x1b[31m", b"\x9b", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8"),
    *("\u202e".encode(), "\u0301".encode() * 50, "\u0661".encode(), "\U000e0041".encode(), "\u00b2".encode()),
    *(b"../../etc/passwd", b"$(id)", b"`id`", b"{{ x }}", b"{{ssm:/a/b}}", b"{{ssm-secure:a}}", b"{{ platform }}"),
    *(b"a*a*a*a*a*a*b", b"(a+)+$", b"=cmd|", b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"2026-13-45"),
)
"""What parsers trip over."""

_VALUE = re.compile(rb"(?<=[:=, \t])[^\s,:=]+")
_NUMBER = re.compile(rb"\d+")


class Mutator:
    """Gives one changed input after another; the same seeds and the same chance give the same ones."""

    def __init__(self, words: Sequence[bytes], chance: random.Random) -> None:
        self._words = (*WORDS, *words)
        self._chance = chance
        self._ways = (self._flip, self._insert, self._cut, self._double, self._swap_lines, self._value, self._number)
        self._rare = (self._grow, self._nest, self._end, self._many_lines)

    def change(self, data: bytes, other: bytes) -> bytes:
        """Change `data` once or several times; `other` is one more input, to take parts from."""
        for _ in range(self._chance.choice((1, 1, 1, 2, 3, 5))):
            if self._chance.random() < 0.12:
                data = self._splice(data, other)
            elif self._chance.random() < 0.04:
                data = self._chance.choice(self._rare)(data)
            else:
                data = self._chance.choice(self._ways)(data)
        return data[:GROWN]

    def _at(self, data: bytes) -> int:
        at = self._chance.randint(0, len(data))
        return at if self._chance.random() < 0.7 else data.find(b"\n", at) + 1

    def _span(self, data: bytes) -> tuple[int, int]:
        start = self._at(data)
        return start, min(len(data), start + self._chance.choice((1, 2, 8, 40, 200)))

    def _word(self) -> bytes:
        return self._chance.choice(self._words)

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return b"\n"
        at = self._chance.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << self._chance.randrange(8))]) + data[at + 1 :]

    def _insert(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + self._word() + data[at:]

    def _cut(self, data: bytes) -> bytes:
        start, stop = self._span(data)
        return data[:start] + data[stop:]

    def _double(self, data: bytes) -> bytes:
        start, stop = self._span(data)
        return (data[:stop] + data[start:stop] + data[stop:])[:LONGEST]

    def _swap_lines(self, data: bytes) -> bytes:
        lines = data.split(b"\n")
        one, two = self._chance.randrange(len(lines)), self._chance.randrange(len(lines))
        lines[one], lines[two] = lines[two], lines[one]
        return b"\n".join(lines)

    def _value(self, data: bytes) -> bytes:
        return self._replace(_VALUE, data, self._word())

    def _number(self, data: bytes) -> bytes:
        return self._replace(
            _NUMBER,
            data,
            self._chance.choice((b"0", b"-1", b"99999999999999999999", b"18446744073709551616", b"1.5", b"8")),
        )

    def _replace(self, pattern: re.Pattern[bytes], data: bytes, word: bytes) -> bytes:
        """Replace one match; in short texts each is as likely as the others, in long ones the next from somewhere."""
        if len(data) < _SHORT:
            all_found = list(pattern.finditer(data))
            found = self._chance.choice(all_found) if all_found else None
        else:
            found = pattern.search(data, self._at(data))
        return data if found is None else data[: found.start()] + word + data[found.end() :]

    def _splice(self, data: bytes, other: bytes) -> bytes:
        start, stop = self._span(other)
        at = self._at(data)
        if self._chance.random() < 0.3:
            return (data[:at] + other[start:])[:LONGEST]
        return (data[:at] + other[start:stop] + data[at:])[:LONGEST]

    def _grow(self, data: bytes) -> bytes:
        start, stop = self._span(data)
        part = data[start:stop] or self._word() or b"x"
        times = self._chance.choice((100, 10_000, GROWN)) // len(part) + 1
        return data[:start] + part * times + data[stop:]

    def _nest(self, data: bytes) -> bytes:
        at, mark = self._at(data), self._chance.choice((b"[", b"{", b"- ", b"a: {", b"((", b'{"a":'))
        return data[:at] + mark * self._chance.choice((60, 70, 2000, 100_000)) + data[at:]

    def _end(self, data: bytes) -> bytes:
        return data[: self._at(data)]

    def _many_lines(self, data: bytes) -> bytes:
        line = self._chance.choice(data.split(b"\n")) or self._word()
        at = self._at(data)
        times = min(self._chance.choice((10, 1000, 20_000)), GROWN // (len(line) + 1))
        return data[:at] + b"\n" + (line + b"\n") * times + data[at:]
