#!/bin/sh
# PID 1 of a node without systemd: keeps sshd running, reaps orphans (wait collects them), and goes down when told:
# TERM restarts the node, USR2 turns it off. The status is what the machine outside acts upon.
down() {
  trap '' TERM USR2
  kill -TERM -1 2>/dev/null
  sleep 0.1
  kill -KILL -1 2>/dev/null
  exit "$1"
}
trap 'down 10' TERM
trap 'down 11' USR2
while :; do
  /usr/sbin/sshd -D -E /var/log/sshd.log &
  wait $!
  sleep 0.1 &
  wait $!
done
