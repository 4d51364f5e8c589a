#!/bin/sh
# First process of a node made of namespaces (net, mount, UTS, IPC, PID). Gives the node a root folder whose changes stay in memory,
# and /proc, /sys and state folders of its own. Then runs the agent and ends the node with it. $1 is the node's run folder, $2 the
# checkout. Nothing outside of the namespaces changes: folders that are not private here are read-only.
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
run=$1 checkout=$2

mount --make-rprivate /
mkdir "$run/node"
mount -t tmpfs -o mode=0755 tmpfs "$run/node"
mkdir "$run/node/data" "$run/node/work" "$run/node/root"
root=$run/node/root
mount -t overlay -o "lowerdir=/,upperdir=$run/node/data,workdir=$run/node/work" overlay "$root"

# The lower layer is one file system. Other file systems, which may hold the checkout or programs, are added read-only.
while read -r _ _ _ _ folder _; do
  case $folder in
    / | /proc | /proc/* | /sys | /sys/* | /dev | /dev/* | /run | /run/* | "$run"/* | *\\*) ;;
    /tmp | /var/tmp) mount -t tmpfs -o mode=1777 tmpfs "$root$folder" ;;
    *) mount --bind -o ro "$folder" "$root$folder" 2>/dev/null || true ;;
  esac
done </proc/self/mountinfo
if [ ! -e "$root$checkout/package.json" ]; then
  mkdir -p "$root$checkout"
  mount --bind -o ro "$checkout" "$root$checkout"
fi

mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs sysfs "$root/sys"
mount --bind "$root/sys" "$root/sys"
mount --bind "$root/sys/devices/virtual/net" "$root/sys/devices/virtual/net"
mount -o remount,bind,ro "$root/sys"

# The state of programs on the machine must not leak in. The checkout may lie below any of these folders.
for folder in /run /var/lib/cni /etc/cni /etc/vf-flower; do
  case $checkout/ in "$folder"/*) continue ;; esac
  mkdir -p "$root$folder"
  mount -t tmpfs -o mode=0755 tmpfs "$root$folder"
done
mkdir -p "$root/run/netns" "$root/run/lock"
cd "$root"
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old

hostname node
ip link set lo up
cd "$checkout"
sh hack/bun.sh hack/lab/agent.ts </dev/null
echo "lab: the agent ended with code $?"
