"""Real git repositories for tests: bare remotes and work trees, with nobody's settings."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
    "LC_ALL": "C",
}
_AS_A_PACK = ("-c", "fastimport.unpackLimit=0", "-c", "pack.compression=0")
"""As objects come in one stream: compressing and unpacking them takes longer than all else that is done with them."""


@dataclass(frozen=True)
class GitRemote:
    """A repository that people push to; `path` is its folder, bare or not."""

    path: Path

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", str(self.path), *arguments],
            env=ENVIRONMENT,
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, bytes | None], message: str = "Change", *, branch: str = "main") -> str:
        """Commit files on a branch without a work tree, as a push of somebody else would."""
        text = message.encode()
        parts = [f"commit refs/heads/{branch}\ncommitter Ann <ann@example.org> 1700000000 +0000\n".encode()]
        parts.append(b"data %d\n" % len(text) + text + b"\n")
        if self.has(f"refs/heads/{branch}"):
            parts.append(f"from refs/heads/{branch}^0\n".encode())
        for path, content in files.items():
            if content is None:
                parts.append(f"D {path}\n".encode())
            else:
                parts.append(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
        self.git(*_AS_A_PACK, "fast-import", "--quiet", stdin=b"".join(parts))
        return self.tip(branch)

    def has(self, ref: str) -> bool:
        return ref in self.git("for-each-ref", "--format=%(refname)").splitlines()

    def tip(self, branch: str = "main") -> str:
        return self.git("rev-parse", f"refs/heads/{branch}")

    def show(self, path: str, branch: str = "compliance") -> str:
        return self.git("cat-file", "blob", f"refs/heads/{branch}:{path}")

    def log(self, branch: str = "compliance") -> list[str]:
        """The subjects, newest first."""
        return self.git("log", "--format=%s", f"refs/heads/{branch}").splitlines()


def make_remote(path: Path, *, bare: bool = True) -> GitRemote:
    """An empty repository whose HEAD is `main`."""
    path.mkdir(parents=True)
    remote = GitRemote(path)
    remote.git("init", "--quiet", "--template=", "--initial-branch=main", *(["--bare"] if bare else []))
    return remote
