#!/bin/sh
# Second program of the virtual machine, process 1 in the overlay of the host's root folder. Mounts what an init would mount, hides
# the host's own state, then runs the agent (or a shell on the terminal) and ends the machine with it. $1 is the run folder of this
# machine; qemu.ts writes guest.env there.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C
. "$1/guest.env"

mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug
ln -sf /proc/self/fd /dev/fd

# The state of programs on the host must not leak in. The checkout may lie below any of these folders.
for folder in /run /var/lib/cni /etc/cni; do
  case $LAB_CHECKOUT/$1/ in
    "$folder"/* | */"$folder"/*) continue ;;
  esac
  mkdir -p "$folder"
  mount -t tmpfs -o mode=0755 tmpfs "$folder"
done
# Changing a file copies it into the memory of the overlay.
tr '\n' '\0' <"$1/hot-files" | xargs -0 touch -c -a
mkdir -p /run/netns /run/lock "/lib/modules/$(uname -r)"
mount --bind "$LAB_MODULES" "/lib/modules/$(uname -r)"

hostname lab
ip link set lo up
cd "$LAB_CHECKOUT" || exit 1
if [ "$LAB_MODE" = shell ]; then
  # A session of its own with a controlling terminal: for line editing and job control.
  TERM=$LAB_TERM setsid -c -w bash -c "stty rows $LAB_ROWS cols $LAB_COLUMNS; exec bash -l" \
    </dev/hvc0 >/dev/hvc0 2>&1
else
  BUN_JSC_useJIT=0 sh "$LAB_CHECKOUT/hack/bun.sh" "$LAB_CHECKOUT/hack/lab/agent.ts" </dev/null >/dev/console 2>&1
  echo "lab: the agent ended with code $?" >/dev/console
fi
busybox poweroff -f
