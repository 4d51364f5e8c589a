#!/bin/sh
# The machine's control groups in a node, which has a /sys of its own without them, for a container runtime. In either version
# (Documentation/admin-guide/cgroup-v1, cgroup-v2.rst).
#
#     groups.sh mount            mounts the hierarchies below /sys/fs/cgroup, unless some are there
#     groups.sh remove NAME      removes the groups of this name; fails while a process is in one of them
#     groups.sh sweep PATTERN    removes those that an interrupted run has left an hour ago: younger ones may be those of a run beside this one
set -eu

groups() { find /sys/fs/cgroup -maxdepth 2 -type d -name "$@"; }
empty() { for group in "$@"; do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true; done; }

case $1 in
  mount)
    if [ -n "$(ls /sys/fs/cgroup)" ]; then exit 0; fi
    if [ -z "$(sed -n '/^[1-9]/p' /proc/self/cgroup)" ]; then
      mount -t cgroup2 cgroup2 /sys/fs/cgroup
      exit 0
    fi
    mount -t tmpfs -o mode=0755 tmpfs /sys/fs/cgroup
    # Version 1: the controllers of one hierarchy are mounted together. Version 2 beside it has no controllers.
    while IFS=: read -r _ controllers _; do
      case $controllers in
        '') continue ;;
        name=*) options=none,$controllers folder=${controllers#name=} ;;
        *) options=$controllers folder=$controllers ;;
      esac
      mkdir "/sys/fs/cgroup/$folder"
      mount -t cgroup -o "$options" cgroup "/sys/fs/cgroup/$folder"
    done </proc/self/cgroup
    ;;
  # shellcheck disable=SC2046
  sweep) empty $(groups "$2" -mmin +60) ;;
  remove)
    # shellcheck disable=SC2046 # names without spaces
    empty $(groups "$2")
    for group in $(groups "$2"); do
      echo "Cannot remove the control group $group: in use by $(tr '\n' ' ' <"$group/cgroup.procs")" >&2
      exit 1
    done
    ;;
esac
