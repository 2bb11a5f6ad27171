"""What to ask one node, beyond the standard facts that every node is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Check:
    """One `Checks` entry: sh text, and whether it runs as root or as the login user."""

    script: str
    as_root: bool = False

    @property
    def key(self) -> str:
        """The fact's key in section `checks`: `root:SCRIPT` or `user:SCRIPT`."""
        return f"{'root' if self.as_root else 'user'}:{self.script}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class WantedSource:
    """A repository that a baseline of the node's names: fetched beside the node's own, told apart from them."""

    id: str
    """`PatchSource.id`: letters, digits and `_.-`, fit for the name of a folder."""
    configuration: str = field(repr=False)
    """As its package manager reads it; it may hold a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What expectations name. Sorted, without doubles, so that equal questions are equal records."""

    fleet: str = ""
    """Whose markers and count of runs are wanted, on a node that several fleets may manage; empty: nobody's."""
    files: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    """Names of services that expectations name: asked one by one where systemd is not running."""
    checks: tuple[Check, ...] = ()
    custom: bool = True
    ports: tuple[int, ...] | None = None
    """Ports that expectations name: kept where they are ephemeral, and the tables are read in every pass. An empty tuple: no
    expectation names one, so the tables may be held for an hour; None: read in every pass."""
    mounts: bool = True
    """Whether an expectation names a mount: where none does, mounts may be held for an hour. The same goes for `services`."""
    patches: bool = False
    """Whether a baseline applies to the node: what is installed, on offer, and in the way of patches is told."""
    addresses: bool = False
    """Whether the addresses of its repositories are told as well: only where the management host keeps files of patches."""
    sources: tuple[WantedSource, ...] = ()
    """What is told of repositories that are not the node's own; they are fetched where `refresh` is asked for, too."""
    refresh: bool = False
    """Whether the lists of packages are refreshed before the node is asked: a step of its own, which changes them."""
    held: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Section -> fingerprint of what we hold: the node answers `unchanged` where it is the same. Fingerprints are the
    node's own words, for it to compare: stat lines, a boot id."""
