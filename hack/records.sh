#!/bin/sh
# Makes the golden records of test/fixtures/records on software interfaces, each by a real ADD in a node of namespaces:
#     sh hack/records.sh PROGRAMS FOLDER
# PROGRAMS has the executable vf-flower, FOLDER gets one file for each case below. Needs root. The version of the program that a
# folder of fixtures is of stands in its README.md.
set -eu
[ $# = 2 ] || { echo "usage: sh hack/records.sh PROGRAMS FOLDER" >&2; exit 1; }
if [ -z "${IN_NODE:-}" ]; then
  mkdir -p "$2"
  programs=$(realpath "$1") folder=$(realpath "$2")
  IN_NODE=1 exec unshare --net --mount --pid --fork --mount-proc sh "$0" "$programs" "$folder"
fi
programs=$1 folder=$2
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount --make-rprivate /
for path in /run /var/lib/cni /etc/vf-flower; do
  mkdir -p $path
  mount -t tmpfs tmpfs $path
done
mount -t sysfs sysfs /sys
mkdir -p /run/netns /run/bin
for name in vf-attach vf-offload portmap bandwidth; do ln -s "$programs/vf-flower" /run/bin/$name; done
ip link set lo up
state=/var/lib/cni/vf-flower

pod() {
  ip netns add "$1"
  ip -n "$1" link set lo up
}

# call PROGRAM VERB POD IFNAME CONFIG
call() {
  echo "$5" | CNI_COMMAND=$2 CNI_CONTAINERID=$3 CNI_NETNS=/run/netns/$3 CNI_IFNAME=$4 CNI_PATH=/nowhere /run/bin/"$1" >/run/answer ||
    { cat /run/answer >&2; exit 1; }
}

# keep NAME FILE...: the record that an ADD has left
keep() {
  name=$1
  shift
  cp "$@" "$folder/$name.json"
}

# attach NAME DEVICE KEYS: an ADD of one device; the pod stays
attach() {
  pod "$1"
  call vf-attach ADD "$1" net1 "{ \"cniVersion\": \"1.1.0\", \"name\": \"net\", \"type\": \"vf-attach\", \"device\": \"$2\"$3 }"
  keep "$1" "$state/attach/netdev:$2 $1@net1.json"
}

# A bridge for pods. With its addresses the node does not live by those of the interfaces below.
ip link add cni0 type bridge
ip address add 10.88.0.1/16 dev cni0
ip -6 address add fd00:88::1/64 dev cni0 nodad
ip link set cni0 up

# A pair whose other end is on the host, up and with a MAC and an MTU from the config.
ip link add nic0 type veth peer name far0
ip link set far0 up
attach attach-veth nic0 ', "mac": "02:00:00:00:00:05", "mtu": 1400'

# Both ends in pods: the second record knows the first end only by its number on the host.
ip link add nic1 type veth peer name far1
attach attach-veth-first-end nic1 ''
attach attach-veth-other-end far1 ''

# An interface that carries something: addresses, a route, a neighbour, altnames, an alias, settings.
ip link add nic2 address 02:00:00:00:02:02 type veth peer name far2
ip link set far2 up
ip link property add dev nic2 altname wan
ip link set nic2 up mtu 1480 alias "the operator's" txqueuelen 500
ip address add 192.0.2.5/24 dev nic2
ip address add 2001:db8:2::5/64 dev nic2 nodad
ip route add 198.51.100.0/24 via 192.0.2.1 dev nic2 metric 50
ip neigh add 192.0.2.1 lladdr 02:00:00:00:02:01 dev nic2
echo 1 >/proc/sys/net/ipv4/conf/nic2/proxy_arp
attach attach-carried nic2 ''

# An interface on another one.
ip link add base3 type veth peer name far3
ip link set base3 up
if ip link add nic3 link base3 type macvlan mode bridge 2>/dev/null; then attach attach-macvlan nic3 ''; fi

# An interface without another end.
ip link add nic5 type ifb
attach attach-ifb nic5 ', "mtu": 1400'

# A port of a bridge, which filters VLANs where the kernel can.
ip link add br4 type bridge
ip link set br4 up
ip link add nic4 type veth peer name far4
ip link set nic4 master br4
if ip link set br4 type bridge vlan_filtering 1 2>/dev/null; then bridge vlan add dev nic4 vid 100 pvid untagged; fi
attach attach-bridge-port nic4 ''

# Pods on that bridge, as the plugin bridge leaves them: POD NUMBER
bridged() {
  pod "$1"
  ip link add "veth$2" type veth peer name eth0 address "02:00:00:00:58:0$2" netns "$1"
  ip link set "veth$2" master cni0 up
  ip -n "$1" link set eth0 up
  ip -n "$1" address add "10.88.0.$2/16" dev eth0
  ip -n "$1" address add "fd00:88::$2/64" dev eth0 nodad
  ip -n "$1" route add default via 10.88.0.1
  ip -n "$1" -6 route add default via fd00:88::1
}

# offload PROGRAM POD NUMBER KEYS: one call with the result of the bridge
offload() {
  call "$1" ADD "$2" eth0 "{ \"cniVersion\": \"1.1.0\", \"name\": \"net\", \"type\": \"$1\", $4, \"prevResult\": {
    \"cniVersion\": \"1.1.0\",
    \"interfaces\": [{ \"name\": \"cni0\" }, { \"name\": \"veth$3\" }, { \"name\": \"eth0\", \"sandbox\": \"/run/netns/$2\" }],
    \"ips\": [{ \"address\": \"10.88.0.$3/16\", \"gateway\": \"10.88.0.1\", \"interface\": 2 },
      { \"address\": \"fd00:88::$3/64\", \"gateway\": \"fd00:88::1\", \"interface\": 2 }],
    \"routes\": [{ \"dst\": \"0.0.0.0/0\" }, { \"dst\": \"::/0\" }] } }"
}
mappings() {
  echo "\"runtimeConfig\": { \"portMappings\": [{ \"hostPort\": $1, \"containerPort\": 80, \"protocol\": \"tcp\" },
    { \"hostPort\": $2, \"containerPort\": 53, \"protocol\": \"udp\"$3 }] }"
}
to_pod='"ingressRate": 8000000, "ingressBurst": 800000'
both_ways="$to_pod, \"egressRate\": 16000000, \"egressBurst\": 1600000"

bridged offload-ports 5
offload vf-offload offload-ports 5 "$(mappings 8080 5353 '')"
keep offload-ports "$state/offload/net offload-ports@eth0.json"

# Served at 127.0.0.1 alone, too: the setting route_localnet and its guard.
bridged offload-localhost 6
offload vf-offload offload-localhost 6 "$(mappings 8081 5354 ', "hostIP": "127.0.0.1"'), \"localhost\": true"
keep offload-localhost "$state/offload/net offload-localhost@eth0.json"

bridged offload-limits 7
offload vf-offload offload-limits 7 "$to_pod"
keep offload-limits "$state/offload/net offload-limits@eth0.json"

# Some versions need a classifier here that not every kernel has.
bridged offload-detour 8
if (offload vf-offload offload-detour 8 "$both_ways") 2>/dev/null; then
  keep offload-detour "$state/offload/net offload-detour@eth0.json"
fi

# Two entries of one list under one name: one record.
bridged offload-entries 4
offload vf-offload offload-entries 4 "$(mappings 8082 5355 '')"
offload vf-offload offload-entries 4 "$to_pod"
keep offload-entries "$state/offload/net offload-entries@eth0.json"

# Under the peers' names: a folder of records each.
bridged portmap-bandwidth 9
offload portmap portmap-bandwidth 9 "$(mappings 8083 5356 '')"
offload bandwidth portmap-bandwidth 9 "$to_pod"
keep portmap "$state/portmap/net portmap-bandwidth@eth0.json"
keep bandwidth "$state/bandwidth/net portmap-bandwidth@eth0.json"

for file in "$folder"/*.json; do echo "${file##*/}"; done
