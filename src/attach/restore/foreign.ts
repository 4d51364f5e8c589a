/**
 * DEL of an attachment that sriov-cni or host-device made: restored from the files that they left, as far as nobody else has the
 * device now. In: the request and the config's selectors; the locks and our records are parameters.
 */

import type { Request } from '../../cni/request.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine, OpenNetns } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import { parsePciAddress } from '../../lib/pci-address.ts'
import { readPciFunction } from '../../nic/pci.ts'
import { isSameNetns, openNetnsAt, ownerMarks } from '../../ops/owner-netns.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { type PluginRecord, recordSchemaVersion } from '../../records/record.ts'
import type { RecordStore } from '../../records/store.ts'
import type { Selector } from '../config/device.ts'
import { readLive } from '../device/live.ts'
import { keptWhileOpen } from '../device/userspace.ts'
import { type BusDevice, hostDeviceJournal } from '../foreign/host-device.ts'
import { forget, holds, type InUse, inUse, sriovDir } from '../foreign/sriov.ts'
import { readCache, removeCache, type SriovCache, sriovJournal } from '../foreign/sriov-cache.ts'
import { spareNames } from '../state/spare-names.ts'
import { restoreDevice } from './device.ts'
import { findDevice } from './find-device.ts'

/** The node and our records, for a DEL without a record of ours. */
export interface ForeignContext {
  readonly machine: Machine
  /** Our records: of a device that is still open one is written, by which it is restored later. */
  readonly store: RecordStore<AttachJournal>
  /** True when one of our records is about the device. */
  readonly isOurs: (id: string) => boolean
  /** Runs an action under the locks of a device. */
  readonly locked: (id: string, action: () => void) => void
  /** sriov-cni's folder. */
  readonly dir?: string
}

/**
 * Restores the device of an attachment that has no record of ours; does nothing where nobody left anything.
 * @throws CniError 103 when something of it could not be restored, RecordError for a broken file of sriov-cni
 */
export function restoreForeign(
  context: ForeignContext,
  request: Request,
  selectors: readonly Selector[],
): void {
  const { containerID, ifname } = request
  const cache = readCache(containerID, ifname, context.dir)
  if (cache !== undefined) {
    context.locked(cache.pci, () => restoreSriovs(context, request, cache))
    return
  }
  withPod(context.machine, request.netns, (kernel, pod) => {
    const link = pod === undefined ? undefined : kernel.link('pod', ifname)
    // An altname does not count: host-device names the interface itself.
    if (link?.name !== ifname) return
    const named = new Map(selectors.map((one) => [one.by, one] as const))
    const [name, hwaddr] = [named.get('name'), named.get('hwaddr')]
    const journal = hostDeviceJournal(link, {
      devices: selectors.flatMap(busDevice),
      device: name?.by === 'name' ? name.name : undefined,
      hwaddr: hwaddr?.by === 'hwaddr' ? hwaddr.mac : undefined,
    })
    if (journal === undefined || isOnHost(kernel, journal, name, hwaddr)) return
    const { id } = journal.device
    context.locked(id, () => {
      if (context.isOurs(id)) return
      notice(`vf-attach: "${ifname}" was attached by host-device, it goes home as "${link.alias}"`)
      restoreDevice(context.machine, kernel, journal, { pod: true, ifname, moved: true })
    })
  })
}

/**
 * True when the device that the config names by an interface's name or MAC is on the host. Then no pod has it, and an interface of
 * the pod with that alias is the pod's own.
 */
function isOnHost(
  kernel: Kernel,
  { device }: AttachJournal,
  name: Selector | undefined,
  hwaddr: Selector | undefined,
): boolean {
  if (device.parents.length > 0) return false
  return kernel.links('host').some((link) => {
    const isNamed = name?.by === 'name' && [link.name, ...link.altnames].includes(name.name)
    return isNamed || (hwaddr?.by === 'hwaddr' && [link.mac, link.permanentMac].includes(hwaddr.mac))
  })
}

