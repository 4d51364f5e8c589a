/** The table by which a pod takes frames in that the NIC steers without rewriting. Pure. */
import { grouped } from '../../../lib/grouped.ts'
import { ipFamily } from '../../../lib/ip.ts'
import type { PortKey } from '../../../ops/op.ts'
import { isLoopback } from '../keys.ts'

/**
 * Frames for the node's addresses and mapped ports have the MAC of the node, not of the VF, so the pod's kernel takes them for
 * another host's and drops them. This says that they are the pod's. In a chain of the interface: the IP layer drops the frames
 * of others before any chain of its own. By addresses and not by MAC: that of the uplink, or of the bridge above, may change.
 */
export function podMarkTable(table: string, link: string, all: readonly PortKey[]): string {
  const keys = all.filter(({ address }) => !isLoopback(address))
  const lines = [...grouped(keys, ({ address, proto }) => `${ipFamily(address)} ${proto}`).values()].map(
    (own) => {
      const [{ address: first, proto }] = own as [PortKey]
      const elements = own.map(({ address, port }) => `${address} . ${port}`)
      const ip = ipFamily(first) === 4 ? 'ip' : 'ip6'
      return `meta pkttype other ${ip} daddr . ${proto} dport { ${elements.join(', ')} } meta pkttype set host`
    },
  )
  const hook = `type filter hook ingress device "${link}" priority 0; policy accept;`
  return `table netdev ${table} {\n  chain ingress {\n${[hook, ...lines].map((line) => `    ${line}\n`).join('')}  }\n}\n`
}
