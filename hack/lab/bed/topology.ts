// The network of every mapping test, in the lab's guest. In: a Lab and the two ends of a wire. Out: names and addresses. Each step is
// one script, because starting a process takes most of the time in the guest.
//
//   host (PF 10.1.0.1) --- wire --- bridge in namespace `wire` -+- client-a 10.1.0.10
//                                                               +- router 10.1.0.254 | 10.2.0.254 --- client-b 10.2.0.10
//
// The same with fd00:1::/64 and fd00:2::/64. The host reaches client-b by the router; nobody translates addresses.
import type { Lab } from '../lab.ts'

/** Netdevs in the guest's first namespace: the PF, and the other end of its wire, which plays the switch. */
export interface WireEnds {
  readonly pf: string
  readonly wire: string
}

/** A virtual function, as sysfs showed it when the topology was built. */
export interface Vf {
  /** Number in `ip link set PF vf INDEX`. */
  readonly index: number
  /** e.g. `0000:01:10.0`. */
  readonly pci: string
  /** Name of its netdev on the host; null if its driver makes none. */
  readonly netdev: string | null
  readonly mac: string | null
}

/** The network that {@link buildTopology} made. */
export interface Topology extends WireEnds {
  readonly pfMac: string
  readonly pfPci: string
  readonly vfs: readonly Vf[]
}

/** Names of the namespaces; addresses without prefix length. */
export const CLIENT_A = { namespace: 'client-a', v4: '10.1.0.10', v6: 'fd00:1::10' } as const
export const CLIENT_B = { namespace: 'client-b', v4: '10.2.0.10', v6: 'fd00:2::10' } as const
export const ROUTER = { namespace: 'router', v4: '10.1.0.254', v6: 'fd00:1::fe' } as const
export const HOST = { namespace: null, v4: '10.1.0.1', v6: 'fd00:1::1' } as const
/** Namespace with the bridge `switch`, the place to capture all frames on the wire. */
export const WIRE = { namespace: 'wire', bridge: 'switch' } as const

/**
 * Loads igb, igbvf and virtio_net and names the two ends of wire `index` (0 is the first, see `--wires`).
 * Both ends must be in the guest's first namespace. They get their own MAC back if a failed test changed it.
 */
export async function loadIgb(lab: Lab, index = 0): Promise<WireEnds> {
  const mac = `52:54:00:01:0${index}`
  const script = `
    modprobe virtio_net; modprobe igb; modprobe igbvf
    at() { grep -il "^$1$" /sys/class/net/*/address | cut -d/ -f5; }
    for mac in ${mac}:01 ${mac}:02; do
      if [ -z "$(at $mac)" ]; then
        for path in /sys/class/net/*/device; do
          name=\${path%/device}; name=\${name##*/}
          ethtool -P "$name" | grep -qi " $mac$" && ip link set dev "$name" address $mac
        done
      fi
      at $mac
    done`
  const [pf, wire] = (await lab.must(script)).trim().split('\n')
  if (pf === undefined || wire === undefined) throw new Error(`Cannot find both ends of wire ${index}`)
  return { pf, wire }
}

/** A wire without hardware, for pods that need no VF: its ends are a veth pair. {@link tearDown} leaves the pair. */
export async function vethWire(lab: Lab): Promise<WireEnds> {
  await lab.must('[ -e /sys/class/net/up0 ] || ip link add up0 type veth peer name far0')
  return { pf: 'up0', wire: 'far0' }
}

/** Builds the topology with `vfs` VFs (0-7 on igb) on the PF and waits until both clients reach the host. */
export async function buildTopology(lab: Lab, ends: WireEnds, vfs = 2): Promise<Topology> {
  await lab.must(BUILD, { env: { PF: ends.pf, WIRE: ends.wire, VFS: String(vfs) } })
  return describe(lab, ends)
}

/** Removes everything of {@link buildTopology}, VFs included. Pods must be gone before. */
export async function tearDown(lab: Lab, { pf, wire }: WireEnds): Promise<void> {
  await lab.must(TEAR_DOWN, { env: { PF: pf, WIRE: wire } })
}

/** Forgets everything learned: neighbour entries, and the bridge's MAC addresses. */
export async function forgetNeighbours(lab: Lab): Promise<void> {
  await lab.must(`
    ip neigh flush all
    for ns in client-a router client-b; do ip -n $ns neigh flush all; done
    bridge -n wire fdb flush dev switch dynamic`)
}

