#!/bin/busybox sh
# First program of the virtual machine, in its initramfs. Mounts the host's root folder, read-only over 9p, as the lower layer of an
# overlay in memory, and continues with guest.sh in the overlay. Written for busybox, without udev.
export PATH=/bin
busybox mkdir -p /proc /sys /dev /lower /upper /new
busybox mount -t proc proc /proc
# busybox finds itself by /proc/self/exe.
busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev

fail() {
  echo "lab: $1" >/dev/console
  poweroff -f
}

# The names begin with a number, so that a module comes after the modules that it needs.
for module in /modules/*.ko; do insmod "$module" || fail "cannot load $module"; done

for word in $(cat /proc/cmdline); do
  case $word in
    lab.run=*) run=${word#lab.run=} ;;
    lab.probe) echo 'lab: guest runs' >/dev/console; poweroff -f ;;
  esac
done

mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose root /lower || fail 'cannot mount the host'
mount -t tmpfs -o size=60%,mode=0755 tmpfs /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /new || fail 'cannot mount the overlay'
. "/new$run/guest.env" || fail "cannot read $run/guest.env"
for folder in proc sys dev; do mount --move "/$folder" "/new/$folder"; done
exec switch_root /new /bin/sh "$LAB_CHECKOUT/hack/lab/guest.sh" "$run"
