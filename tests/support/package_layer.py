"""More of the distribution's packages for a test node: a read-only layer above the shared root, made once and kept beside it.

    with start_fleet(tmp_path, specs=(NodeSpec(name="node", packages=("podman",)),)) as fleet: ...

Takes the shared root and names of packages; gives the directory that goes between it and the node's own layers. Whatever
happens while it is made, nothing stays mounted: that is done in a mount namespace of its own.
"""

import hashlib
import shutil
import tempfile
from pathlib import Path

from tests.support.node_root import build, configured_archive, locked

# The upper directory lies on a tmpfs: the file system of the cache may be an overlay itself, which takes none.
_MAKE = r"""
set -eu
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/work" overlay "$work/root"
cp /etc/resolv.conf "$work/root/etc/resolv.conf"
printf 'deb %s %s main\n' "$mirror" "$suite" >"$work/root/etc/apt/sources.list"
# No service of them starts by itself on a node.
printf '#!/bin/sh\nexit 101\n' >"$work/root/usr/sbin/policy-rc.d"
chmod 755 "$work/root/usr/sbin/policy-rc.d"
chroot "$work/root" apt-get -qq update
chroot "$work/root" apt-get -qq -y --no-install-recommends install "$@"
umount "$work/root"
cd "$work/upper"
rm -rf etc/resolv.conf etc/apt/sources.list usr/sbin/policy-rc.d var/lib/apt/lists var/cache/apt var/log tmp
cp -a . "$layer"
"""


def ensure_layer(root: Path, packages: tuple[str, ...]) -> Path:
    """Give the layer with `packages` above the shared root, making it if it is not there yet."""
    key = hashlib.sha256("\n".join((_MAKE, *sorted(packages))).encode()).hexdigest()[:8]
    layer = root.with_name(f"{root.name}-with-{packages[0]}-{key}")
    with locked(layer.with_name(f"{layer.name}.lock")):
        if not layer.is_dir():
            _make(root, layer, packages)
    return layer


def _make(root: Path, layer: Path, packages: tuple[str, ...]) -> None:
    archive = configured_archive()
    unfinished = Path(tempfile.mkdtemp(prefix=f"{layer.name}.", suffix=".unfinished", dir=layer.parent))
    work = Path(tempfile.mkdtemp(prefix="package-layer."))
    try:
        build(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", _MAKE, "sh", *packages],
            f"{', '.join(packages)} could not be installed for a test node",
            DEBIAN_FRONTEND="noninteractive",
            lower=str(root),
            work=str(work),
            layer=str(unfinished),
            mirror=archive.mirror,
            suite=archive.suite,
        )
        unfinished.chmod(0o755)
        unfinished.rename(layer)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(unfinished, ignore_errors=True)
