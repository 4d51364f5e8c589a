/** Notes for operators about a plan of port mappings: clients that are not served, and the end of a mapping. Pure. */
import { ipFamily } from '../../lib/ip.ts'
import type { PortKey } from '../../ops/op.ts'
import type { OffloadConfig } from '../config/config.ts'
import { traitsOf } from '../port/kinds.ts'
import { forwardKeys, type OffloadFacts } from './facts.ts'
import { hairpinNote } from './hairpin/words.ts'
import { isLoopback } from './keys.ts'

/** Of a translation in the NIC. */
export function nicNotes({ directSubnets }: Pick<OffloadConfig, 'directSubnets'>): string[] {
  const who = ['the node', 'VFs of the same card', ...directSubnets].join(', ')
  return [
    `the NIC translates without connections: only ${who} reach the pod's own ports directly; ICMP errors are not translated, and what the pod sends in fragments to others is dropped`,
  ]
}

/** Of what the mappings depend on beside a NIC: where the node does not forward, where a bond may turn to another port. */
export function reachNotes(
  config: Pick<OffloadConfig, 'offload' | 'legacyOffload'>,
  { port, still, bond, driver }: Pick<OffloadFacts, 'port' | 'still' | 'bond' | 'driver'>,
  all: readonly PortKey[],
): string[] {
  const { wire } = port
  const keys = all.filter(({ address }) => !isLoopback(address))
  const families = [...new Set(keys.map(({ address }) => ipFamily(address)))].sort()
  const stillNotes = (unreached: string) =>
    families.flatMap((family) =>
      still?.has(family) !== true
        ? []
        : `the node does not forward IPv${family} (${forwardKeys[family].replaceAll('/', '.')}): ${unreached} do not reach the mapped ports`,
    )
  // What comes to a veth from elsewhere is forwarded by the host's stack, whole.
  if (wire === undefined)
    return stillNotes('clients on the wire and other pods (all but programs of the node itself)')
  const { uplink, representor } = wire
  const isApart = representor !== undefined && representor.master === undefined
  const unreached =
    'datagrams in fragments, programs of the node and other pods do not reach the mapped ports'
  const { isOnUplink } = traitsOf(port.kind)
  return [
    ...(bond === undefined
      ? []
      : [
          `"${uplink.name}" is a port of "${bond}": the mappings are on this port alone, and end while "${bond}" uses another one`,
        ]),
    ...(isApart
      ? [
          `the representor "${representor.name}" is no port of a bridge: unless the node leads to it in another way, ${unreached}`,
        ]
      : []),
    ...(isOnUplink
      ? [`"${uplink.name}" and a macvlan on it do not exchange frames: ${unreached}`]
      : stillNotes('datagrams in fragments and other pods')),
    ...(representor === undefined && config.offload !== 'off' ? hairpinNote(config, port, driver) : []),
  ]
}
