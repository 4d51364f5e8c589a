#!/bin/sh
# Runs a command where the programs of another platform run as those of this one do: OVERLAY lies over /usr, and with BINFMT, a file of
# binfmt.d(5), the kernel starts programs of another processor with qemu. Only the command and its children see either.
#   unshare --mount [--user ...] sh enter.sh OVERLAY BINFMT|- BUN|- NAME COMMAND...
# BUN, a program, takes the place of the file NAME.
set -eu
overlay=$1 binfmt=$2 bun=$3 name=$4
shift 4
if [ "$binfmt" != - ]; then
  mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
  cat "$binfmt" >/proc/sys/fs/binfmt_misc/register
fi
if [ "$bun" != - ]; then mount --bind "$bun" "$name"; fi
mount -t overlay -o "lowerdir=$overlay/usr:/usr" none /usr
exec "$@"
