"""One mistake in a state repository: where it stands, what was met, and what to do about it."""

from dataclasses import dataclass
from enum import Enum


class Gravity(Enum):
    """An error keeps a commit from being accepted; a lint never does."""

    ERROR = "error"
    LINT = "lint"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One mistake. Lines and columns count from 1; 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0
    message: str
    value: str = ""
    """The value met, as written, cut to 80 characters; foreign text: render it before printing."""
    remedy: str = ""
    gravity: Gravity = Gravity.ERROR

    def __str__(self) -> str:
        """`file:line:column: message (met: value); remedy`, raw: the printing edge renders it for its sink."""
        met = f" (met: {self.value})" if self.value else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{met}{remedy}"
