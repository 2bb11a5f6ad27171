"""Signs that a node waits for a reboot, as packages of Debian and Ubuntu leave them, and as rpm's databases show them; kernels are told by `kernel`."""

from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, nothing
from reconciler.inventory.rpm import signs
from reconciler.inventory.rpm.installed import DATABASE
from reconciler.model.questions import Questions
from reconciler.model.shell import quote

NOTED: Final = "/var/lib/reconciler/patching"
"""Where installs note what they bring, below the run root of root: `documents.patch_frame_text` does."""

_BOOT: Final = "/boot/. /boot/grub/grub.cfg /boot/grub2/grub.cfg /boot/loader/entries/."

# A bare Debian never makes these files: that there is none proves nothing, and the running kernel is looked at besides.
_SCRIPT: Final = r"""
x='required no'
[ -e /run/reboot-required ] && x='required yes'
n=0
if [ -f /run/reboot-required.pkgs ] && [ -r /run/reboot-required.pkgs ]; then
  while IFS= read -r l && [ "$n" -lt 500 ]; do n=$((n+1)); x="$x${NL}package $l"; done </run/reboot-required.pkgs
fi
if [ "$pm" != apt ]; then
SIGNS
fi
p=$root/patching/installed.$boot
case $x in unknown*) ;; *)
  n=0
  if [ "$rootstate" = ok ] && [ -f "$p" ] && [ -r "$p" ]; then
    while IFS= read -r l && [ "$n" -lt 5000 ]; do n=$((n+1)); x="$x${NL}brought $l"; done <"$p"
  fi;;
esac
# What the install itself asks before it reboots: `documents.patch_frame_text`.
v=
for p in /boot/vmlinuz-*; do [ -f "$p" ] && v="$v${p#/boot/vmlinuz-}$NL"; done
if [ -n "$v" ] && v=$(printf %s "$v" | sort -V 2>/dev/null | tail -n 1) && [ -n "$v" ]; then
  if [ ! -s "/boot/initrd.img-$v" ] && [ ! -s "/boot/initramfs-$v.img" ] && [ ! -s "/boot/initrd-$v" ]; then x="$x${NL}bare $v has no initrd in /boot"
  else
    for p in /boot/grub/grub.cfg /boot/grub2/grub.cfg; do
      [ ! -r "$p" ] || grep -q -F "vmlinuz-$v" "$p" /boot/loader/entries/*.conf 2>/dev/null </dev/null || x="$x${NL}bare $v has no entry in $p"
    done
  fi
fi
case $x in
unknown*) x=${x%%"$NL"*}; say reboot unknown "${x#unknown }";;
*) say reboot ok "$x";;
esac
""".replace("SIGNS", signs.SCRIPT)


def parse(stdout: str, _: Asked) -> Rows:
    """Give `required` and `packages` (who asked for it, each once).

    `since_boot`: what installs of ours brought, `ROW VERSION`; `unbootable`: what the newest kernel lacks. Each only where there is something.
    """
    first, *lines = stdout.split("\n")
    if first not in ("required yes", "required no"):
        raise ValueError(f"neither required nor not: {first[:80]!r}")
    if any(not line.startswith(("package ", "brought ", "bare ")) for line in lines):
        raise ValueError("a line that names no package")
    names = {line.removeprefix("package ").strip()[:100] for line in lines if line.startswith("package ")} - {""}
    mine = {line.removeprefix("brought ").strip()[:400] for line in lines if line.startswith("brought ")} - {""}
    brought: Rows = {"since_boot": sorted(mine)} if mine else {}
    bare = next((line.removeprefix("bare ")[:200] for line in lines if line.startswith("bare ")), "")
    release, _space, lacks = bare.partition(" ")
    unbootable: Rows = {"unbootable": f"the newest kernel, {release}, {lacks}"} if bare else {}
    return {"required": first == "required yes", "packages": sorted(names), **brought, **unbootable}


def _script(questions: Questions) -> str:
    return _SCRIPT if questions.patches else ""


def _also(questions: Questions) -> str:
    return f'{quote("boot ")}"$boot"' if questions.patches else nothing(questions)


FACT = Fact(
    section="reboot",
    watch=f"/run/reboot-required /run/reboot-required.pkgs {NOTED}/installed.* {_BOOT} {signs.WATCH} {DATABASE}",
    also=_also,
    script=_script,
    parse=parse,
)
