/**
 * Host ports that somebody else on the node translates: a service of kube-proxy, another program's port mapping. Mapped for a VF,
 * the PF's filter would take them before; behind a veth the other one would keep them, and the pod would hear nothing.
 */
import { CniError, code } from '../../../cni/error.ts'
import type { Policy } from '../../../cni/policy.ts'
import type { FreedKey, Kernel } from '../../../kernel/api/kernel.ts'
import type { ForeignNat } from '../../../kernel/api/port-users.ts'
import { notice } from '../../../lib/log/notice.ts'
import { hasPort, showRanges } from '../../../lib/port-ranges.ts'
import type { PortKey } from '../../../ops/op.ts'

/** @throws CniError 100 with the rule's text for a key that others translate, or that kube-proxy may give to a service */
export function refuseServed(kernel: Kernel, keys: readonly FreedKey[], policy: Policy): void {
  if (keys.length === 0) return
  const others = kernel.foreignNat(keys)
  for (const key of keys) {
    const taker = others.taker(key) ?? rangeWords(others, key, policy)
    if (taker === undefined) continue
    throw new CniError(code.portTaken, `Cannot map ${keyWords(key)}: ${taker}; ${remedy(policy)}`)
  }
  tellUnread(others)
}

/**
 * Sentences of CHECK about keys that others translate now: a service that came after the ADD. `isHosts`: the host's table translates
 * the keys. A rule that takes only some of a port's packets is a notice, and does not make the pod a broken one.
 */
export function* servedDifferences(
  kernel: Kernel,
  keys: readonly PortKey[],
  isHosts: boolean,
): Iterable<string> {
  if (keys.length === 0) return
  const others = kernel.foreignNat(keys)
  const told = new Map<string, PortKey>()
  for (const key of keys) {
    const { all, some } = others.losses(key, isHosts)
    if (all !== undefined) yield `${keyWords(key)} is taken by ${all}`
    // Once, however many addresses have the port.
    else for (const rule of some) if (!told.has(rule)) told.set(rule, key)
  }
  for (const [rule, key] of told)
    notice(`vf-offload: some of what comes to ${keyWords(key)} may be taken by ${rule}`)
  tellUnread(others)
}

function keyWords({ proto, address, port }: FreedKey): string {
  return `${proto} ${address} port ${port}`
}

function rangeWords(
  { kubeProxy }: ForeignNat,
  { port }: FreedKey,
  { nodePortRange }: Policy,
): string | undefined {
  if (kubeProxy === undefined || !hasPort(nodePortRange, port)) return undefined
  return `kube-proxy (${kubeProxy}) may give ${showRanges(nodePortRange)} to services`
}

function remedy({ file, allowServicePorts }: Policy): string {
  return allowServicePorts
    ? 'allowServicePorts true maps it all the same'
    : `allowServicePorts of ${file} forbids to map it all the same`
}

/** Rules of which nobody can say what they match, and that do not name the port: most likely they are about other packets. */
function tellUnread(others: ForeignNat): void {
  for (const line of others.unread())
    notice(`vf-offload: a rule of others can't be read, and is passed over: ${line}`)
}
