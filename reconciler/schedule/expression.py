"""A schedule expression, read: takes text, gives Rate, Cron or At, or a ScheduleError with the place and the remedy.

The grammar only: how fast a schedule may be depends on its use, and `association` and `window` say so.
"""

import re
from datetime import datetime, timedelta

from reconciler.schedule.cron_text import parse_cron
from reconciler.schedule.error import ScheduleError
from reconciler.schedule.records import At, Expression, Rate, Unit

_LONGEST_TEXT = 256
"""Characters: the limit of SSM's field."""
_LONGEST_RATE = timedelta(days=36500)
"""A century: beyond it the arithmetic of dates ends, and no schedule begins."""
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


def parse(text: str) -> Expression:
    """Read one expression; nothing may stand before or after it."""
    if not 1 <= len(text) <= _LONGEST_TEXT:
        raise ScheduleError(f"a schedule has 1 to {_LONGEST_TEXT} characters, not {len(text)}", text)
    foreign = re.search(r"[^ -~]", text)
    if foreign:
        raise ScheduleError("a character that no schedule has", foreign[0], "", foreign.start())
    opened = re.match(r"(cron|rate|at)\(", text, re.IGNORECASE)
    if opened is None:
        raise _unwrapped(text)
    closed = text.find(")")
    if closed < 0:
        raise ScheduleError("the closing bracket is missing", "", _write(f"{text})"), len(text))
    if text[closed + 1 :]:
        rest, end = text[closed + 1 :], closed + 1
        raise ScheduleError("text after the closing bracket", rest, _write(text[:end]), end)
    return _parse_body(opened[1].lower(), text[opened.end() : closed], opened.end())


def _parse_body(keyword: str, body: str, offset: int) -> Expression:
    if keyword == "cron":
        return parse_cron(body, offset)
    if keyword == "rate":
        return _parse_rate(body, offset)
    return _parse_at(body, offset)


def _unwrapped(text: str) -> ScheduleError:
    problem = "a schedule is cron(...), rate(...) or at(...)"
    for guess in (text.strip(), f"cron({text.strip()})", f"rate({text.strip()})", f"at({text.strip()})"):
        if guess != text and _reads(guess):
            return ScheduleError(problem, text, f"write {guess}")
    return ScheduleError(problem, text)


def _write(text: str) -> str:
    """Tell to write a text, unless that would be refused as well."""
    return f"write {text}" if _reads(text) else ""


def _reads(text: str) -> bool:
    try:
        parse(text)
    except ScheduleError:
        return False
    return True


def _parse_rate(body: str, offset: int) -> Rate:
    found = re.fullmatch(r"([0-9]+)( *)(minute|hour|day)(s?)", body, re.IGNORECASE)
    if found is None:
        raise ScheduleError("rate() takes a whole number, a blank and a unit", body, _rate_remedy(body), offset)
    number, blank, unit, plural = found.groups()
    count = int(number)
    if count == 0:
        raise ScheduleError("a rate is at least 1", number, f"write {Rate(count=1, unit=Unit(unit.lower()))}", offset)
    rate = Rate(count=count, unit=Unit(unit.lower()))
    if count > _LONGEST_RATE / Rate(count=1, unit=rate.unit).interval:
        raise ScheduleError("a rate of more than a hundred years", number, "", offset)
    if not blank:
        raise ScheduleError("no blank between number and unit", body, f"write {rate}", offset)
    if bool(plural) is (count == 1):
        problem = "1 goes with the singular" if plural else "more than 1 goes with the plural"
        raise ScheduleError(problem, body, f"write {rate}", offset)
    return rate


def _rate_remedy(body: str) -> str:
    """Offer the same length in a unit we have, where there is one."""
    minutes = {"second": 1 / 60, "minute": 1, "hour": 60, "day": 1440, "week": 10080}
    found = re.fullmatch(r" *([0-9]{1,6}(?:\.[0-9]{1,6})?) *(second|minute|hour|day|week)s? *", body, re.IGNORECASE)
    if found:
        length = float(found[1]) * minutes[found[2].lower()]
        for unit in (Unit.DAY, Unit.HOUR, Unit.MINUTE):
            count = length / minutes[unit.value]
            if count >= 1 and count.is_integer():
                return f"write {Rate(count=int(count), unit=unit)}"
    return "write rate(30 minutes), rate(2 hours), rate(1 day) ..."


def _parse_at(body: str, offset: int) -> At:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}", body):
        raise ScheduleError("at() takes yyyy-mm-ddThh:mm:ss, without a zone", body, _at_remedy(body), offset)
    try:
        wall = datetime.fromisoformat(body)
    except ValueError as exc:
        raise ScheduleError(f"no such date or time: {exc}", body, "", offset) from exc
    if not _FIRST_YEAR <= wall.year <= _LAST_YEAR:
        raise ScheduleError(f"the year is outside {_FIRST_YEAR}-{_LAST_YEAR}", body, "", offset)
    return At(wall=wall)


def _at_remedy(body: str) -> str:
    found = re.match(r" *([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?)?", body, re.IGNORECASE)
    guess = f"at({found[1]}T{found[2] or '00:00'}{found[3] or ':00'})" if found else ""
    return _write(guess) or "write at(2026-07-07T15:55:00)"
