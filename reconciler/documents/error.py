"""Why a document cannot be rendered, in words that say what to do."""

from typing import ClassVar


class RenderError(ValueError):
    """The document, or what it was given, is wrong: nothing runs until git changes."""

    waits: ClassVar[bool] = False
    """Whether it is right all the same, and what uses it waits for something."""


class NotSupportedYet(RenderError):
    """It is right, but needs something that is not implemented: what uses it waits."""

    waits: ClassVar[bool] = True

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        """Name what is missing."""
        return f"not supported yet: {self.key}"


class InputError(ValueError):
    """A step's inputs make that step fail, as on SSM; the rest of the document goes on."""
