/**
 * The place of the other end of a pair, when it has left the place that the record of this end names. Both ends may be devices of
 * ours, each in a pod of its own, and go home one after the other. The kernel proves the place that the other record names.
 */
import type { LinkPlace } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { hostNetns } from '../../lib/host-netns.ts'
import { openOwnersNetns } from '../../ops/owner-netns.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { RecordStore } from '../../records/store.ts'
import { peerOf } from './identity.ts'

/**
 * The journal with the place where the device's other end is now; as it is for what is no end of a pair, whose other end has not left, and
 * where nothing tells.
 */
export function withPeerNow(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  kernel: Kernel,
  journal: AttachJournal,
): AttachJournal {
  const peer = peerOf(journal)
  if (peer === undefined || isEnd(kernel, journal, peer)) return journal
  const { peerHome } = journal.device
  const home = peerHome === undefined ? undefined : { ifindex: peerHome, netns: hostNetns }
  const place =
    home !== undefined && isEnd(kernel, journal, home) ? home : placeInPod(machine, store, journal, peer)
  return place === undefined ? journal : withPeer(journal, place)
}

/** A journal as {@link withPeerNow} has changed it, with the place that its record had. */
export function withPeerOf(journal: AttachJournal, { device }: AttachJournal): AttachJournal {
  const { lower, lowerNetns } = device
  return lower === undefined || lowerNetns === undefined
    ? journal
    : withPeer(journal, { ifindex: lower, netns: lowerNetns })
}

function withPeer(journal: AttachJournal, { ifindex, netns }: LinkPlace): AttachJournal {
  return { ...journal, device: { ...journal.device, lower: ifindex, lowerNetns: netns } }
}

/**
 * The journal of an ADD, with the number that the device's other end has on the host: where that is a device of ours in a pod, it will
 * go back to it.
 */
export function withPeerHome(store: RecordStore<AttachJournal>, journal: AttachJournal): AttachJournal {
  const peer = peerOf(journal)
  if (peer === undefined || peer.netns === hostNetns) return journal
  const { ifindex, kind } = journal.device
  const its = recordOf(store, ({ device }) => {
    const isOther = device.kind === kind && device.podIfindex === peer.ifindex
    return isOther && device.lower === ifindex && device.lowerNetns === hostNetns
  })
  const peerHome = its?.journal.device.ifindex
  return peerHome === undefined ? journal : { ...journal, device: { ...journal.device, peerHome } }
}

function isEnd(kernel: Kernel, { device }: AttachJournal, place: LinkPlace): boolean {
  return kernel.otherEnd(place)?.kind === device.kind
}

/** In the pod that has got it since, as the host numbers that one's namespace. */
function placeInPod(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  { device: own }: AttachJournal,
  peer: LinkPlace,
): LinkPlace | undefined {
  if (peer.netns !== hostNetns) return undefined
  const record = recordOf(store, ({ device }) => {
    const isOther = device.kind === own.kind && device.ifindex === peer.ifindex
    return isOther && device.lower === own.podIfindex && device.id !== own.id
  })
  if (record === undefined) return undefined
  const { lower, lowerNetns, podIfindex } = record.journal.device
  if (lower === undefined || lowerNetns === undefined) return undefined
  const pod = openOwnersNetns(machine, record.owner, '')
  if (pod === undefined) return undefined
  const its = machine.openKernel(pod)
  try {
    // A pod can give the number to another one, whose other end is in a namespace of its own.
    const end = its.otherEnd({ ifindex: lower, netns: lowerNetns })
    if (end?.where !== 'pod' || end.ifindex !== podIfindex || end.netns === undefined) return undefined
    return { ifindex: end.ifindex, netns: end.netns }
  } finally {
    its.close()
    pod.close()
  }
}

/** The first record of another device that fits. A record that can't be read is reported by the calls for its own device. */
function recordOf(
  store: RecordStore<AttachJournal>,
  fits: (journal: AttachJournal) => boolean,
): PluginRecord<AttachJournal> | undefined {
  for (const name of store.list()) {
    // Only software has another end.
    if (!name.subject.startsWith('netdev:')) continue
    try {
      const record = store.read(name)
      if (record !== undefined && fits(record.journal)) return record
    } catch {}
  }
  return undefined
}
