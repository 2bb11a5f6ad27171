"""Every error we raise, named by what the loop does next.

ReconcilerError
├── UsageError            the caller asked for something that cannot be: exit 64
├── DesiredStateError     the state repository does not validate: wait for a new commit, keep the last good one
├── SettingsError         the host settings do not read: nothing starts
├── SourceError           git could not be read: keep the last good commit, back off
├── HostError             this host keeps no more: no room, read-only, no descriptors: back off, try again
├── CommitError           a report could not be committed or pushed: rebase, queue, try again
│   └── LeaseLost         somebody else leads: only observe
└── NodeError             one node's trouble: becomes that node's Unknown or Outcome, never stops the others
    ├── NodeUnreachable   no connection: refused, timed out, gateway down
    │   └── NameNotFound  its host name means nothing: waiting does not mend it
    ├── HostKeyUnknown    no pinned key for this node: nothing is sent
    ├── HostKeyMismatch   another key than the pinned one: nothing is sent
    ├── LoginRefused      the key or the user was refused, or the login shell does not let us run anything
    ├── BecomeRefused     sudo said no, or asked for a password
    ├── NodeTimeout       connected, and then too slow: idle or total limit passed
    └── AnswerGarbled     what came back is cut, odd, too long or not an answer to this request
"""

from reconciler.ids import NodeId
from reconciler.problem import Problem


class ReconcilerError(Exception):
    """The root: anything else that reaches the top is a bug."""


class UsageError(ReconcilerError):
    """The command line asks for something that cannot be."""


class DesiredStateError(ReconcilerError):
    """What a commit says does not validate; carries every mistake, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        """Every problem on its own line."""
        return "\n".join(str(problem) for problem in self.problems)


class SettingsError(ReconcilerError):
    """The host settings cannot be used as they are."""


class SourceError(ReconcilerError):
    """A repository, ref or object could not be read."""


class HostError(ReconcilerError):
    """The management host cannot write, or open, what it must."""


class CommitError(ReconcilerError):
    """A report could not be written, or the remote did not take it."""


class LeaseLost(CommitError):
    """Another writer holds the lease."""


class NodeError(ReconcilerError):
    """One node's trouble; never stops the others."""

    def __init__(self, node: NodeId, problem: str) -> None:
        super().__init__(node, problem)
        self.node = node
        self.problem = problem

    def __str__(self) -> str:
        """Give the problem alone: whoever prints it knows which node it is about."""
        return self.problem


class NodeUnreachable(NodeError):
    """No connection could be made, or it went away."""


class NameNotFound(NodeUnreachable):
    """The name service knows, and says that there is no such name."""


class HostKeyUnknown(NodeError):
    """No key is pinned for this node."""


class HostKeyMismatch(NodeError):
    """The node showed another key than the pinned one."""


class LoginRefused(NodeError):
    """Authentication failed, or the login shell runs no command."""


class BecomeRefused(NodeError):
    """Sudo refused, or wants a password or a terminal."""


class NodeTimeout(NodeError):
    """A limit of time passed on a living connection."""


class AnswerGarbled(NodeError):
    """The answer is cut, odd, or beyond its limits."""
