/** CHECK of what a pod behind a veth pair can change of its end by which the mappings and limits go. */

import type { Result } from '../../cni/result.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import { lostDefaultRoutes } from '../port/default-routes.ts'
import type { Port } from '../port/port.ts'

/**
 * What of the pair is not as ADD found it. For port mappings also that the pod has the addresses they lead to, and the default route by
 * the interface that it had: by another way replies would not come back. What else the pod has is its own business.
 */
export function* vethDifferences(
  kernel: Kernel,
  journal: OffloadJournal,
  { name, link, peer }: Port,
  prevResult: Result | undefined,
): Iterable<string> {
  const { link: then, keys } = journal
  if (link === undefined) return
  if (then !== undefined && then.ifindex !== link.ifindex)
    yield `interface "${name}" in the pod is number ${link.ifindex}, it was ${then.ifindex}`
  if (then?.peer !== undefined && then.peer !== peer?.ifindex) {
    const now = peer === undefined ? 'not on the host' : `interface ${peer.ifindex} of the host`
    yield `the other end of "${name}" is ${now}, it was interface ${then.peer}`
  }
  if (keys.length === 0) return
  // Another plugin of the list may have given it one after ours.
  const reported = prevResult?.interfaces?.find((one) => one.name === name && (one.sandbox ?? '') !== '')
  if (then !== undefined && then.mac !== link.mac && reported?.mac?.toLowerCase() !== link.mac)
    yield `interface "${name}" in the pod has MAC ${link.mac}, it had ${then.mac}`
  if (!link.up) yield `interface "${name}" in the pod is down`
  if (peer !== undefined && !peer.up) yield `interface "${peer.name}" of the host, its other end, is down`
  const wanted = new Set(keys.map(({ toAddress }) => toAddress))
  const has = new Set(kernel.addresses('pod', link.ifindex).map(({ address }) => address.split('/')[0]))
  for (const address of wanted)
    if (!has.has(address)) yield `interface "${name}" in the pod does not have address ${address} any more`
  for (const family of lostDefaultRoutes(kernel, link, journal, prevResult))
    yield `the pod has no default route by "${name}" any more for IPv${family}`
}
