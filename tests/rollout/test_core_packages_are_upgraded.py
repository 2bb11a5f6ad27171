"""libc6, openssh-server and systemd replaced in one detached run on a node that boots systemd: nothing of the run is lost."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nodes import NodeSpec, TestNode, start_fleet
from tests.support.patching import Manager, audit, versions

pytestmark = [pytest.mark.nodes, pytest.mark.soak, pytest.mark.timeout(600)]

CORE = ("libc6", "libpam-systemd", "openssh-server", "systemd")
REPACK = r"""
set -eu
umask 022
name=$1
tree=/root/repack/$name
rm -rf "$tree"
mkdir -p "$tree/DEBIAN" /srv/apt/pool/main
info=/var/lib/dpkg/info/$name
[ -f "$info.list" ] || info=/var/lib/dpkg/info/$name:amd64
while read -r path; do
    case $path in /.) continue ;; /bin | /sbin | /lib | /lib64) mkdir -p "$tree$path"; continue ;; esac
    if [ -d "$path" ] && [ ! -L "$path" ]; then
        mkdir -p "$tree$path"
    elif [ -e "$path" ] || [ -L "$path" ]; then
        mkdir -p "$tree${path%/*}"
        cp -a "$path" "$tree$path"
    fi
done <"$info.list"
for script in preinst postinst prerm postrm conffiles triggers shlibs symbols templates config; do
    [ ! -f "$info.$script" ] || cp -a "$info.$script" "$tree/DEBIAN/$script"
done
dpkg-query -s "$name" | awk '
    /^(Status|Conffiles|Config-Version):/ { skip = 1; next }
    /^ / && skip { next }
    { skip = 0 }
    /^Version:/ { $0 = $0 "+patched1" }
    /^(Depends|Pre-Depends):/ { gsub(/systemd \(= /, "systemd (>= ") }
    { print }
' >"$tree/DEBIAN/control"
dpkg-deb --build --root-owner-group -Znone "$tree" "/srv/apt/pool/main/${name}_patched1.deb" >/dev/null
rm -rf "$tree"
"""
INDEX = r"""
set -eu
cd /srv/apt
mkdir -p dists/patched-security/main/binary-amd64
for deb in pool/main/*.deb; do
    dpkg-deb -f "$deb"
    printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
done >dists/patched-security/main/binary-amd64/Packages
cd dists/patched-security
sum=$(sha256sum main/binary-amd64/Packages | cut -d' ' -f1)
size=$(stat -c %s main/binary-amd64/Packages)
printf 'Origin: Debian\nLabel: Debian-Security\nSuite: patched-security\nCodename: patched-security\nDate: %s\nArchitectures: amd64\nComponents: main\nSHA256:\n %s %s main/binary-amd64/Packages\n' \
    "$(date -Ru)" "$sum" "$size" >Release
printf 'deb [trusted=yes] file:/srv/apt patched-security main\n' >/etc/apt/sources.list
apt-get -q update
"""


@pytest.fixture
def manager(tmp_path: Path, require_nodes: None) -> Iterator[Manager]:
    with start_fleet(tmp_path / "fleet", specs=(NodeSpec(name="core", systemd=True),)) as fleet:
        yield Manager(fleet.nodes[0], tmp_path / "outputs")


def repack(node: TestNode) -> None:
    """Let the node's archive offer its own core packages once more, under a higher version."""
    for name in CORE:
        node.run(["sh", "-c", REPACK, "sh", name])
    node.run(["sh", "-c", INDEX])


def test_core_packages_are_replaced_under_the_run_that_replaces_them(manager: Manager) -> None:
    node = manager.server
    before = versions(node, *CORE)
    repack(node)
    order = manager.order(*CORE)
    assert order is not None
    assert {pin.name for pin in order.pins} == set(CORE)
    cuts = 0
    over = threading.Event()

    def cut() -> None:
        nonlocal cuts
        while not over.wait(1.5):
            cuts += node.kill_connections()

    cutter = threading.Thread(target=cut)
    cutter.start()
    begun = time.monotonic()
    try:
        done = manager.run(order, seconds=400)
    finally:
        over.set()
        cutter.join()
    assert done.status == "Success", done
    assert set(done.installed) == {f"{name}.amd64" for name in CORE}
    assert versions(node, *CORE) == {name: f"{version}+patched1" for name, version in before.items()}
    assert audit(node) == ""
    told = node.run(["systemctl", "is-active", "ssh"]).stdout.strip()
    print(f"{len(CORE)} core packages in {time.monotonic() - begun:.1f} s, {cuts} connections cut, ssh {told}")  # noqa: T201 - a long run tells its figures
    assert manager.order(*CORE) is None
