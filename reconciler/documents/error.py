"""Why a document cannot be rendered, in words that say what to do."""


class RenderError(ValueError):
    """The document, or what it was given, is wrong: nothing runs until git changes."""


class NotSupportedYet(RenderError):
    """It is right, but needs something that is not implemented: what uses it waits."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        """Name what is missing."""
        return f"not supported yet: {self.key}"


class InputError(ValueError):
    """A step's inputs make that step fail, as on SSM; the rest of the document goes on."""
