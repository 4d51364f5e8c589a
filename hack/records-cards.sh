#!/bin/sh
# Makes the golden records of test/fixtures/records that are about cards, in the lab's guest with the simulated NIC:
#     npm run lab -- sh hack/records-cards.sh MODULE PROGRAMS
# MODULE is the simulated NIC for the guest's kernel (hack/simnic/build.sh), PROGRAMS has the executable vf-flower. Out: a tar
# with one file for each case, in base64 on standard output.
set -eu
[ $# = 2 ] || { echo "usage: sh hack/records-cards.sh MODULE PROGRAMS" >&2; exit 1; }
folder=$(mktemp -d) programs=$(realpath "$2") state=/var/lib/cni/vf-flower
mkdir -p /run/netns /run/bin
for name in vf-attach vf-offload; do ln -sf "$programs/vf-flower" /run/bin/$name; done
modprobe sch_ingress
modprobe cls_flower
modprobe cls_matchall
modprobe 8021q
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
insmod "$1" num_pfs=3 total_vfs=2

pod() {
  ip netns add "$1"
  ip -n "$1" link set lo up
}

# call PROGRAM POD CONFIG: an ADD
call() {
  echo "$3" | CNI_COMMAND=ADD CNI_CONTAINERID=$2 CNI_NETNS=/run/netns/$2 CNI_IFNAME=net1 CNI_PATH=/nowhere /run/bin/"$1" >/run/answer ||
    { cat /run/answer >&2; exit 1; }
}

# card NUMBER MODE: with two VFs, up
card() {
  dev=/sys/class/net/simpf$1/device
  pci=$(basename "$(readlink "$dev")")
  ip link set "simwire$1" up
  ip link set "simpf$1" up
  ip address add "10.$1.0.1/24" dev "simpf$1"
  echo 2 >"$dev/sriov_numvfs"
  [ "$2" = legacy ] || devlink dev eswitch set "pci/$pci" mode "$2"
  ip link set "simpf$1" up
  vf=$(basename "$(readlink "$dev/virtfn0")")
}

# serve POD CARD KEYS: an ADD of each plugin for the first VF of that card, with a mapping and limits both ways
serve() {
  pod "$1"
  call vf-attach "$1" "{ \"cniVersion\": \"1.1.0\", \"name\": \"net\", \"type\": \"vf-attach\", \"deviceID\": \"$vf\", \"mac\": \"02:00:00:00:00:05\" $3 }"
  cp "$state/attach/$vf $1@net1.json" "$folder/attach-$1.json"
  ip -n "$1" address add "10.$2.0.5/24" dev net1
  call vf-offload "$1" "{ \"cniVersion\": \"1.1.0\", \"name\": \"net\", \"type\": \"vf-offload\", \"deviceID\": \"$vf\",
    \"runtimeConfig\": { \"portMappings\": [{ \"hostPort\": 8080, \"containerPort\": 80, \"protocol\": \"tcp\" }] },
    \"ingressRate\": 8000000, \"ingressBurst\": 800000, \"egressRate\": 16000000, \"egressBurst\": 1600000,
    \"prevResult\": { \"cniVersion\": \"1.1.0\", \"interfaces\": [{ \"name\": \"net1\", \"sandbox\": \"/run/netns/$1\", \"pciID\": \"$vf\" }],
      \"ips\": [{ \"address\": \"10.$2.0.5/24\", \"interface\": 0 }] } }"
  cp "$state/offload/net $1@net1.json" "$folder/offload-$1.json"
}

card 0 legacy
serve legacy 0 ', "spoofchk": "off", "trust": "on", "link_state": "enable"'
card 1 switchdev
ip link set simpf1rep0 up
serve representor 1 ''
# The second VF, whose representor joins a bridge that filters VLANs.
ip link add br1 up type bridge vlan_filtering 1
pod bridge
vf=$(basename "$(readlink "$dev/virtfn1")")
call vf-attach bridge "{ \"cniVersion\": \"1.1.0\", \"name\": \"net\", \"type\": \"vf-attach\", \"deviceID\": \"$vf\", \"bridge\": \"br1\", \"vlan\": 5 }"
cp "$state/attach/$vf bridge@net1.json" "$folder/attach-bridge.json"
card 2 switchdev
echo mlx5 >"/sys/kernel/debug/simnic/$pci/profile" || true
serve mlx5 2 ''

tar -C "$folder" -c . | base64
