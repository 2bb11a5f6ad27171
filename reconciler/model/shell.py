"""Quoting for POSIX sh: the one function that puts a foreign string into a program text."""


def quote(text: str) -> str:
    r"""Give `text` as one single-quoted sh word (`'` becomes `'\''`).

    Raises ValueError on a NUL, which no sh word can hold.
    """
    if "\0" in text:
        raise ValueError("a NUL character cannot be passed to a shell")
    return "'" + text.replace("'", "'\\''") + "'"
