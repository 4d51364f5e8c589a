#!/bin/sh
# Prints the features of features.ts that this kernel has, one a line, by using each. Runs in namespaces of its own, whose end
# undoes everything.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

has() {
  feature=$1
  shift
  if "$@" >/dev/null 2>&1; then echo "$feature"; fi
}

mount --make-rprivate / || exit
folder=$(mktemp -d) || exit
mount -t tmpfs tmpfs "$folder" && mkdir "$folder/data" "$folder/work" "$folder/root" || exit
lower=lowerdir=/,upperdir=$folder/data,workdir=$folder/work
# The steps of node.sh that a kernel or a container may refuse.
node() {
  mount -t overlay -o "$lower" overlay "$folder/root" &&
    mount -t proc proc "$folder/data" && mount -t sysfs sysfs "$folder/work" &&
    mount --bind "$folder/data/sys" "$folder/data/sys" && mount -o remount,bind,ro "$folder/data/sys"
}
has namespaces node
umount -l "$folder"; rmdir "$folder"
ip link set lo up

has veth ip link add near type veth peer name far
ip link set near up; ip link set far up
has bridge ip link add br0 type bridge
bridge_vlan() {
  ip link add br1 type bridge vlan_filtering 1 && ip link add port type veth peer name end && ip link set port master br1 &&
    bridge vlan add dev port vid 7
}
has bridge-vlan bridge_vlan
has dummy ip link add dummy0 type dummy
has bond ip link add bond0 type bond
has vlan ip link add link near name near.5 type vlan id 5
has macvlan ip link add macvlan0 link near type macvlan mode bridge
has ifb ip link add ifb9 type ifb
has clsact tc qdisc add dev near clsact
has tbf tc qdisc add dev near root tbf rate 1mbit burst 10k latency 50ms
# Each kind of filter, with the action that the tests need.
has u32 tc filter add dev near ingress protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev far
has bpf tc filter add dev near ingress protocol all prio 4 bpf bytecode '1,6 0 0 0'
has matchall tc filter add dev near ingress protocol all prio 2 matchall action mirred egress redirect dev far
has flower tc filter add dev near ingress protocol ip prio 3 flower ip_proto tcp dst_port 80 action pass
has police tc actions add action police rate 1mbit burst 10k index 77
has pedit tc actions add action pedit ex munge eth dst set 02:00:00:00:00:01 pipe index 77
has nft nft -f - <<'END'
table inet probe {
  map ports {
    type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
    elements = { 10.0.0.1 . tcp . 80 : 10.0.0.2 . 8080 }
  }
  chain pre {
    type nat hook prerouting priority dstnat
    dnat ip to ip daddr . meta l4proto . th dport map @ports
  }
  chain post {
    type nat hook postrouting priority srcnat
    masquerade
  }
}
END
has nft-fib nft -f - <<'END'
table inet probe2 {
  chain pre {
    type filter hook prerouting priority 0
    fib daddr type local counter
  }
}
END
has conntrack conntrack -L
has sctp grep -qs . /proc/net/sctp/eps
# The rules of the distribution's plugin portmap.
has iptables sh -ec '
  for tables in iptables ip6tables; do
    $tables -t nat -N probe
    $tables -t nat -A probe -m addrtype --dst-type LOCAL -p tcp -m multiport --dports 80 -m comment --comment probe -j MARK --set-xmark 0x2000/0x2000
    $tables -t nat -A probe -m mark --mark 0x2000/0x2000 -j MASQUERADE
    $tables -t nat -A probe -p tcp --dport 80 -j DNAT --to-destination :8080
  done'
# iptables-legacy has tables of its own in the kernel.
has iptables-legacy sh -ec '
  for tables in iptables-legacy ip6tables-legacy; do
    $tables -t nat -A OUTPUT -p tcp -m multiport --dports 80 -m addrtype --dst-type LOCAL -m comment --comment probe -j DNAT --to-destination :8080
  done'
# A control group with limits of memory and processor time.
control_group() {
  mount -t tmpfs tmpfs /run || return
  name=vf-probe-$(cat /proc/sys/kernel/random/uuid)
  group() { verb=$1; shift; sh "${0%/*}/group.sh" "$verb" /run/groups "$name" "$@"; }
  group make 10000000 10 && group run true && [ "$(group killed)" = 0 ]
  works=$?
  group remove && return $works
}
has cgroup control_group
