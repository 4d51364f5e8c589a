/** The table that translates inside the pod. Pure. */
import { ipFamily } from '../../lib/ip.ts'
import type { PortKey } from '../../ops/op.ts'
import { isLoopback } from './keys.ts'

/**
 * The nftables table that does the NAT inside the pod: in prerouting for clients, in output for the pod itself
 * (hairpin). Looked up by address and port in one map per family and protocol, whatever their number.
 */
export function podNatTable(table: string, all: readonly PortKey[]): string {
  // The pod's own loopback addresses stay its own.
  const keys = all.filter(({ address }) => !isLoopback(address))
  const lines = ([4, 6] as const).flatMap((family) =>
    (['tcp', 'udp', 'sctp'] as const).flatMap((proto) => {
      const own = keys.filter((key) => ipFamily(key.address) === family && key.proto === proto)
      if (own.length === 0) return []
      const ip = family === 4 ? 'ip' : 'ip6'
      const elements = own.map((key) => `${key.address} . ${key.port} : ${key.toAddress} . ${key.toPort}`)
      return [`dnat ${ip} to ${ip} daddr . ${proto} dport map { ${elements.join(', ')} }`]
    }),
  )
  const chain = (hook: string, priority: string) =>
    `  chain ${hook} {\n    type nat hook ${hook} priority ${priority}; policy accept;\n${lines.map((line) => `    ${line}\n`).join('')}  }\n`
  return `table inet ${table} {\n${chain('prerouting', 'dstnat')}${chain('output', '-100')}}\n`
}
