/**
 * The move home: the only operation by which something of a pod becomes the host's. Whatever a pod does between a look and the
 * move, what has come is looked at before anything else is done with it, and goes back when it is not the device.
 */
import type { LinkFacts } from '../kernel/facts.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { pciDevices } from '../nic/pci.ts'
import type { Runner } from '../ops/apply.ts'
import type { LinkMove, Op } from '../ops/op.ts'
import { listFolder } from '../sys/files.ts'
import { isOfDevice, isSole, peerOf, standsElsewhere } from './identity.ts'
import { findMoved } from './live.ts'
import type { AttachJournal } from './record.ts'

/**
 * `runner`, whose moves from the pod to the host take nothing but the journal's device. With `look` the device is looked for in
 * the pod, called `ifname` by ADD, before each such move: a rollback takes back what was done without a look of its own. Throws
 * like a refusal of the kernel when the device is not there, and when another interface has come in its place.
 */
export function homeward(
  kernel: Kernel,
  journal: AttachJournal,
  runner: Runner,
  look?: { readonly ifname: string },
): Runner {
  return {
    run: (op: Op) => {
      if (op.do !== 'link.move' || op.from !== 'pod' || op.to !== 'host') return runner.run(op)
      const found = look === undefined ? undefined : findMoved(kernel, journal, look.ifname)
      if (look !== undefined && found === undefined) {
        throw new Error(`"${journal.device.id}" is not in the pod any more`)
      }
      const outcome = runner.run(found === undefined ? op : { ...op, ifindex: found.ifindex })
      requireDevice(kernel, journal, runner, op)
      return outcome
    },
  }
}

/** Sends back what a move has brought home when that is another interface than the device. */
function requireDevice(kernel: Kernel, journal: AttachJournal, runner: Runner, op: LinkMove): void {
  const { newName, newIfindex } = op
  if (newIfindex === undefined || isDevice(kernel, journal, newName, newIfindex)) return
  const words = `another interface has taken the place of "${journal.device.id}" in the pod`
  try {
    runner.run({
      ...{ do: 'link.move', from: 'host', name: newName, ifindex: newIfindex },
      ...{ to: 'pod', newName: op.name },
    })
  } catch (error) {
    throw new Error(`${words}, it is "${newName}" of the host now: ${String(error)}`, { cause: error })
  }
  throw new Error(`${words}, it is left there`)
}

/** True when the host's interface of this name and number is the device, which came from the pod just now. */
function isDevice(kernel: Kernel, journal: AttachJournal, name: string, ifindex: number): boolean {
  const { device } = journal
  // Names are unique, and sysfs tells the host's interfaces of a function without a request.
  if (isSole(journal) && device.pci !== undefined && isListed(device.parents, device.pci, name)) return true
  const peer = peerOf(journal)
  if (peer !== undefined) {
    const end = kernel.otherEnd(peer)
    return end?.where === 'host' && end.ifindex === ifindex
  }
  const link = kernel.link('host', ifindex)
  return link !== undefined && isOfDevice(link, journal) && isWhereItStood(link, journal)
}

function isWhereItStood(link: LinkFacts, journal: AttachJournal): boolean {
  const { lower, kind } = journal.device
  return kind === 'veth' || lower === undefined || (link.lower === lower && !standsElsewhere(link, journal))
}

function isListed(parents: readonly string[], pci: string, name: string): boolean {
  return parents.some((parent) => {
    const path = parent === pci ? `${pciDevices}/${pci}` : `${pciDevices}/${pci}/${parent}`
    return listFolder(`${path}/net`).includes(name)
  })
}
