#!/bin/sh
# Installs what real test nodes need, where that is possible; says what is missing where it is not. Never fails:
# the tests skip with the reason, or fail with it under REQUIRE_NODES=1.
set -u
missing=
for tool in sshd:openssh-server mmdebstrap:mmdebstrap sudo:sudo ip:iproute2 dpkg-deb:dpkg ssh:openssh-client ssh-keygen:openssh-client gpg:gpg gpg-agent:gpg-agent busybox:busybox-static fish:fish tcsh:tcsh zsh:zsh mksh:mksh csh:csh setsid:util-linux ps:procps gawk:gawk original-awk:original-awk; do
  command -v "${tool%%:*}" >/dev/null 2>&1 || [ -x "/usr/sbin/${tool%%:*}" ] || missing="$missing ${tool#*:}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing for the test nodes:$missing"
  apt-get update -qq >/dev/null 2>&1
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
    echo "could not install:$missing" >&2
else
  echo "without root the test nodes are left out; missing:$missing" >&2
fi
exit 0
