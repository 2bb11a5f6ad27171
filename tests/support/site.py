"""A whole installation for tests: a state repository in real git, host settings, a state folder, and passes over real nodes."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from reconciler.daemon.controller import Controller
from reconciler.daemon.passing import PassResult, Request
from reconciler.settings import read_host_settings
from tests.support.nodes import Fleet, TestNode
from tests.support.warm_program import WarmProcess, run_warm, start_warm

GIT = (
    "git",
    "-c",
    "user.name=An Operator",
    "-c",
    "user.email=operator@example.org",
    "-c",
    "commit.gpgSign=false",
    "-c",
    "init.defaultBranch=main",
    "-c",
    "init.templateDir=",
    "-c",
    "maintenance.auto=false",
)
"""As an operator, without copies of sample hooks and looks for garbage, which cost more than what is asked for."""

Background: TypeAlias = "subprocess.Popen[str] | WarmProcess"

APPEND_DOCUMENT = """\
schemaVersion: '2.2'
description: Writes a file, and says in a log on the node that it ran.
parameters:
  text: {type: String, description: What the file says., default: managed by git}
  seconds: {type: String, description: How long it takes., default: '0'}
mainSteps:
  - name: write
    action: aws:runShellScript
    inputs:
      runCommand:
        - echo run >> /var/log/bodies
        - sleep '{{ seconds }}'
        - printf '%s\\n' '{{ text }}' > /etc/motd
        - chmod 0644 /etc/motd
        - echo written
"""

MOTD = """\
AssociationName: motd
Name: Motd
Targets: [{Key: 'tag:Role', Values: [web]}]
Expect:
  Files: [{Path: /etc/motd, Content: "managed by git\\n", Mode: '0644', Owner: root, Group: root}]
"""


def nodes_yaml(nodes: Iterable[TestNode], *, prefix: str = "web", extra: str = "") -> str:
    """Describe test nodes as a state repository does: web-01, web-02 and so on."""
    return "---\n".join(
        f"Id: {prefix}-{number:02}\nAddress: {node.address}\nPort: {node.port}\nUser: {node.user}\n"
        f"IdentityFile: fleet\nBecome: sudo\nTags: {{Role: {prefix}}}\n{extra}"
        for number, node in enumerate(nodes, 1)
    )


class Site:
    """One management host with one state repository."""

    def __init__(self, folder: Path, fleet: Fleet | None) -> None:
        self.folder = folder
        self.repo = folder / "state-repository"
        self.state_dir = folder / "state-folder"
        self.settings = folder / "host.yaml"
        self.fleet = fleet
        keys = folder / "keys"
        for made in (self.repo, self.state_dir, keys):
            made.mkdir(parents=True, exist_ok=True)
        if fleet is not None:
            (keys / "fleet").write_bytes(Path(fleet.identity_file).read_bytes())
            (keys / "fleet").chmod(0o600)
        self.settings.write_text(f"KeyDirectory: '{keys}'\n")
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, repo: Path | None = None, stdin: str | None = None) -> str:
        """Run git as an operator would, in the state repository."""
        done = subprocess.run(
            [*GIT, *arguments],
            cwd=repo or self.repo,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            input=stdin,
        )
        return done.stdout.strip()

    def write(self, files: Mapping[str, str | None]) -> None:
        """Write files into the checkout; None removes one."""
        for name, text in files.items():
            path = self.repo / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)

    def commit(self, files: Mapping[str, str | None], message: str = "Change the state") -> str:
        """Write files and commit them; gives the commit."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def standard(self, nodes: Iterable[TestNode], fleet_yaml: str = "Fleet: example\n") -> str:
        """Commit the standard state: every node is web, and its motd is managed."""
        assert self.fleet is not None
        return self.commit(
            {
                "state/fleet.yaml": fleet_yaml,
                "state/nodes/web.yaml": nodes_yaml(nodes),
                "state/known_hosts": self.fleet.known_hosts,
                "state/associations/motd.yaml": MOTD,
                "documents/Motd.yaml": APPEND_DOCUMENT,
            }
        )

    @contextmanager
    def controller(
        self, repo: str | None = None, state_dir: Path | None = None, at: datetime | None = None
    ) -> Iterator[Controller]:
        """Open a controller in this process, as the daemon does; with `at`, its clock stands at that instant."""
        controller = Controller(
            repo or str(self.repo),
            settings=read_host_settings(self.settings),
            state_dir=state_dir or self.state_dir,
            clock=(lambda: datetime.now(UTC)) if at is None else lambda: at,
        )
        try:
            yield controller
        finally:
            controller.close()

    def once(
        self, request: Request | None = None, *, at: datetime | None = None, state_dir: Path | None = None
    ) -> PassResult:
        """Run one pass from cold, in this process; with `at`, at that instant."""
        with self.controller(at=at, state_dir=state_dir) as controller:
            return controller.one_pass(request or Request())

    def command(
        self, *arguments: str, check: int | None = None, state_dir: Path | None = None, anew: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run `reconciler ...` as its own process; `check` is the exit code it must have.

        `anew`: start it as an operator does, for a test that looks at the process from outside.
        """
        env = self.environment(state_dir)
        if anew:
            program = [sys.executable, "-m", "reconciler", *arguments]
            done = subprocess.run(
                program, cwd=self.repo, capture_output=True, check=False, text=True, timeout=110, env=env
            )
        else:
            done = run_warm(arguments, cwd=self.repo, env=env, timeout=110)
        assert check is None or done.returncode == check, (
            f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def start(
        self, *arguments: str, state_dir: Path | None = None, log: Path | None = None, anew: bool = False
    ) -> Background:
        """Start `reconciler ...` in the background, `anew` as for `command`; the caller ends it."""
        env = self.environment(state_dir)
        with (log or self.folder / "daemon.log").open("a") as said, Path(os.devnull).open("w") as nothing:
            if not anew:
                return start_warm(arguments, cwd=self.repo, env=env, out=nothing, err=said)
            program = [sys.executable, "-m", "reconciler", *arguments]
            return subprocess.Popen(program, cwd=self.repo, stdout=nothing, stderr=said, text=True, env=env)

    def environment(self, state_dir: Path | None = None) -> Mapping[str, str]:
        """What a command of ours sees: this site, whom a test trusts to sign for web servers, and nobody's home."""
        trusted = {name: os.environ[name] for name in ("SSL_CERT_FILE",) if name in os.environ}
        return trusted | {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "RECONCILER_STATE_DIR": str(state_dir or self.state_dir),
            "RECONCILER_HOST_SETTINGS": str(self.settings),
        }

    def reports(self) -> list[str]:
        """Give the compliance branch's commits, newest first; none where there is no branch.

        Test nodes share one loopback interface: they see each other's listening sockets, those of other tests' nodes
        too. A commit about nothing but such ports is the machine's doing, and left out.
        """
        if not self.git("branch", "--list", "compliance"):
            return []
        commits = self.git("log", "--format=%H", "compliance").split()
        return [commit for commit in commits if not self.is_about_shared_ports(commit)]

    def is_about_shared_ports(self, commit: str) -> bool:
        """Whether every line a commit changes is a listening socket."""
        changed = [
            line
            for line in self.git("show", "--unified=0", "--format=", commit).splitlines()
            if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))
        ]
        return bool(changed) and all(line[1:].startswith('"ports/') for line in changed)


def bodies(node: TestNode) -> int:
    """Count how often the standard document's body ran on a node: each run appends one line to a log there."""
    log = node.root / "var/log/bodies"
    return len(log.read_text().splitlines()) if log.exists() else 0
