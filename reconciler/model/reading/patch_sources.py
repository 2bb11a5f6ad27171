"""Sources of a baseline: whether a repository's configuration is of the form that its package manager reads.

Nothing of a configuration is quoted in a message: it may hold a password.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from reconciler.model.baseline import PatchSource
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Scalar, Value

_NOT_SHOWN: Final = "[not shown]"
_STANZA: Final = re.compile(r"\s*\[[^\]\n]+\]")
_LINE: Final = re.compile(r"deb(?:\s+\[[^\]]*\])?\s+\S+\s+\S+.*")
_ADDRESS: Final = re.compile(r"\b(?:https?|ftp|file|dir|copy):[^\s,]+", re.IGNORECASE)
_PLAIN: Final = re.compile(r"\b(?:http|ftp)://", re.IGNORECASE)
_TRUSTED: Final = re.compile(r"\[[^\]]*\b(?:trusted|allow-insecure)\s*=\s*yes\b", re.IGNORECASE)
_CHECKED: Final = re.compile(r"^\s*gpgcheck\s*=\s*(?:1|yes|true)\s*$", re.IGNORECASE | re.MULTILINE)


def check_source(configuration: Value, *, apt: bool, mistakes: Mistakes) -> None:
    """Say what is wrong with a configuration, and why it would not be used."""
    text = configuration.text.strip() if isinstance(configuration, Scalar) else ""
    if apt and not _LINE.fullmatch(text):
        remedy = "write one line: deb [signed-by=/...] https://... SUITE COMPONENT"
        mistakes.error(configuration, "Configuration: not one line of apt's sources", value=_NOT_SHOWN, remedy=remedy)
    elif not apt and not _STANZA.match(text):
        remedy = "begin with [ID], then name=, baseurl=, gpgcheck=1"
        mistakes.error(configuration, "Configuration: not a stanza of yum's", value=_NOT_SHOWN, remedy=remedy)
    else:
        refused = _refused(text, apt=apt)
        if refused:
            mistakes.lint(
                configuration,
                f"Configuration: {refused}: not used",
                value=_NOT_SHOWN,
                remedy="use https and signatures",
            )


def why_refused(configuration: str, *, apt: bool) -> str:
    """Say why a source is not used unless the host settings allow it; empty where it may be used."""
    return _refused(configuration, apt=apt)


def with_allowed(source: PatchSource, addresses: Sequence[str]) -> PatchSource:
    """Let a source be used whose every address begins with one that the host settings allow, up to a `/` or to its end."""
    named = _ADDRESS.findall(source.configuration)
    beginnings = tuple(address.rstrip("/") for address in addresses)
    allowed = (
        named
        and ".." not in source.configuration
        and all(
            any(one.rstrip("/") == beginning or one.startswith(f"{beginning}/") for beginning in beginnings)
            for one in named
        )
    )
    return replace(source, refused="") if source.refused and allowed else source


def _refused(text: str, *, apt: bool) -> str:
    if _PLAIN.search(text):
        return "it is fetched over plain http"
    if apt and _TRUSTED.search(text):
        return "its signature is not checked"
    if not apt and not _CHECKED.search(text):
        return "its packages' signatures are not checked (gpgcheck=1)"
    return ""
