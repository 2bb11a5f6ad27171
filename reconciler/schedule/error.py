"""The one error of this stage: a schedule that does not read, with its place and the text that would."""


class ScheduleError(ValueError):
    """A schedule expression breaks a rule of the language, or of what it is used for."""

    def __init__(self, problem: str, value: str = "", remedy: str = "", offset: int = 0) -> None:
        super().__init__(problem, value, remedy, offset)
        self.problem = problem
        self.value = value
        """The offending part, as written, or in capitals within cron(): foreign text."""
        self.remedy = remedy
        self.offset = offset
        """Where the offending part begins, in characters from the start of the expression, from 0."""

    def __str__(self) -> str:
        """`problem (met: 'value'); remedy`, the value with its control characters escaped."""
        met = f" (met: {cut(self.value)!r})" if self.value else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.problem}{met}{remedy}"


def cut(text: str) -> str:
    """Shorten what a message quotes."""
    longest = 80
    return text if len(text) <= longest else text[: longest - 3] + "..."
