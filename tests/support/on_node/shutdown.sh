#!/bin/sh
# reboot, halt, poweroff and shutdown of a node without systemd.
case ${0##*/} in
  reboot) signal=TERM when=now ;;
  shutdown) signal=USR2 when=+1 ;;
  *) signal=USR2 when=now ;;
esac
for word in "$@"; do
  case $word in
    -r | --reboot) signal=TERM ;;
    -c) exec pkill -f ^/bin/sh.-c.sleep.[0-9]*.\&\&.kill ;;
    -*) ;;
    now | +0) when=now ;;
    +[0-9]*) when=$word ;;
  esac
done
[ "$(id -u)" = 0 ] || { echo "${0##*/}: must be root" >&2; exit 1; }
[ "$when" = now ] && exec kill -"$signal" 1
setsid /bin/sh -c "sleep $((${when#+} * 60)) && kill -$signal 1" </dev/null >/dev/null 2>&1 &
