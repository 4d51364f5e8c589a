/** CHECK of what a pod behind a veth pair can change of its end by which the mappings and limits go. */

import type { Result } from '../cni/result.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { ipFamily } from '../lib/ip.ts'
import type { Port } from './port.ts'
import type { OffloadJournal } from './record.ts'

/**
 * What of the pair is not as ADD found it. For port mappings also that the pod has the addresses they lead to, and its default route by
 * the interface where prevResult names one: by another way replies would not come back. What else the pod has is its own business.
 */
export function* vethDifferences(
  kernel: Kernel,
  { link: then, keys }: OffloadJournal,
  { name, link, peer }: Port,
  prevResult: Result | undefined,
): Iterable<string> {
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
  for (const family of new Set([...wanted].map(ipFamily))) {
    const isNamed = prevResult?.routes?.some(({ dst }) => dst.endsWith('/0') && familyOf(dst) === family)
    if (isNamed === true && !kernel.hasDefaultRoute('pod', family, link.ifindex))
      yield `the pod has no default route by "${name}" any more for IPv${family}`
  }
}

function familyOf(cidr: string): 4 | 6 {
  return cidr.includes(':') ? 6 : 4
}
