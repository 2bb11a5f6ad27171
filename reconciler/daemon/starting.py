"""First steps: a new state repository, a new node. Writes files for review; nothing it writes changes any server."""

import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from reconciler.bundled import bundled_files
from reconciler.daemon.accepting import check_schedule, read_folder
from reconciler.errors import DesiredStateError, NodeError, UsageError
from reconciler.ids import NodeId
from reconciler.model.node import Node
from reconciler.model.read_state import read_state
from reconciler.problem import Gravity
from reconciler.source.begin import begin_repository
from reconciler.source.records import Person
from reconciler.transport.known_hosts import lines_for
from reconciler.transport.pool import ConnectionPool
from reconciler.transport.scan_keys import scan_keys

FLEET = """\
# Settings of the whole fleet. Every key: docs/state-repository.md
Fleet: {fleet}
Interval: rate(10 minutes)
# Where reports are pushed. Without Remote they stay in this repository, on branch "compliance".
# Reports: {{Branch: compliance, Remote: origin}}
"""

THIS_MACHINE = """\
# Nodes: several YAML documents per file are allowed. `reconciler node add` writes them with their host keys.
# This one is the management host itself; local nodes are only observed unless the host settings allow more.
Id: this-machine
Transport: local
Mode: observe
Tags: {Role: management}
"""

MOTD = """\
# An association: which document, with which parameters, on which nodes; and what holds afterwards.
# Mode: warn reports drift and changes nothing. Remove the line once the plan shows what you mean.
AssociationName: message-of-the-day
Name: AWS-RunShellScript
Mode: warn
Targets: [{Key: 'tag:Role', Values: [web]}]
Parameters:
  commands: ["printf 'managed by git\\\\n' > /etc/motd"]
Expect:
  Files: [{Path: /etc/motd, Content: "managed by git\\n", Mode: '0644', Owner: root, Group: root}]
"""

KNOWN_HOSTS = """\
# Host keys of the nodes, in OpenSSH's format. A node whose key is not here is Unknown, and nothing is sent to it.
# `reconciler node scan-keys` prints the lines; compare them with the nodes' own consoles before committing them.
"""


def new_repository(directory: Path, *, fleet: str) -> Iterator[str]:
    """Make a state repository; gives lines that say what was made and what to do next. Raises UsageError, SourceError."""
    files = {
        "state/fleet.yaml": FLEET.format(fleet=fleet).encode(),
        "state/nodes/this-machine.yaml": THIS_MACHINE.encode(),
        "state/associations/message-of-the-day.yaml": MOTD.encode(),
        "state/known_hosts": KNOWN_HOSTS.encode(),
        ".gitattributes": b"* text=auto eol=lf\n",
    }
    desired, problems = read_state(files, bundled=bundled_files(), check_schedule=check_schedule)
    if desired is None:
        raise DesiredStateError(tuple(problem for problem in problems if problem.gravity is Gravity.ERROR))
    made = begin_repository(
        directory,
        files,
        message="Begin the state repository\n",
        person=Person(email=f"reconciler@{socket.gethostname()}"),
        when=datetime.now(UTC),
    )
    yield f"{directory}: a state repository of fleet {fleet}, committed as {made[:12]}"
    yield "next: reconciler node add ID ADDRESS --repo " + str(directory)
    yield "then: reconciler validate, commit, reconciler plan, reconciler once"


def add_node(
    repo: Path,
    node_id: str,
    address: str,
    *,
    port: int,
    user: str | None,
    tags: Mapping[str, str],
    become: bool,
) -> Iterator[str]:
    """Write a node's file and its host keys into a checkout; the checkout must validate before and after.

    Raises UsageError where the node is there already, DesiredStateError where what was asked for does not validate
    (nothing is written then), NodeError where the server does not answer.
    """
    state = repo / "state"
    file = state / "nodes" / f"{node_id}.yaml"
    if not state.is_dir():
        raise UsageError(f"{repo} is no state repository: it has no folder state/; `reconciler init` makes one")
    text = _node_yaml(node_id, address, port=port, user=user, tags=tags, become=become)
    name = f"state/nodes/{node_id}.yaml"
    desired, problems = read_state({name: text.encode()})
    if desired is None:
        raise DesiredStateError(tuple(p for p in problems if p.gravity is Gravity.ERROR))
    before, problems = read_folder(repo)
    if before is None:
        raise DesiredStateError(tuple(p for p in problems if p.gravity is Gravity.ERROR))
    if file.exists() or any(known.lower() == node_id.lower() for known in before.nodes):
        raise UsageError(f"a node {node_id!r} is there already; edit its file")
    node = desired.nodes.get(NodeId(node_id))
    if node is None:
        raise UsageError(
            f"{node_id!r} is no node id: write letters, digits, dots, - or _, beginning with a letter or digit"
        )
    (result,) = scan_keys([node]).values()
    if isinstance(result, NodeError):
        raise result
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    known_hosts = state / "known_hosts"
    there = known_hosts.read_text(encoding="utf-8") if known_hosts.exists() else ""
    lines = lines_for(node, result)
    with known_hosts.open("a", encoding="utf-8") as out:
        out.write("" if not there or there.endswith("\n") else "\n")
        out.writelines(f"{line}\n" for line in lines)
    yield f"wrote {file} and {len(lines)} host keys to {known_hosts}"
    yield from (f"  {key.type} {key.fingerprint}" for key in result)
    yield "compare these fingerprints with the node's own console, then commit both files"


def _node_yaml(
    node_id: str, address: str, *, port: int, user: str | None, tags: Mapping[str, str], become: bool
) -> str:
    lines = [f"Id: {_scalar(node_id)}", f"Address: {_scalar(address)}"]
    lines += [f"Port: {port}"] if port != 22 else []  # noqa: PLR2004 - ssh's own port
    lines += [f"User: {_scalar(user)}"] if user is not None else []
    lines += ["Become: sudo"] if become else []
    lines += ["Mode: warn"]
    if tags:
        lines += ["Tags:", *(f"  {_scalar(name)}: {_scalar(value)}" for name, value in sorted(tags.items()))]
    return "\n".join(lines) + "\n"


def _scalar(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def scanned(nodes: list[Node], pool: ConnectionPool) -> Iterator[tuple[str, str]]:
    """Ask many servers for their keys: (line, '') for each key, ('', trouble) for each node that did not answer."""
    wanted = {node.id: node for node in nodes}
    for node, result in scan_keys(nodes, pool).items():
        if isinstance(result, NodeError):
            yield "", f"{node}: {result}"
            continue
        yield from ((line, "") for line in lines_for(wanted[node], result))
