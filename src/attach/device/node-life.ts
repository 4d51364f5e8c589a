/** Signs that the node itself lives by an interface, so that a pod must not get it by mistake. */
import type { CarriedFacts, LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { stackOf } from '../../nic/netdev.ts'
import type { PortFacts } from './facts.ts'
import { sharersOf } from './residue.ts'

/** The number of `lo`, whose addresses nobody outside reaches. */
const loopbackIfindex = 1

/** Why the node lives by the interface, one phrase for each reason; none for an interface that it can do without. */
export function nodeLife(
  kernel: Kernel,
  { link, master, residue }: PortFacts,
  carried: CarriedFacts | undefined,
): readonly string[] {
  const { uppers, ports } = stackOf(link.name, master)
  const quoted = (names: readonly string[]) => names.map((name) => `"${name}"`).join(', ')
  return [
    ...(carried?.defaults ?? []).map((route) => `it has the default route ${route}`),
    ...(carried === undefined ? [] : onlyAddresses(kernel, link, carried)),
    ...(carried?.sources ?? []).map((route) => `a route by another interface needs its address: ${route}`),
    ...(ports.length === 0 ? [] : [`it is the master of ${quoted(ports)}`]),
    ...(uppers.length === 0 ? [] : [`${quoted(uppers)} ${uppers.length === 1 ? 'lies' : 'lie'} on it`]),
    ...(residue === undefined ? [] : sharersOf(link, residue, uppers.length > 0)),
  ]
}

/** For each family of which no other interface has an address. */
function onlyAddresses(kernel: Kernel, { ifindex }: LinkFacts, { globals }: CarriedFacts): string[] {
  if (globals.length === 0) return []
  const others = kernel
    .addresses('host')
    .filter((one) => one.scope === 0 && ![ifindex, loopbackIfindex].includes(one.ifindex))
  const isV6 = (address: string) => address.includes(':')
  return [false, true].flatMap((v6) => {
    const own = globals.filter((address) => isV6(address) === v6)
    if (own.length === 0 || others.some(({ address }) => isV6(address) === v6)) return []
    return [`it has the node's only address of IPv${v6 ? 6 : 4}: ${own.join(', ')}`]
  })
}
