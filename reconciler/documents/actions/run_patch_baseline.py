"""reconciler:runPatchBaseline: what is behind AWS-RunPatchBaseline: a node's approved patches, looked for or installed.

The step says what is wanted of every node alike. Which versions that means on a node follows from its own inventory and baseline
(`patching.orders`), and only then there is a script that does anything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Self

from reconciler.documents.content import HttpSource, S3Source, StateFile
from reconciler.documents.error import InputError
from reconciler.documents.own_script import one_of, text_input
from reconciler.model.known import JsonValue
from reconciler.model.patch_order import RebootOption
from reconciler.model.patch_request import BaselineTags, Operation, PatchRequest

TIMEOUT = timedelta(hours=2)
"""SSM: of AWS-RunPatchBaseline's own step. For so long a command is followed; on the node nothing ends the step then."""

_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(\S{1,900})")
_HTTPS = re.compile(r"https://[A-Za-z0-9\[][A-Za-z0-9.:\]-]{0,250}/\S{1,900}")
"""Without a login: it would stand in plans and records."""
_IN_STATE = re.compile(r"(?!.*(?:^|/)\.)[A-Za-z0-9_][A-Za-z0-9_. +@/-]{0,240}\.(?:json|ya?ml)")
"""Ours: a file of the state repository; nothing hidden, and nothing above it."""
_TAGS = re.compile(r"Key=([^,]{1,128}),\s*Values=(.+)", re.DOTALL)
_SNAPSHOT = re.compile(r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPatchBaseline:
    """A patch step, as its inputs say it."""

    name: ClassVar[str] = "reconciler:runPatchBaseline"
    request: PatchRequest
    override_list: HttpSource | S3Source | StateFile | None = None
    """Where an InstallOverrideList lies."""
    baseline_override: HttpSource | S3Source | StateFile | None = None
    """Where a BaselineOverride lies."""

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, JsonValue]) -> Self:
        """Read a step's inputs."""
        if _SNAPSHOT.fullmatch(text_input(inputs, "snapshotId")) is None:
            raise InputError("the input snapshotId must be a UUID, or empty")
        overrides = _source("installOverrideList", text_input(inputs, "installOverrideList"))
        baselines = _source("baselineOverride", text_input(inputs, "baselineOverride"))
        if overrides is not None and baselines is not None:
            raise InputError("installOverrideList and baselineOverride cannot be used together")  # SSM: exit 167
        return cls(
            request=PatchRequest(
                operation=Operation(one_of(inputs, "operation", tuple(one.value for one in Operation))),
                baseline_tags=_tags(text_input(inputs, "baselineTags")),
                reboot=RebootOption(_choice(inputs, "rebootOption", tuple(one.value for one in RebootOption))),
                repair=_choice(inputs, "repair", ("none", "interrupted")) == "interrupted",
                remove_old_kernels=_choice(inputs, "oldKernels", ("keep", "remove")) == "remove",
                end_if_nothing=_choice(inputs, "endIfNothing", ("false", "true")) == "true",
            ),
            override_list=overrides,
            baseline_override=baselines,
        )


def _choice(inputs: Mapping[str, JsonValue], name: str, known: tuple[str, ...]) -> str:
    """Give one of several words, the first where it is missing."""
    return one_of(inputs, name, known) if inputs.get(name.lower()) is not None else known[0]


def _tags(text: str) -> BaselineTags | None:
    """Read SSM's short form: one key, one or more values."""
    if not text:
        return None
    found = _TAGS.fullmatch(text.strip())
    values = () if found is None else tuple(dict.fromkeys(filter(None, map(str.strip, found[2].split(",")))))
    if found is None or not values:
        raise InputError(f"the input baselineTags must be Key=NAME,Values=VALUE[,VALUE...], not {text[:80]!r}")
    return BaselineTags(key=found[1].strip(), values=values)


def _source(name: str, url: str) -> HttpSource | S3Source | StateFile | None:
    if not url:
        return None
    if "://" not in url and _IN_STATE.fullmatch(url) is not None:
        return StateFile(path=url)
    if _HTTPS.fullmatch(url) is not None:
        return HttpSource(url=url)
    found = _S3.fullmatch(url)
    if found is None:
        raise InputError(
            f"the input {name} must be an https:// or s3:// address, or a .json or .yaml file of the state repository,"
            f" not {url[:80]!r}"
        )
    return S3Source(url=f"https://{found[1]}.s3.amazonaws.com/{found[2]}")
