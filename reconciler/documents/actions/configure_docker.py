"""aws:configureDocker: the distribution's own docker package, by the node's package manager; pure.

SSM's agent knows Amazon Linux and, by the vendor's repository of old, Red Hat. Here no repository is added to a node: where a
distribution has no docker, its `docker` command of podman is what comes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from reconciler.documents.own_script import OwnScript, one_of
from reconciler.documents.script_inputs import read_timeout
from reconciler.model.known import JsonValue

_FAMILY = """\
ID= ID_LIKE=
[ ! -r /etc/os-release ] || . /etc/os-release
family=
for name in $ID $ID_LIKE; do
    case $name in
    debian | ubuntu) family=debian package=docker.io ;;
    amzn) family=rpm package=docker ;;
    fedora) family=rpm package=moby-engine ;;
    rhel | centos) family=rpm package=podman-docker ;;
    suse | opensuse | sles) family=suse package=docker ;;
    alpine) family=alpine package=docker ;;
    arch) family=arch package=docker ;;
    *) continue ;;
    esac
    break
done
[ -n "$family" ] || {
    printf 'aws:configureDocker: no docker package is known for %s: install one by other means\\n' "${ID:-this system}" >&2
    exit 1
}
yum=$(command -v dnf || command -v yum || echo yum)
export DEBIAN_FRONTEND=noninteractive
"""

_INSTALL = """\
if command -v docker >/dev/null 2>&1; then
    printf 'docker is there already: %s\\n' "$(command -v docker)"
else
    printf 'installing %s, the package of the distribution\\n' "$package"
    case $family in
    debian) apt-get -q update && apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$package" ;;
    rpm) "$yum" -y install "$package" ;;
    suse) zypper --non-interactive install "$package" ;;
    alpine) apk add "$package" ;;
    arch) pacman -Sy --noconfirm "$package" ;;
    esac </dev/null || exit 1
fi
if [ "$package" = podman-docker ]; then
    printf 'this is podman, which has no service to start\\n'
elif [ -d /run/systemd/system ]; then
    systemctl start docker || exit 1
elif command -v service >/dev/null 2>&1; then
    service docker start || exit 1
else
    printf 'nothing on the node starts services: start docker by other means\\n'
fi
printf 'Installation complete\\n'
"""

_UNINSTALL = """\
there() {
    case $family in
    debian) [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ;;
    rpm | suse) rpm -q "$package" >/dev/null 2>&1 ;;
    alpine) apk info -e "$package" >/dev/null 2>&1 ;;
    arch) pacman -Q "$package" >/dev/null 2>&1 ;;
    esac
}
if there; then
    printf 'removing %s\\n' "$package"
    case $family in
    debian) apt-get -q -y -o DPkg::Lock::Timeout=300 remove "$package" ;;
    rpm) "$yum" -y remove "$package" ;;
    suse) zypper --non-interactive remove "$package" ;;
    alpine) apk del "$package" ;;
    arch) pacman -R --noconfirm "$package" ;;
    esac </dev/null || exit 1
else
    printf '%s is not installed\\n' "$package"
fi
printf 'Uninstall complete\\n'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureDocker(OwnScript):
    """Docker on the node, or none."""

    name: ClassVar[str] = "aws:configureDocker"
    action: str

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, JsonValue]) -> Self:
        """Read a step's inputs."""
        return cls(
            action=one_of(inputs, "action", ("Install", "Uninstall")),
            timeout=read_timeout(inputs.get("timeoutseconds")),
        )

    @property
    def text(self) -> str:
        """The script."""
        return _FAMILY + (_INSTALL if self.action == "Install" else _UNINSTALL)
