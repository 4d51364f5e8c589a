// Cleans the guest's kernel of things that a test file left which broke down. In: the Lab. Out: a clean guest, and lines
// that say what was found: without this one failure in one file would fail every file after it.
import type { Lab } from '../../hack/lab/lab.ts'

/** Removes everything that no test file may leave. Returns one line for each thing found, usually none. */
export async function cleanGuest(lab: Lab): Promise<string[]> {
  return (await lab.must(SCRIPT)).split('\n').filter((line) => line !== '')
}

// Interfaces of hardware come back from a deleted namespace when a kernel worker runs. igb's wire end and VFs have to be here
// before the next file looks for them.
const SCRIPT = `
for ns in /run/netns/*; do
  [ -e "$ns" ] || continue
  echo "namespace \${ns##*/}"; ip netns delete "\${ns##*/}"; returning=1
done
[ -z "$returning" ] || sleep 0.5
if [ -e /sys/module/simnic ]; then
  echo 'module simnic'
  for try in 1 2 3 4 5 6 7 8 9 10; do rmmod simnic && break; sleep 0.5; done
  [ ! -e /sys/module/simnic ] || echo "module simnic stays: $(grep '^simnic ' /proc/modules)"
fi
for file in /sys/bus/pci/devices/*/sriov_numvfs; do
  [ -e "$file" ] || continue
  read -r count <"$file"
  [ "$count" = 0 ] || { echo "$count VFs of $file"; echo 0 >"$file"; }
done
for path in /sys/class/net/*; do
  name=\${path##*/}
  [ "$name" = lo ] || [ ! -d "$path" ] || [ -e "$path/device" ] || { echo "interface $name"; ip link delete "$name"; }
done
for path in /sys/class/net/*/device; do
  [ -e "$path" ] || continue
  name=\${path%/device}; name=\${name##*/}
  [ -z "$(ip -br -4 address show dev "$name" | cut -s -d/ -f2)" ] || { echo "addresses of $name"; ip address flush dev "$name"; }
  ip link set "$name" nomaster down
  read -r mtu <"/sys/class/net/$name/mtu"
  [ "$mtu" = 1500 ] || { echo "MTU $mtu of $name"; ip link set "$name" mtu 1500; }
  tc qdisc delete dev "$name" clsact 2>/dev/null && echo "clsact of $name"
done
for file in /proc/sys/net/ipv6/conf/*/disable_ipv6; do
  read -r disabled <"$file"
  [ "$disabled" = 0 ] || { echo "$file: $disabled"; echo 0 >"$file"; }
done
if [ -n "$(nft list tables)" ]; then echo 'nftables'; nft flush ruleset; fi
# The distribution's bridge plugin turns it on and never off, which is no fault of a file: nothing is said. Namespaces
# made from then on would forward too.
echo 0 >/proc/sys/net/ipv4/ip_forward
echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
# A note about the clsact of an interface that went with its namespace is for the next GC to clear: nothing is said.
rm -f /run/vf-flower/clsact-*
for record in /var/lib/cni/vf-flower/attach/* /var/lib/cni/vf-flower/offload/* /var/lib/cni/vf-flower/portmap/* /var/lib/cni/vf-flower/bandwidth/* /var/lib/cni/vf-flower/*/report/* /var/lib/cni/sriov/*-* /var/lib/cni/sriov/pci/*:*; do
  [ ! -f "$record" ] || { echo "record $record"; rm "$record"; }
done
true`
