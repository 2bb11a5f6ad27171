#!/bin/sh
# First thing in a node's new namespaces: lays out /proc, /dev, /sys and /run, makes the node's root the root, and
# becomes the node's init. Takes: the directory of the node (root, boot_id), its name, and the init's command line.
# The devices are the node's own, never the machine's; what could reach the machine through /proc is read-only.
set -eu
home=$1 name=$2
shift 2
PATH=/usr/sbin:/usr/bin:/sbin:/bin
read -r pid rest </proc/self/stat
echo "$pid" >"$home/init.pid"
echo "$name" >/proc/sys/kernel/hostname
cd "$home/root"
mount -t proc -o nosuid,nodev,noexec proc proc
for path in proc/sys proc/sysrq-trigger; do
  [ -e "$path" ] || continue
  mount --bind "$path" "$path"
  mount -o remount,bind,ro "$path"
done
mount --bind "$home/boot_id" proc/sys/kernel/random/boot_id
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup 2>/dev/null || :
mount -t tmpfs -o mode=755,nosuid tmpfs dev
mkdir dev/pts dev/shm
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mount -t devpts -o newinstance,nosuid,noexec,mode=620,gid=5,ptmxmode=666 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev,size=64m tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mkdir -p run/lock run/sshd
chmod 1777 run/lock
pivot_root . mnt
cd /
umount -l /mnt
# What root could harm the machine with: its clock, its kernel, its loopback interface.
exec setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-net_admin "$@"
