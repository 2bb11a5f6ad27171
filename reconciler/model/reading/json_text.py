"""JSON text -> values with places, as lenient as SSM's service is: raw control characters in strings pass, nothing else does.

YAML's own reader is not used for it: it refuses surrogate pairs, folds raw line ends and trips over control characters.
"""

import json
import re
from bisect import bisect_right

from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.text import decode
from reconciler.model.reading.values import Items, Scalar, Table, Value
from reconciler.model.reading.yaml_text import DEEPEST, MOST_VALUES

_STRINGS = json.JSONDecoder(strict=False)
_BLANK = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"[-+.\w]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_CONTROL = "".join(map(chr, [*range(1, 9), 11, 12, *range(14, 32), *range(127, 160)])) + "\ufffe\uffff"
"""What may stand raw inside a string: anything but NUL."""


class _Refused(Exception):
    def __init__(self, at: int, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.at = at
        self.message = message
        self.remedy = remedy


def read_json(data: bytes, mistakes: Mistakes, *, escaped_nul: bool = False) -> list[Value]:
    """Give the one value of a JSON file, in a list; none where it does not read. Of NULs see `read_yaml`."""
    text = decode(data, mistakes, allow=_CONTROL)
    if text is None:
        return []
    reader = _Reader(text, mistakes, escaped_nul=escaped_nul)
    try:
        return [reader.whole()]
    except _Refused as exc:
        line, column = reader.place(exc.at)
        met = text[exc.at : exc.at + 40]
        mistakes.error((line, column), f"not JSON: {exc.message}", value=met, remedy=exc.remedy)
        return []
    finally:
        mistakes.patience.values -= reader.count


class _Reader:
    """One text being read, from its start to its end."""

    def __init__(self, text: str, mistakes: Mistakes, *, escaped_nul: bool) -> None:
        self.text = text
        self.mistakes = mistakes
        self.escaped_nul = escaped_nul
        self.starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self.count = 0
        self.quoted = 0, 0
        """Where the last string begins and ends."""

    def place(self, at: int) -> tuple[int, int]:
        line = bisect_right(self.starts, at)
        return line, at - self.starts[line - 1] + 1

    def whole(self) -> Value:
        value, at = self.value(self.blank(0), 0)
        at = self.blank(at)
        if at < len(self.text):
            raise _Refused(at, "text after the end of the value", "remove it")
        return value

    def blank(self, at: int) -> int:
        found = _BLANK.match(self.text, at)
        return found.end() if found else at

    def value(self, at: int, depth: int) -> tuple[Value, int]:
        self.count += 1
        if self.count > MOST_VALUES or self.count > self.mistakes.patience.values:
            raise _Refused(at, f"more than {MOST_VALUES} values", "split the file")
        if depth > DEEPEST:
            raise _Refused(at, f"more than {DEEPEST} levels of nesting", "nothing here needs as many")
        first = self.text[at : at + 1]
        if first == "{":
            return self.table(at, depth)
        if first == "[":
            return self.items(at, depth)
        if first == '"':
            text, end = self.string(at)
            return Scalar(text, False, *self.place(at)), end
        return self.word(at)

    def word(self, at: int) -> tuple[Scalar, int]:
        found = _WORD.match(self.text, at)
        if found is None:
            message = "the file ends too early" if at >= len(self.text) else "no value begins like this"
            raise _Refused(at, message, "write a value; JSON takes no comment and no trailing comma")
        word = found[0]
        if word not in {"null", "true", "false"} and not _NUMBER.fullmatch(word):
            raise _Refused(at, "a word that is no value", "put double quotes around text")
        return Scalar(_decimal(word), True, *self.place(at)), found.end()

    def string(self, at: int) -> tuple[str, int]:
        try:
            text, end = _STRINGS.raw_decode(self.text, at)
        except json.JSONDecodeError as exc:
            raise _Refused(
                min(exc.pos, len(self.text)), exc.msg.lower(), "close the string, or double a backslash"
            ) from exc
        self.quoted = at, end
        if "\0" in text and not self.escaped_nul:
            raise _Refused(at, "a NUL in a text", "remove it")
        if any("\ud800" <= char <= "\udfff" for char in text if char > "\ud7ff"):
            raise _Refused(at, "half of a surrogate pair in a text", "write the character itself")
        return text, end

    def items(self, at: int, depth: int) -> tuple[Items, int]:
        value = Items([], *self.place(at))
        at = self.blank(at + 1)
        if self.text[at : at + 1] == "]":
            return value, at + 1
        while True:
            item, at = self.value(at, depth + 1)
            value.items.append(item)
            at = self.blank(at)
            if self.text[at : at + 1] == "]":
                return value, at + 1
            at = self.expect(at, ",", "a comma or ] is missing")

    def table(self, at: int, depth: int) -> tuple[Table, int]:
        value = Table({}, {}, *self.place(at))
        at = self.blank(at + 1)
        if self.text[at : at + 1] == "}":
            return value, at + 1
        while True:
            at = self.entry(value, at, depth)
            if self.text[at : at + 1] == "}":
                return value, at + 1
            at = self.expect(at, ",", "a comma or } is missing")

    def entry(self, table: Table, at: int, depth: int) -> int:
        if self.text[at : at + 1] != '"':
            raise _Refused(at, "a key in double quotes is missing", "JSON takes no comment and no trailing comma")
        place = self.place(at)
        key, end = self.string(at)
        item, end = self.value(self.expect(self.blank(end), ":", "a colon is missing"), depth + 1)
        if key in table.places:
            first = "line {}, column {}".format(*table.places[key])
            message = f"the key stands twice in this mapping, first at {first}"
            self.mistakes.error(place, message, value=key, remedy="keep one of them")
        table.places.setdefault(key, place)
        table.entries.setdefault(key, item)
        return self.blank(end)

    def expect(self, at: int, mark: str, message: str) -> int:
        if self.text[at : at + 1] != mark:
            start, end = self.quoted
            if "\n" in self.text[start:end] and not self.text[end:at].strip():
                # The next quote closed what was forgotten; raw line ends are taken, so only what follows tells.
                line, _ = self.place(end)
                raise _Refused(start, f"a quote that is opened here closes at line {line}, and {message}", "close it")
            raise _Refused(at, message)
        return self.blank(at + 1)


def _decimal(word: str) -> str:
    """Write a number with an exponent as a plain one where that is short, so that it still is a number to us."""
    if "e" not in word.lower() or not _NUMBER.fullmatch(word):
        return word
    value = float(word)
    return str(int(value)) if abs(value) < 10**15 and value.is_integer() else word