/** Makes a network namespace as a runtime does for a pod: loopback up, nothing else. Returns its path. */
export async function newPod(lab: Lab, name: string): Promise<string> {
  await lab.must(`ip netns add '${name}' && ip -n '${name}' link set lo up`)
  return `/run/netns/${name}`
}

/**
 * Gives a pod the interface of a cluster network: `eth0`, 10.244.NUMBER.2 and fd00:244:NUMBER::2, with the pod's default routes over
 * it to the host. NUMBER (1-254) must be free. The interface vanishes with the pod.
 */
export async function addClusterInterface(lab: Lab, pod: string, number: number): Promise<void> {
  const host = `cluster${number}`
  // The kernel ends a namespace that was deleted in its own time: the pair of the pod before may still be there.
  await lab.must(`set -e
    ip link del ${host} 2>/dev/null || true
    ip link add to-${host} type veth peer name ${host}
    ip link set to-${host} netns '${pod}' name eth0
    ip -b - <<END
address add 10.244.${number}.1/24 dev ${host}
address add fd00:244:${number}::1/64 dev ${host} nodad
link set ${host} up
END
    ip -n '${pod}' -b - <<END
address add 10.244.${number}.2/24 dev eth0
address add fd00:244:${number}::2/64 dev eth0 nodad
link set eth0 up
route add default via 10.244.${number}.1
route add default via fd00:244:${number}::1
END`)
}

/**
 * Tells the pod's net1 the MACs of client A and the router, for a pod whose own questions nobody answers: no filter carries
 * them, and the representor is attached to nothing.
 */
export async function tellNeighbours(lab: Lab, namespace: string): Promise<void> {
  await lab.must(`set -e
    client=$(ip netns exec ${CLIENT_A.namespace} cat /sys/class/net/eth0/address)
    router=$(ip netns exec ${ROUTER.namespace} cat /sys/class/net/near/address)
    ip -n ${namespace} -b - <<END
neigh replace ${CLIENT_A.v4} lladdr $client dev net1
neigh replace ${CLIENT_A.v6} lladdr $client dev net1
neigh replace ${ROUTER.v4} lladdr $router dev net1
neigh replace ${ROUTER.v6} lladdr $router dev net1
END`)
}

/**
 * Waits until a pod's interface has its carrier and duplicate address detection is over. An igb VF that was just
 * created may take seconds to see the link, and what is sent before then is lost.
 */
export async function linkIsReady(lab: Lab, pod: string, device = 'net1'): Promise<void> {
  await lab.must(`set -e
    ${WAIT_UNTIL}
    carrier() { case "$(ip -n '${pod}' link show dev ${device})" in *LOWER_UP*) ;; *) return 1 ;; esac; }
    settled() {
      case "$(ip -n '${pod}' -6 address show dev ${device})" in
        *tentative*) return 1 ;;
        *'scope link'*) ;;
        *) [ "$(nsenter --net='/run/netns/${pod}' cat /proc/sys/net/ipv6/conf/${device}/disable_ipv6)" = 1 ] ;;
      esac
    }
    wait_until carrier
    wait_until settled`)
}

/** Waits until addresses of a pod answer a client's echo request. */
export async function isReachable(lab: Lab, client: string, addresses: readonly string[]): Promise<void> {
  await lab.must(`set -e
    ${WAIT_UNTIL}
    reach() { nsenter --net='/run/netns/${client}' ping -q -c 1 -W 1 "$1"; }
    for address in ${addresses.join(' ')}; do wait_until reach $address; done`)
}

/** Removes a namespace of {@link newPod} if it is there. Physical devices in it come back to the host, later. */
export async function deletePod(lab: Lab, name: string): Promise<void> {
  await lab.must(`[ ! -e '/run/netns/${name}' ] || ip netns delete '${name}'`)
}

/** PF and VFs as they are now. */
export async function describe(lab: Lab, ends: WireEnds): Promise<Topology> {
  const out = await lab.must(DESCRIBE, { env: { PF: ends.pf } })
  const [head = '', ...lines] = out.trimEnd().split('\n')
  const [pfMac = '', pfPci = ''] = head.split(' ')
  const vfs = lines.map((line) => {
    const [index, pci = '', netdev = '', mac = ''] = line.split(' ')
    return { index: Number(index), pci, netdev: netdev === '' ? null : netdev, mac: mac === '' ? null : mac }
  })
  return { ...ends, pfMac, pfPci, vfs: vfs.sort((a, b) => a.index - b.index) }
}

