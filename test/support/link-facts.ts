// An interface as the kernel tells it, for tests that need one without asking a kernel.
import type { LinkFacts } from '../../src/kernel/api/facts.ts'

/** Facts of an Ethernet interface that is up and has nothing else to tell, but for `change`. */
export function linkFacts(name: string, ifindex: number, change: Partial<LinkFacts> = {}): LinkFacts {
  return {
    ...{ name, ifindex, mac: '02:00:00:00:00:05', altnames: [], permanentMac: undefined, mtu: 1500 },
    ...{ up: true, carrier: true, alias: '', promisc: false, allmulti: false, txqlen: 1000 },
    ...{
      master: undefined,
      lower: undefined,
      kind: undefined,
      vlanId: undefined,
      slaveKind: undefined,
      xdp: [],
    },
    ...{ parent: undefined, parentBus: undefined, physSwitchId: undefined, physPortName: undefined },
    ...{ vfs: undefined, ...change },
  }
}