/** The VF's locks are held. */
function restoreSriovs(context: ForeignContext, request: Request, cache: SriovCache): void {
  const { machine, dir = sriovDir } = context
  const { containerID, ifname } = request
  withPod(machine, request.netns, (kernel, pod) => {
    const used = inUse(machine, cache.pci, dir)
    const isElsewhere =
      used !== undefined && !isSameNetns(used.netns, pod) && mayBeThere(machine, used, cache)
    if (isElsewhere || context.isOurs(cache.pci)) {
      const owner = used === undefined ? 'a newer attachment' : `"${used.netnsPath}"`
      notice(`vf-attach: "${cache.pci}" belongs to ${owner} now, "${cache.path}" is dropped`)
    } else {
      notice(`vf-attach: "${cache.pci}" was attached by sriov-cni, it is restored from "${cache.path}"`)
      const view = { pod: pod !== undefined, ifname }
      const journal = journalNow(machine, kernel, cache, view)
      const record = foreignRecord(machine, request, pod, journal)
      if (!keptWhileOpen(machine, kernel, context.store, record, view)) {
        restoreDevice(machine, kernel, journal, view)
      }
      forget(cache.pci, dir)
    }
  })
  removeCache(containerID, ifname, dir)
}

/** The attachment as one of ours. */
function foreignRecord(
  machine: Machine,
  { containerID, ifname, name: network, netns }: Request,
  pod: OpenNetns | undefined,
  journal: AttachJournal,
): PluginRecord<AttachJournal> {
  const marks = pod === undefined ? { netnsId: '' } : ownerMarks(pod)
  const owner = { containerID, ifname, network, netns, ...marks, bootId: machine.bootId() }
  return { schema: recordSchemaVersion, plugin: 'vf-attach', phase: 'attached', owner, journal }
}

/**
 * False when the namespace of an in-use record does not have the VF's interface: then its path was recycled. A VF that a
 * user space driver holds has none to tell.
 */
function mayBeThere(machine: Machine, { netnsPath }: InUse, { pci }: SriovCache): boolean {
  const present = readPciFunction(pci)
  if (present === undefined || present.userspace) return true
  return holds(machine, netnsPath, present.parents)
}

/** The MTU of an interface whose driver starts anew (ETH_DATA_LEN of linux/if_ether.h). */
const defaultMtu = 1500

/**
 * The journal, completed by what the interface is now. An interface that is on the host under another name than the pod's
 * (or the kernel's spare `dev<N>`) was named by somebody since, after a boot as a rule, and keeps that name.
 */
function journalNow(
  machine: Machine,
  kernel: Kernel,
  cache: SriovCache,
  view: { readonly pod: boolean; readonly ifname: string },
): AttachJournal {
  const unseen = { mac: '', mtu: defaultMtu, altnames: [] }
  const anyLink = sriovJournal(cache, view.ifname, unseen)
  // A journal with values of the interface now needs the interface first; the restore waits for it in any case.
  const needsIt = cache.link !== undefined && cache.link.mtu === undefined
  const live = needsIt ? findDevice(machine, kernel, anyLink, view) : readLive(kernel, anyLink, view)
  const found = live === 'gone' ? undefined : live.link
  const now = found?.facts ?? (cache.link?.mac === undefined ? undefined : unseen)
  const journal = sriovJournal(cache, view.ifname, now, readPciFunction(cache.pci))
  const { link } = journal.original
  if (found?.side !== 'host' || link === undefined) return journal
  const { name } = found.facts
  // A DEL that was killed may have left a spare name.
  const isPods = name === view.ifname || /^dev\d+$/.test(name) || spareNames(journal.device).includes(name)
  return isPods ? journal : { ...journal, original: { ...journal.original, link: { ...link, name } } }
}

/** The device of a selector that names one of a bus. One that is gone has no interface to match. */
function busDevice(selector: Selector): BusDevice[] {
  switch (selector.by) {
    case 'pci': {
      const pci = readPciFunction(selector.address)
      return pci === undefined ? [] : [{ id: pci.address, pci: pci.address, parents: [...pci.parents] }]
    }
    case 'auxiliary':
      return [{ id: selector.name, parents: [selector.name] }]
    case 'kernelpath': {
      const parent = selector.path.split('/').findLast((part) => part !== '') ?? ''
      const pci = parsePciAddress(parent)
      return [{ id: parent, parents: [parent], ...(pci === undefined ? {} : { pci }) }]
    }
    default:
      return []
  }
}

/** The two sides, the pod's only if there is a namespace at its path: without one the kernel brings the interface home. */
function withPod(
  machine: Machine,
  path: string,
  action: (kernel: Kernel, pod: OpenNetns | undefined) => void,
): void {
  const pod = path === '' ? undefined : openNetnsAt(machine, path)
  const kernel = machine.openKernel(pod)
  try {
    action(kernel, pod)
  } finally {
    kernel.close()
    pod?.close()
  }
}
