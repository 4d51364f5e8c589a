#!/bin/sh
# A control group with limits, in either version of control groups (Documentation/admin-guide/cgroup-v1, cgroup-v2.rst), for programs of a
# node or a virtual machine. The hierarchies are mounted below a folder, as a node has a /sys of its own without them.
#
#     group.sh make FOLDER NAME BYTES PERCENT      limits of memory, and of processor time in hundredths of one processor
#     group.sh run FOLDER NAME PROGRAM [ARG...]    runs a program inside of the group
#     group.sh killed FOLDER NAME                  prints the number of processes that were killed for want of memory
#     group.sh remove FOLDER NAME                  fails while a process is in the group
set -eu
verb=$1 folder=$2 name=$3
shift 3

# In version 1 the controllers that share a hierarchy with this one, which mount wants to have; nothing in version 2.
hierarchy() { sed -nE "s/^[0-9]+:(([^:]*,)?$1(,[^:]*)?):.*/\1/p" /proc/self/cgroup; }

case $verb in
  make)
    if [ -n "$(hierarchy memory)" ]; then
      for one in memory cpu; do
        mkdir -p "$folder/$one"
        mount -t cgroup -o "$(hierarchy $one)" cgroup "$folder/$one"
        mkdir "$folder/$one/$name"
      done
      echo "$1" >"$folder/memory/$name/memory.limit_in_bytes"
      echo $((1000 * $2)) >"$folder/cpu/$name/cpu.cfs_quota_us"
    else
      mkdir -p "$folder/both"
      mount -t cgroup2 cgroup2 "$folder/both"
      echo '+memory +cpu' >"$folder/both/cgroup.subtree_control"
      mkdir "$folder/both/$name"
      echo "$1" >"$folder/both/$name/memory.max"
      echo "$((1000 * $2)) 100000" >"$folder/both/$name/cpu.max"
    fi
    ;;
  run)
    for group in "$folder"/*/"$name"; do echo $$ >"$group/cgroup.procs"; done
    exec "$@"
    ;;
  killed) cat "$folder"/*/"$name"/memory.events "$folder"/*/"$name"/memory.oom_control 2>/dev/null | sed -n 's/^oom_kill //p' ;;
  remove)
    for group in "$folder"/*/"$name"; do rmdir "$group"; done
    umount "$folder"/*
    rm -r "$folder"
    ;;
esac
