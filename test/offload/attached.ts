// The things that an ADD of port mappings leaves on the fake node, and its record.
import { identityOf } from '../../src/offload/state/identity.ts'
import type { OffloadJournal } from '../../src/records/offload.ts'
import type { RecordStore } from '../../src/records/store.ts'
import type { Node } from './node.ts'

/** ifindex of the uplink. */
export const pf = 2
/** The pod's namespace. */
export const path = '/var/run/netns/pod'

/** Leaves record, filter, reservation and the pod's tables of a container's `net1`. */
export function attached(
  node: Node,
  store: RecordStore<OffloadJournal>,
  who: { readonly containerID: string; readonly network: string; readonly netnsId: string },
  more: Partial<OffloadJournal> = {},
  phase: 'applying' | 'attached' = 'attached',
) {
  const { network, netnsId } = who
  const owner = { ...who, ifname: 'net1', netns: path, bootId: node.boot }
  const identity = identityOf(owner, (text) => node.sha256(text))
  const { cookie } = identity
  const handle = node.filters.length + 1
  const at = { link: 'pf0', ifindex: pf, prio: 10, address: '10.1.0.1', proto: 'tcp', port: 8080 } as const
  const rule = { ...at, cookie }
  const journal: OffloadJournal = {
    ...{
      device: '0000:3b:02.1',
      uplink: { name: 'pf0', ifindex: pf },
      nat: 'pod',
      ops: [
        {
          do: 'rule.add',
          side: 'pod',
          rule: { src: '10.1.0.5', table: identity.routeTable, priority: 30_000 },
        },
      ],
      rules: [{ line: '', where: 'host', mapping: 'tcp 8080 -> 80', rule, prio: 10, handle }],
      notes: [],
    },
    keys: [{ address: '10.1.0.1', proto: 'tcp', port: 8080, toAddress: '10.1.0.5', toPort: 80 }],
    ...more,
  }
  const record = store.write(network, { schema: 1, plugin: 'vf-offload', phase, owner, journal })
  node.namespaces.set(path, netnsId)
  node.filters.push({
    ifindex: pf,
    prio: 10,
    handle,
    protocol: 0x800,
    kind: 'flower',
    cookie,
    packets: 0n,
    inHw: false,
  })
  node.ports.add(cookie)
  node.podTables.set(netnsId, new Set([identity.podTable, identity.routeTable]))
  return { record, identity, tables: node.podTables.get(netnsId) ?? new Set() }
}