/** Shell function `wait_until COMMAND...`: tries every 50 ms, at most 1,200 times. */
export const WAIT_UNTIL = `
wait_until() {
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 1200 ]; then echo "No success in 60 s or more: $*" >&2; exit 1; fi
    sleep 0.05
  done
}`

const BUILD = `set -e
${WAIT_UNTIL}
vf_netdevs() { [ "$(ls -d /sys/class/net/$PF/device/virtfn*/net/* 2>/dev/null | wc -l)" = "$1" ]; }
carrier() { [ "$(cat /sys/class/net/$PF/carrier)" = 1 ]; }
reach() { ip netns exec "$1" ping -q -c 1 -W 1 "$2"; }

for ns in wire client-a router client-b; do ip netns add $ns; done
ip netns exec wire sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
for ns in client-a router client-b; do
  ip netns exec $ns sh -c 'cd /proc/sys/net/ipv6/conf; echo 0 >default/accept_dad; echo 0 >all/router_solicitations; echo 0 >default/router_solicitations'
done
ip netns exec router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'

[ ! -e /sys/class/net/$PF/device/sriov_numvfs ] || echo $VFS >/sys/class/net/$PF/device/sriov_numvfs
ip -b - <<END
link set $PF up
address add 10.1.0.1/24 dev $PF
address add fd00:1::1/64 dev $PF nodad
route add 10.2.0.0/24 via 10.1.0.254
route add fd00:2::/64 via fd00:1::fe
link set $WIRE netns wire
link add to-client-a type veth peer name to-a netns wire
link add near type veth peer name to-router netns wire
link add to-client-b type veth peer name far netns router
link set to-client-a netns client-a name eth0
link set near netns router
link set to-client-b netns client-b name eth0
END
ip -n wire -b - <<END
link set lo up
link add switch up type bridge stp_state 0 forward_delay 0 mcast_snooping 0
link set $WIRE master switch up
link set to-a master switch up
link set to-router master switch up
END
ip -n client-a -b - <<END
link set lo up
link set eth0 up
address add 10.1.0.10/24 dev eth0
address add fd00:1::10/64 dev eth0 nodad
route add default via 10.1.0.254
route add default via fd00:1::fe
END
ip -n router -b - <<END
link set lo up
link set near up
link set far up
address add 10.1.0.254/24 dev near
address add fd00:1::fe/64 dev near nodad
address add 10.2.0.254/24 dev far
address add fd00:2::fe/64 dev far nodad
END
ip -n client-b -b - <<END
link set lo up
link set eth0 up
address add 10.2.0.10/24 dev eth0
address add fd00:2::10/64 dev eth0 nodad
route add default via 10.2.0.254
route add default via fd00:2::fe
END
wait_until vf_netdevs $VFS
wait_until carrier
for ns in client-a client-b; do
  for address in 10.1.0.1 fd00:1::1; do wait_until reach $ns $address; done
done`

const TEAR_DOWN = `set -e
${WAIT_UNTIL}
no_vfs() { ! ls -d /sys/class/net/$PF/device/virtfn*; }
here() { [ -e /sys/class/net/$WIRE ]; }
if [ -e /run/netns/wire ]; then ip -n wire link set $WIRE nomaster down netns 1; fi
for ns in client-b router client-a wire; do
  if [ -e /run/netns/$ns ]; then ip netns delete $ns; fi
done
ip -b - <<END
address flush dev $PF
link set $PF down
END
[ ! -e /sys/class/net/$PF/device/sriov_numvfs ] || echo 0 >/sys/class/net/$PF/device/sriov_numvfs
wait_until no_vfs
wait_until here`

const DESCRIBE = `
cd /sys/class/net/$PF
read -r mac <address
echo "$mac $(basename "$(readlink device)")"
for link in device/virtfn*; do
  [ -e "$link" ] || continue
  netdev=; mac=
  for path in "$link"/net/*; do
    [ -e "$path" ] || continue
    netdev=\${path##*/}; read -r mac <"$path/address"
  done
  echo "\${link#device/virtfn} $(basename "$(readlink "$link")") $netdev $mac"
done`
