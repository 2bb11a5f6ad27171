"""The archives a node's sources name: who they say they are, whether they were verified, whether their lists are there.

Nothing is computed that apt would have to build its cache for: `indextargets` with its lists out of sight reads the sources
alone (20 ms instead of 800), and origin, label and dates are read from the Release files. Userinfo of a source's address, which
may be a password, stands in none of what is told; of whole addresses only `addresses` tells.
"""

from typing import Final

from reconciler.inventory.apt import INDEX, LISTS, SOURCES, Target, read_targets, unchanged_releases
from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.rpm import repositories as rpm
from reconciler.model.known import JsonValue
from reconciler.model.questions import Questions

# $apt_index is the list, $apt_lists are the files behind it in the same order: for `metadata` and `available`, which stand
# behind this fact and are computed only where their own fingerprint differs. A file may be compressed in every way apt knows;
# `+` stands for one that is there, `?` for one that may not be read, `-` for none.
_ADDRESSES: Final = ' || [ "$at_addresses" != "$held_addresses" ]'
_SCRIPT: Final = (
    rpm.FAMILY
    + r"""
apt_index='unknown the indexes were not listed' apt_lists= apt_urls= rpm_index= rpm_main= rpm_files= rpm_urls=
if [ "$pm" = apt ]; then
if [ "$at_repositories" != "$held_repositories" ] || [ "$at_metadata" != "$held_metadata" ] || [ "$at_available" != "$held_available" ]ADDRESSES; then
  set -- /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources
  o= L=/var/lib/apt/lists/
APT
fi
elif [ "$at_repositories" != "$held_repositories" ] || [ "$at_metadata" != "$held_metadata" ] || [ "$at_available" != "$held_available" ] \
  || [ "$at_installed" != "$held_installed" ]ADDRESSES; then
RPM
fi
if [ "$at_repositories" = "$held_repositories" ]; then same repositories
else
  say at.repositories ok "$at_repositories"
  case $apt_index$rpm_index in
  indexes*) say repositories ok "$apt_index";;
  *repositories*) say repositories ok "$rpm_index";;
  *) [ "$pm" = apt ] && rpm_index=$apt_index; say repositories unknown "${rpm_index#unknown }";;
  esac
fi
""".replace("APT", INDEX).replace("RPM", rpm.SCRIPT)
)


def parse(stdout: str, _: Asked) -> Rows:
    """Give `SITE SUITE/COMPONENT ARCH` (rpm: the id) -> what it says of itself. Dates are in `metadata`: they change with every update."""
    if stdout.startswith("repositories "):
        return {one.id: _rpm_row(one) for one in rpm.read_repositories(stdout)[1]}
    return {target.key: _row(target) for target in read_targets(stdout) if target.state != "-" or target.arch != "all"}


def _row(target: Target) -> JsonValue:
    index = target.index
    if target.state == "?":
        return {"unknown": "its list of packages may not be read"}
    return {
        "origin": index.origin,
        "label": index.label,
        "suite": index.suite,
        "codename": index.codename,
        "component": index.component,
        "trusted": index.trusted,
        "fetched": target.state == "+",
        "release": None if target.release is None else target.release.name,
    }


def _rpm_row(one: rpm.Repository) -> JsonValue:
    return {"trusted": one.trusted, "fetched": bool(one.folder), "notices": bool(one.updateinfo)}


def _script(questions: Questions) -> str:
    if not questions.patches:
        return ""
    return _SCRIPT.replace("ADDRESSES", _ADDRESSES if questions.addresses else "")


FACT = Fact(
    section="repositories",
    watch=f"{SOURCES} {LISTS}/*Packages* {rpm.CONFIGURATION} {rpm.LISTS}",
    also=unchanged_releases,
    script=_script,
    parse=parse,
    keeps=True,
)
