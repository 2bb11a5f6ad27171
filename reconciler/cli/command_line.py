"""How a command reads its words and shows its help: what the parser of command lines does not do by itself."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperCommand

from reconciler.errors import UsageError

MOST_OF_FILE: Final = 256 * 1024
"""Bytes of a `file://`: more than SSM takes of any option, and less than a daemon takes of all of them."""

_EXAMPLES: Final = re.compile(r"\s*\bExamples?:\s+(?=reconciler )")
_AS_IT_STANDS: Final = "\b"
"""Begins a paragraph of help whose lines are not filled."""


class Shown(TyperCommand):
    """A command whose examples are lines of their own in its help, so that they can be copied."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        """Take what its parent takes."""
        super().__init__(*args, **settings)
        if self.help:
            self.help = _with_examples_apart(self.help)


def _with_examples_apart(text: str) -> str:
    prose, *examples = _EXAMPLES.split(text, maxsplit=1)
    lines = [f"  {line.strip()}" for line in "".join(examples).splitlines() if line.strip()]
    if not lines:
        return text
    return "\n".join((prose, "", _AS_IT_STANDS, "Examples:" if len(lines) > 1 else "Example:", *lines))


class SeveralWords(Shown):
    """Takes several words behind an option that may be repeated, as the AWS CLI does: `--instance-ids web-01 web-02`.

    For commands without arguments of their own: there such words mean nothing else.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each further word, and leave the rest to the parent."""
        repeated = {name for each in self.params if getattr(each, "multiple", False) for name in each.opts}
        return super().parse_args(ctx, list(_one_word_each(args, repeated)))


def _one_word_each(words: Sequence[str], repeated: set[str]) -> Iterator[str]:
    """Make `--a x y` into `--a x --a y`, for the options that may be repeated."""
    option, taken = "", 0
    for number, word in enumerate(words):
        if word == "--":
            yield from words[number:]
            return
        if word.startswith("-"):
            option, taken = (word if word in repeated else ""), 0
        elif option:
            if taken:
                yield option
            taken += 1
        yield word


def show_examples(app: typer.Typer) -> None:
    """Have every command show its examples so; after all of them were added."""
    for command in app.registered_commands:
        if command.cls is TyperCommand:
            command.cls = Shown
    for group in app.registered_groups:
        if group.typer_instance is not None:
            show_examples(group.typer_instance)


def from_files(words: Sequence[str] | None, option: str) -> tuple[str, ...]:
    """Put the content of a file in the place of each word that is `file://PATH`, as the AWS CLI does. Raises UsageError."""
    return tuple(
        _content(Path(word.removeprefix("file://")), option) if word.startswith("file://") else word
        for word in words or ()
    )


def _content(path: Path, option: str) -> str:
    try:
        with path.expanduser().open("rb") as file:
            content = file.read(MOST_OF_FILE + 1)
    except (OSError, RuntimeError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise UsageError(f"{option} file://{path}: it cannot be read: {why}") from exc
    if len(content) > MOST_OF_FILE:
        raise UsageError(f"{option} file://{path}: it holds more than {MOST_OF_FILE} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UsageError(f"{option} file://{path}: it is not UTF-8") from exc
