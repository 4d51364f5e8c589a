// A simulated card in switchdev mode for limits: its uplink is a port of a bridge that has the node's addresses, as a node
// has them whose VMs and pods are on one network.

import {
  type Card,
  loadSimnic,
  type SimnicOptions,
  setMode,
  unloadSimnic,
} from '../../hack/lab/bed/simnic.ts'
import {
  buildTopology,
  CLIENT_A,
  HOST,
  isReachable,
  type Topology,
  tearDown,
} from '../../hack/lab/bed/topology.ts'
import type { Lab } from '../../hack/lab/lab.ts'

/** The bridge's name. */
export const RATE_BRIDGE = 'br-rate'

export interface RateBed {
  readonly card: Card
  readonly net: Topology
  /** Removes the bed; pods must be gone before. */
  end(): Promise<void>
}

/** Loads the card, with two VFs. */
export async function makeRateBed(vm: Lab, options: SimnicOptions = {}): Promise<RateBed> {
  const [card] = (await loadSimnic(vm, options)) as [Card]
  const net = await buildTopology(vm, card, 2)
  await setMode(vm, card, 'switchdev')
  await vm.must(`set -e
    ip link add ${RATE_BRIDGE} address ${net.pfMac} up type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    ip address flush dev ${card.pf}
    ip link set ${card.pf} master ${RATE_BRIDGE}
    ip address add ${HOST.v4}/24 dev ${RATE_BRIDGE}; ip address add ${HOST.v6}/64 dev ${RATE_BRIDGE} nodad`)
  await isReachable(vm, CLIENT_A.namespace, [HOST.v4, HOST.v6])
  const end = async () => {
    await vm.must(`ip link del ${RATE_BRIDGE}`)
    await setMode(vm, card, 'legacy')
    await tearDown(vm, card)
    await unloadSimnic(vm)
  }
  return { card, net, end }
}

/** The limits in the only record of vf-offload: direction, place and means of each. */
export async function recordedLimits(vm: Lab): Promise<string[][]> {
  const { journal } = JSON.parse(await vm.must("cat '/var/lib/cni/vf-flower/offload/'*.json")) as {
    journal: { limits?: { direction: string; where: string; means: string }[] }
  }
  return (journal.limits ?? []).map(({ direction, where, means }) => [direction, where, means])
}
