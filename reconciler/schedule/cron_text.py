"""The six or seven fields of `cron(...)`: takes the text between the brackets, gives a Cron, or says what to write instead."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.schedule.days import (
    DAY_NAMES,
    DayRule,
    DaysOfMonth,
    DaysOfWeek,
    LastDay,
    LastOfWeekday,
    LastWorkday,
    NearestWorkday,
    NthOfWeekday,
)
from reconciler.schedule.error import ScheduleError, cut
from reconciler.schedule.records import Cron

MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_SATURDAY = 7
_MOST_OF_A_WEEKDAY = 5
_UNIX_FIELDS, _FIELDS, _FIELDS_WITH_SECONDS = 5, 6, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def domain(self) -> str:
        """What may stand here, in words."""
        named = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{named}"


_SECOND = _Field(name="second", low=0, high=59)
_MINUTE = _Field(name="minute", low=0, high=59)
_HOUR = _Field(name="hour", low=0, high=23)
_DAY_OF_MONTH = _Field(name="day-of-month", low=1, high=31)
_MONTH = _Field(name="month", low=1, high=12, names=MONTH_NAMES)
_DAY_OF_WEEK = _Field(name="day-of-week", low=1, high=7, names=DAY_NAMES)
_YEAR = _Field(name="year", low=1970, high=2199)


class _Piece(NamedTuple):
    """A part of the expression that remembers where it stands."""

    text: str
    offset: int

    def split(self, separator: str) -> Iterator["_Piece"]:
        """Cut at every separator, as str.split does."""
        offset = self.offset
        for text in self.text.split(separator):
            yield _Piece(text, offset)
            offset += len(text) + len(separator)

    def error(self, problem: str, remedy: str = "") -> ScheduleError:
        """Make the error that points here."""
        return ScheduleError(problem, self.text, remedy, self.offset)


def parse_cron(body: str, offset: int) -> Cron:
    """Read the text between the brackets, which begins at `offset` of the whole expression."""
    pieces = [_Piece(found[0].upper(), offset + found.start()) for found in re.finditer(r"[^ ]+", body)]
    if len(pieces) not in (_FIELDS, _FIELDS_WITH_SECONDS):
        raise _wrong_count(body, pieces, offset)
    minute, hour, day_of_month, month, day_of_week, year = pieces[-_FIELDS:]
    cron = Cron(
        fields=tuple(piece.text for piece in pieces),
        seconds=_values(pieces[0], _SECOND) if len(pieces) == _FIELDS_WITH_SECONDS else (0,),
        minutes=_values(minute, _MINUTE),
        hours=_values(hour, _HOUR),
        days=_day_rule(pieces, day_of_month, day_of_week),
        months=_values(month, _MONTH),
        years=_values(year, _YEAR),
    )
    if body != body.strip(" "):
        raise ScheduleError("blanks next to a bracket", body, f"write {cron}", offset)
    return cron


def _wrong_count(body: str, pieces: list[_Piece], offset: int) -> ScheduleError:
    problem = (
        f"cron() takes six fields (minute hour day-of-month month day-of-week year) or seven with the seconds first, "
        f"not {len(pieces)}"
    )
    if len(pieces) != _UNIX_FIELDS:
        return ScheduleError(problem, body, "", offset)
    numeric = "; mind that days count from 1 = SUN" if re.search("[0-9]", pieces[4].text) else ""
    return ScheduleError(problem, body, _six_fields(tuple(piece.text for piece in pieces)) + numeric, offset)


def _six_fields(fields: tuple[str, ...]) -> str:
    """Rewrite what a Unix crontab would say."""
    minute, hour, day_of_month, month, day_of_week = fields
    start, middle = f"cron({minute} {hour}", f" {month} "
    by_date = f"{start} {day_of_month}{middle}? *)"
    by_weekday = f"{start} ?{middle}{day_of_week} *)"
    if day_of_month == "?":
        return f"write {by_weekday.replace('? *)', '* *)')}"
    if day_of_week in ("*", "?"):
        return f"write {by_date}"
    if day_of_month == "*":
        return f"write {by_weekday}"
    return f"write {by_date} or {by_weekday}: one of the two day fields must be ?"


def _day_rule(pieces: list[_Piece], day_of_month: _Piece, day_of_week: _Piece) -> DayRule:
    by_date, by_weekday = _by_date(day_of_month), _by_weekday(day_of_week)
    if by_date is None and by_weekday is None:
        raise day_of_week.error("both day fields are ?", f"write {_with_days(pieces, '*', '?')}")
    if by_date is not None and by_weekday is not None:
        raise day_of_week.error("neither day-of-month nor day-of-week is ?", _one_question_mark(pieces))
    rule = by_date or by_weekday
    assert rule is not None  # noqa: S101  the two tests above; for the type checker
    return rule


def _with_days(pieces: list[_Piece], day_of_month: str, day_of_week: str) -> str:
    fields = [piece.text for piece in pieces]
    fields[-4], fields[-2] = day_of_month, day_of_week
    return f"cron({' '.join(fields)})"


def _one_question_mark(pieces: list[_Piece]) -> str:
    day_of_month, day_of_week = pieces[-4].text, pieces[-2].text
    by_date, by_weekday = _with_days(pieces, day_of_month, "?"), _with_days(pieces, "?", day_of_week)
    if day_of_week == "*":
        return f"write {by_date}"
    if day_of_month == "*":
        return f"write {by_weekday}"
    return f"the two are never combined: write {by_date} or {by_weekday}"


def _by_date(piece: _Piece) -> DayRule | None:
    match piece.text:
        case "?":
            return None
        case "L":
            return LastDay()
        case "LW":
            return LastWorkday()
    if found := re.fullmatch(r"([0-9]+)W", piece.text):
        return NearestWorkday(day=_value(_Piece(found[1], piece.offset), _DAY_OF_MONTH))
    if re.search(r"[?LW]", piece.text):
        raise piece.error(
            "day-of-month: ?, L, LW and nW (15W) are each the whole field, without lists, ranges, steps or offsets",
            "make several schedules, or write plain days",
        )
    return DaysOfMonth(days=_values(piece, _DAY_OF_MONTH))


def _by_weekday(piece: _Piece) -> DayRule | None:
    if piece.text == "?":
        return None
    if piece.text == "L":
        return DaysOfWeek(weekdays=(_SATURDAY,))
    if found := re.fullmatch(r"([A-Z0-9]+)L", piece.text):
        return LastOfWeekday(weekday=_value(_Piece(found[1], piece.offset), _DAY_OF_WEEK))
    if found := re.fullmatch(r"([A-Z0-9]+)#([0-9]+)", piece.text):
        nth = int(found[2])
        if not 1 <= nth <= _MOST_OF_A_WEEKDAY:
            raise _Piece(f"#{found[2]}", piece.offset + len(found[1])).error(
                "day-of-week: a month has at most five of a weekday", "write #1 to #5"
            )
        return NthOfWeekday(weekday=_value(_Piece(found[1], piece.offset), _DAY_OF_WEEK), nth=nth)
    if re.search(r"[?L#]", piece.text):
        raise piece.error(
            "day-of-week: ?, dL (FRIL) and d#n (TUE#2) are each the whole field, without lists, ranges or steps",
            "make several schedules, or write plain weekdays",
        )
    return DaysOfWeek(weekdays=_values(piece, _DAY_OF_WEEK))


def _values(piece: _Piece, field: _Field) -> tuple[int, ...]:
    """Read a list of items, ascending and without doubles."""
    return tuple(sorted({value for item in piece.split(",") for value in _item(item, field)}))


def _item(item: _Piece, field: _Field) -> range:
    head, *steps = item.split("/")
    if len(steps) > 1:
        raise item.error(f"{field.name}: more than one step")
    step = _step(steps[0], field) if steps else 1
    if head.text == "*":
        return range(field.low, field.high + 1, step)
    first, *rest = head.split("-")
    if len(rest) > 1:
        raise item.error(f"{field.name}: more than one - in a range")
    low = _value(first, field)
    if rest:
        return range(low, _range_end(head, low, _value(rest[0], field), field) + 1, step)
    return range(low, (field.high if steps else low) + 1, step)


def _step(step: _Piece, field: _Field) -> int:
    if not re.fullmatch(r"[0-9]+", step.text) or not 1 <= int(step.text) <= field.high:
        raise step.error(f"{field.name}: a step is a number from 1 to {field.high}")
    return int(step.text)


def _range_end(head: _Piece, low: int, high: int, field: _Field) -> int:
    if low <= high:
        return high
    wrapped = [*range(low, field.high + 1), *range(field.low, high + 1)]
    named = [field.names[value - field.low] if field.names else str(value) for value in wrapped]
    raise head.error(
        f"{field.name}: the range runs backwards", f"write {','.join(named)}" if field is not _YEAR else ""
    )


def _value(piece: _Piece, field: _Field) -> int:
    """Read one number or name."""
    text = piece.text
    if text in field.names:
        return field.low + field.names.index(text)
    if not text:
        raise piece.error(f"{field.name}: an empty place in the list, range or step", f"write {field.domain}")
    if not re.fullmatch(r"[0-9]+", text):
        raise piece.error(f"{field.name}: {cut(text)!r} is not {field.domain}", _nearest_name(text, field))
    if not field.low <= int(text) <= field.high:
        counted = " (1 = SUN, 7 = SAT)" if field is _DAY_OF_WEEK else ""
        raise piece.error(f"{field.name}: {cut(text)} is outside {field.low}-{field.high}{counted}")
    return int(text)


def _nearest_name(text: str, field: _Field) -> str:
    return next((f"write {name}" for name in field.names if text.startswith(name)), "")
