"""Host certificates as ssh-keygen makes them: an authority, what it signs, and an sshd that shows it."""

import base64
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.transport.known_hosts import HostKey
from tests.transport.real_sshd import Sshd, keygen

ALWAYS = "19700102000000Z:20991231000000Z"


@dataclass(frozen=True, slots=True)
class Authority:
    """A key that signs host keys."""

    path: Path

    @classmethod
    def made(cls, path: Path, kind: str = "ed25519") -> "Authority":
        keygen(path, kind)
        return cls(path)

    @property
    def key(self) -> HostKey:
        kind, text = self.path.with_name(self.path.name + ".pub").read_text().split()[:2]
        return HostKey(kind, text)

    @property
    def line(self) -> str:
        return f"@cert-authority * {self.key}\n"

    def sign(self, public: Path, *options: str, names: str = "web-01", valid: str = ALWAYS, host: bool = True) -> Path:
        """Sign a .pub file; gives the certificate beside it."""
        chosen = [*(("-h",) if host else ()), *(("-n", names) if names else ()), *options]
        command = [
            "ssh-keygen",
            "-q",
            "-s",
            str(self.path),
            "-I",
            "an id",
            "-z",
            "7",
            "-V",
            valid,
            *chosen,
            str(public),
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return public.with_name(public.name.removesuffix(".pub") + "-cert.pub")


def blob_of(certificate: Path) -> bytes:
    """Give a certificate's bytes, as a server shows them."""
    return base64.b64decode(certificate.read_text().split()[1])


def show(sshd: Sshd, certificate: Path) -> Sshd:
    """Start an sshd anew, with a certificate for its host key."""
    sshd.stop()
    certified = replace(sshd, options=(*sshd.options, f"HostCertificate {certificate}"), process=None)
    certified.start()
    return certified
