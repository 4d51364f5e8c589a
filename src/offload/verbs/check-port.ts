/** CHECK of the interfaces that filters and limits are on: a filter says `in_hw` and looks whole while it leads nowhere. */

import type { OffloadJournal } from '../../records/offload.ts'
import { recordedTraits, traitsOf } from '../port/kinds.ts'
import type { Port } from '../port/port.ts'
import { eswitchWords } from '../port/uplink.ts'

/** Sentences about everything at the pod's port that is not as ADD found it. */
export function* portDifferences(journal: OffloadJournal, port: Port): Iterable<string> {
  yield* kindDifferences(journal, port)
  if (traitsOf(port.kind).isPair) yield* pairDifferences(journal, port)
  const { rules, limits = [] } = journal
  const { wire } = port
  // Of several rules with an old MAC one is enough to say it.
  const [to, from] = [new Set<string>(), new Set<string>()]
  for (const { rule } of rules) {
    if (rule.dstMac !== undefined) to.add(rule.dstMac)
    if (rule.srcMac !== undefined) from.add(rule.srcMac)
  }
  // A policer is passed by frames to another MAC.
  for (const op of limits.flatMap(({ ops }) => ops)) if (op.do === 'meter.add') to.add(op.meter.mac)
  for (const mac of to) {
    if (port.mac !== mac) yield `interface "${port.name}" has MAC ${port.mac}, rules send to ${mac}`
  }
  for (const mac of from) {
    if (wire !== undefined && wire.uplink.mac !== mac)
      yield `the uplink "${wire.uplink.name}" has MAC ${wire.uplink.mac}, rules send from ${mac}`
  }
}

/** A pod can give an interface any number and name, but not another pod's pair. */
function* pairDifferences({ link: then }: OffloadJournal, { name, link, peer }: Port): Iterable<string> {
  if (link === undefined) return
  if (then !== undefined && then.ifindex !== link.ifindex)
    yield `interface "${name}" in the pod is number ${link.ifindex}, it was ${then.ifindex}`
  if (then?.peer !== undefined && then.peer !== peer?.ifindex) {
    const now = peer === undefined ? 'not on the host' : `interface ${peer.ifindex} of the host`
    yield `the other end of "${name}" is ${now}, it was interface ${then.peer}`
  }
}

function* kindDifferences({ port: then, uplink, representor }: OffloadJournal, port: Port): Iterable<string> {
  const { wire } = port
  if (then !== undefined && port.kind !== then) {
    const [now, before] = [traitsOf(port.kind).eswitch, recordedTraits(then)?.eswitch]
    const manager = wire?.managedElsewhere
    const name = wire?.uplink.name ?? ''
    if (now === undefined || before === undefined)
      yield `the pod's port is of kind ${port.kind}, it was ${then}`
    else if (manager !== undefined) yield `${eswitchWords(name, manager)}, it was in mode ${before}`
    else yield `the eSwitch of "${name}" is in mode ${now}, it was in mode ${before}`
  }
  if (wire !== undefined && uplink !== undefined && wire.uplink.ifindex !== uplink.ifindex) {
    yield `the uplink "${wire.uplink.name}" is interface ${wire.uplink.ifindex}, the rules are on ${uplink.ifindex}`
  }
  const now = wire?.representor
  if (now !== undefined && representor !== undefined && now.ifindex !== representor.ifindex) {
    yield `the representor "${now.name}" is interface ${now.ifindex}, rules lead to ${representor.ifindex}`
  }
}
