"""Git remotes over a real ssh: an sshd of our own, one key that may push and one that may only fetch."""

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.git_remote import GitRemote, make_remote
from tests.support.host_keys import new_key_pair
from tests.support.ssh_node import ssh_node

_ONLY_FETCH = """\
#!/bin/sh
echo "$SSH_ORIGINAL_COMMAND" >> {log}
case $SSH_ORIGINAL_COMMAND in
git-upload-pack*) exec sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
echo "this key may only fetch" >&2
exit 1
"""
_ANYTHING = """\
#!/bin/sh
echo "$SSH_ORIGINAL_COMMAND" >> {log}
exec sh -c "$SSH_ORIGINAL_COMMAND"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitOverSsh:
    """A bare repository, its address, and how two users log in."""

    remote: GitRemote
    url: str
    pushes: Path
    """The private key that may do everything git asks for."""
    fetches: Path
    """The private key that may not push."""
    known_hosts: Path
    asked: Path
    """One line for each command that the server was asked for."""

    def ssh_first_on_path(self, folder: Path, key: Path) -> str:
        """Give a PATH whose `ssh` is the real one, logging in with `key` alone: nobody's own settings are read."""
        folder.mkdir(exist_ok=True)
        chosen = ("-F", "none", "-o", f"IdentityFile={key}", "-o", "IdentitiesOnly=yes")
        chosen += ("-o", f"UserKnownHostsFile={self.known_hosts}")
        program = folder / "ssh"
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {shlex.join(chosen)} "$@"\n')
        program.chmod(0o755)
        return f"{folder}:{os.environ['PATH']}"


@contextmanager
def git_over_ssh(directory: Path) -> Iterator[GitOverSsh]:
    """Start an sshd that serves one repository below `directory`."""
    with ssh_node(directory) as address:
        keys = {}
        lines = []
        for name, program in (("pushes", _ANYTHING), ("fetches", _ONLY_FETCH)):
            pair = new_key_pair(name)
            script, keys[name] = directory / f"{name}.sh", directory / name
            script.write_text(program.format(log=directory / "asked"))
            script.chmod(0o755)
            keys[name].touch(mode=0o600)
            keys[name].write_text(pair.private)
            lines.append(f'command="{script}",restrict {pair.public}')
        (address.identity_file.parent / "authorized_keys").write_text("".join(f"{line.strip()}\n" for line in lines))
        (directory / "known_hosts").write_text(address.known_hosts)
        remote = make_remote(directory / "fleet.git")
        yield GitOverSsh(
            remote=remote,
            url=f"ssh://{address.user}@{address.address}:{address.port}{remote.path}",
            pushes=keys["pushes"],
            fetches=keys["fetches"],
            known_hosts=directory / "known_hosts",
            asked=directory / "asked",
        )
