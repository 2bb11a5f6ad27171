"""Keys of test signers, ssh and gpg, made by the real tools; commits signed with them, and dated as one likes."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.git_remote import ENVIRONMENT
from tests.support.requirements import skip_or_fail


@dataclass(frozen=True, slots=True)
class TestSigner:
    """Somebody with one key. `yaml` is the entry of a list of signers."""

    __test__ = False

    name: str
    settings: tuple[str, ...]
    environment: dict[str, str]
    public: str
    is_gpg: bool = False

    def yaml(self, **more: str) -> str:
        """Give this signer as one document of signers.yaml."""
        lines = [f"Name: {self.name}"]
        if self.is_gpg:
            lines += ["GpgKey: |", *(f"  {line}" for line in self.public.splitlines())]
        else:
            lines += [f"SshKey: {self.public}"]
        lines += [f"{key}: {value}" for key, value in more.items()]
        return "\n".join(lines) + "\n"

    def entry(self, **more: str) -> str:
        """Give this signer as an entry of a list in the host settings."""
        first, *rest = self.yaml(**more).splitlines()
        return "\n".join([f"  - {first}", *(f"    {line}" for line in rest)]) + "\n"

    def commit(self, repo: Path, message: str = "Signed", *, date: str | None = None, amend: bool = False) -> str:
        """Commit everything in a work tree, signed; gives the commit."""
        dates = {} if date is None else {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        more = ("--amend",) if amend else ()
        _git(repo, "add", "--all")
        arguments = (*self.settings, "commit", "--quiet", "--allow-empty", "-S", "-m", message, *more)
        _git(repo, *arguments, environment={**self.environment, **dates})
        return _git(repo, "rev-parse", "HEAD")

    def sign(self, path: Path, namespace: str = "") -> None:
        """Sign a file by the tool that people use; the signature lies beside it, as `.sig`."""
        beside = path.with_name(f"{path.name}.sig")
        beside.unlink(missing_ok=True)
        key = self.settings[-1].removeprefix("user.signingKey=")
        ssh = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", key, str(path)]
        gpg = [
            self.settings[3].removeprefix("gpg.program="),
            "--output",
            str(beside),
            "--local-user",
            key,
            "--detach-sign",
        ]
        done = subprocess.run(
            [*gpg, str(path)] if self.is_gpg else ssh,
            env={**ENVIRONMENT, **self.environment},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert beside.is_file()

    def merge(self, repo: Path, branch: str) -> str:
        """Merge a branch with a signed commit, as a forge does."""
        arguments = (*self.settings, "merge", "--quiet", "--no-ff", "-S", "-m", f"Merge {branch}", branch)
        _git(repo, *arguments, environment=self.environment)
        return _git(repo, "rev-parse", "HEAD")


def _git(repo: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        ["git", "-C", str(repo), *arguments],
        env={**ENVIRONMENT, **(environment or {})},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, (arguments, done.stderr.decode())
    return done.stdout.decode().strip()


def ssh_signer(folder: Path, name: str) -> TestSigner:
    """Make an ssh key; its private file is `folder/name`."""
    if shutil.which("ssh-keygen") is None:
        skip_or_fail("ssh-keygen is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@example.org", "-f", str(key)],
        check=True,
        timeout=60,
    )
    settings = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}")
    return TestSigner(name, settings, {}, key.with_suffix(".pub").read_text().strip())


class GpgHome:
    """A gpg home of test signers; end it with `close`, since gpg starts an agent of its own."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("gpg") is None or shutil.which("gpg-agent") is None:
            skip_or_fail("gpg is not installed")
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.environment = {"GNUPGHOME": str(folder)}

    def gpg(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["gpg", "--batch", "--yes", "--quiet", *arguments],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", **self.environment},
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def signer(self, name: str, *, expires: str = "never", now: str | None = None) -> TestSigner:
        """Make a key; `now` (as 20200101T000000) pretends another day of making and signing."""
        faked = () if now is None else (f"--faked-system-time={now}!",)
        user = f"{name} <{name}@example.org>"
        made = ("--passphrase", "", "--pinentry-mode", "loopback", "--quick-gen-key", user, "ed25519", "sign", expires)
        self.gpg(*faked, *made)
        program = self.folder / f"gpg-{name}"
        program.write_text(f'#!/bin/sh\nexec gpg --batch {" ".join(faked)} "$@"\n')
        program.chmod(0o755)
        settings = ("-c", "gpg.format=openpgp", "-c", f"gpg.program={program}", "-c", f"user.signingKey={user}")
        return TestSigner(name, settings, self.environment, self.public(name), is_gpg=True)

    def public(self, name: str) -> str:
        """Give the armoured public key as it is now."""
        return self.gpg("--armor", "--export", f"{name}@example.org")

    def revoke(self, name: str) -> str:
        """Revoke a key with the certificate gpg made with it; gives the public key."""
        listed = self.gpg("--with-colons", "--list-keys", f"{name}@example.org").splitlines()
        fingerprint = next(line.split(":")[9] for line in listed if line.startswith("fpr:"))
        certificate = (self.folder / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text()
        self.gpg("--import", stdin=certificate.replace(":-----BEGIN", "-----BEGIN"))
        return self.public(name)

    def close(self) -> None:
        """End the agent."""
        subprocess.run(
            ["gpgconf", "--kill", "all"],
            env={"PATH": os.environ["PATH"], **self.environment},
            check=False,
            timeout=60,
        )
