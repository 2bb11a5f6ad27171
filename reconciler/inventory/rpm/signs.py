"""Signs that a node with rpm waits for a reboot: sh for the node. What the package managers' own tools look at, without them.

dnf's plugin names core packages, libzypp packages that say `installhint(reboot-needed)`: one that was installed after the boot
counts. The plugins themselves may be missing, take half a second, and answer 1 for "no such command" too.
"""

from typing import Final

_CORE: Final = (
    "kernel kernel-core kernel-rt kernel-rt-core kernel-default kernel-uek kernel-uek-core kernel6.12 glibc linux-firmware"
    " kernel-firmware systemd udev dbus dbus-broker dbus-daemon dbus-1 microcode_ctl ucode-intel ucode-amd"
)
WATCH: Final = (
    "/run/reboot-needed /etc/dnf/plugins/needs-restarting.d/*.conf /etc/zypp/needreboot /etc/zypp/needreboot.d/*"
)

# Sets $x as `reboot` has it for other families.
SCRIPT: Final = r"""
n=
[ -e /run/reboot-needed ] && n=1
v='CORE'
for p in /etc/dnf/plugins/needs-restarting.d/*.conf /etc/zypp/needreboot /etc/zypp/needreboot.d/*; do
  [ -f "$p" ] && [ -r "$p" ] || continue
  while IFS= read -r l; do case $l in ''|*[!A-Za-z0-9._+-]*|-*) ;; *) v="$v $l";; esac; done <"$p"
done
b=
while read -r l t; do [ "$l" = btime ] && b=$t; done </proc/stat
if ! t=$(rpm -qa --qf '%{NAME} %{INSTALLTIME}\n' $v 2>/dev/null </dev/null) || ! h=$(rpm -q --whatprovides 'installhint(reboot-needed)' --qf '%{NAME} %{INSTALLTIME}\n' 2>/dev/null </dev/null || :) || [ -z "$b" ]
then x='unknown rpm or the time of boot could not be read'
else
  IFS=$NL
  for l in $t $h; do
    case ${l##* } in ''|*[!0-9]*) continue;; esac
    if [ "${l##* }" -gt "$b" ]; then n=1; case "$x$NL" in *"${NL}package ${l% *}$NL"*) ;; *) x="$x${NL}package ${l% *}";; esac; fi
  done
  unset IFS
  [ -z "$n" ] || case $x in 'required no'*) x="required yes${x#required no}";; esac
fi
""".replace("CORE", _CORE)
