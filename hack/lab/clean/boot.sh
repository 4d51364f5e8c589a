#!/bin/sh
# The first process of a clean node, in namespaces of its own. Lays a folder in memory over the root folder, mounts what an init expects of a
# container (https://systemd.io/CONTAINER_INTERFACE), and becomes that init.
#
#     boot.sh ROOT RUN GROUPS    the root folder, a folder for files of ours, the script that mounts control groups
set -eu
memory=$2/node root=$2/node/root groups=$(cat "$3")

mount --make-rprivate /
# The machine's number of this process, by the /proc that is there still.
read -r pid _ </proc/self/stat
echo "$pid" >"$2/init"
mkdir "$memory"
mount -t tmpfs -o mode=0755 tmpfs "$memory"
mkdir "$memory/data" "$memory/work" "$root"
mount -t overlay -o "lowerdir=$1,upperdir=$memory/data,workdir=$memory/work" overlay "$root"

mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
chroot "$root" sh -c "$groups" groups.sh mount
mount -t tmpfs -o mode=0755,nosuid tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for number in 0 1 2; do
  case $number in 0) name=stdin ;; 1) name=stdout ;; 2) name=stderr ;; esac
  ln -s "/proc/self/fd/$number" "$root/dev/$name"
done
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
# A container runtime lays layers over each other, which it can't do in a folder that is such a layer itself.
mkdir -p "$root/var/lib/containerd"
mount -t tmpfs tmpfs "$root/var/lib/containerd"

hostname clean
ip link set lo up
cd "$root"
mkdir .old
pivot_root . .old
umount -l /.old
rmdir /.old
# Where the machine has control groups of version 1, systemd takes them only if it is told to: by the words of a kernel's command line.
words='systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1'
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then words=; fi
exec env -i container=vf-flower PATH=/usr/sbin:/usr/bin SYSTEMD_PROC_CMDLINE="$words" /lib/systemd/systemd
