#!/bin/sh
# Starts a clean node: a system of its own on a root folder that stays as it is, with its own init as process 1. Becomes the process whose
# end ends the node.
#
#     start.sh NAME ROOT RUN     NAME of the control groups, the root folder, a folder for files of ours: the number of
#                                process 1 comes into its file "init"
#
# Control groups are the machine's. Each hierarchy gets a group NAME, which the node takes for the whole hierarchy (cgroup_namespaces(7)).
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
name=$1

join() {
  mkdir "$1/$name"
  # Version 1: a new group of cpuset is empty, and takes no process (Documentation/admin-guide/cgroup-v1/cpusets.rst).
  for file in cpuset.cpus cpuset.mems; do
    if [ -e "$1/cgroup.clone_children" ] && [ -e "$1/$file" ]; then cat "$1/$file" >"$1/$name/$file"; fi
  done
  echo $$ >"$1/$name/cgroup.procs"
}

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  join /sys/fs/cgroup
else
  # Hierarchies of others may come and go; those that systemd and container runtimes use stay.
  while IFS=: read -r _ controllers _; do
    case $controllers in
      '') folder=unified ;;
      name=*) folder=${controllers#name=} ;;
      *) folder=$controllers ;;
    esac
    if mountpoint -q "/sys/fs/cgroup/$folder"; then join "/sys/fs/cgroup/$folder"; fi
  done </proc/self/cgroup
fi
exec unshare --net --mount --uts --ipc --pid --cgroup --fork --kill-child=KILL sh "$here/boot.sh" "$2" "$3" "$here/../containerd/groups.sh"
