/**
 * The move home: the only operation by which something of a pod becomes the host's. A pod can exchange interfaces between the
 * look and the move. So the interface that has come is looked at before anything else happens to it, and goes back when it is not the
 * device.
 */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { netdevsOf } from '../../nic/pci.ts'
import type { LinkMove, Op, Outcome } from '../../ops/op.ts'
import type { Runner } from '../../ops/runner.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { isOfDevice, isSole, peerOf, standsElsewhere } from './identity.ts'
import { findMoved, pciOf } from './live.ts'

/** The device is not in the pod, or another interface came home in its place. */
export class NotTheDevice extends Error {
  readonly code = 'ENODEV'
  constructor(words: string, cause?: unknown) {
    super(words, { cause })
    this.name = 'NotTheDevice'
  }
}

/**
 * `runner`, by whose moves nothing but the journal's device comes from the pod to the host. With `look` the device is looked for in
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
      if (op.do !== 'link.move' || op.from === op.to) return runner.run(op)
      if (op.from === 'host') return movedAway(kernel, journal, runner, op)
      const found = look === undefined ? undefined : findMoved(kernel, journal, look.ifname)
      if (look !== undefined && found === undefined) {
        throw new NotTheDevice(`"${journal.device.id}" is not in the pod any more`)
      }
      const outcome = runner.run(found === undefined ? op : { ...op, ifindex: found.ifindex })
      requireDevice(kernel, journal, runner, op)
      return outcome
    },
  }
}

/** A move to the pod that was refused half-way is taken back by the kernel's side, by the number that the pod can give away. */
function movedAway(kernel: Kernel, journal: AttachJournal, runner: Runner, op: LinkMove): Outcome {
  try {
    return runner.run(op)
  } catch (error) {
    const { ifindex } = op
    if (ifindex !== undefined && kernel.link('host', ifindex) !== undefined) {
      const back = { newName: op.name, newIfindex: ifindex, name: op.newName }
      requireDevice(kernel, journal, runner, { ...op, ...back })
    }
    throw error
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
    throw new NotTheDevice(`${words}, it is "${newName}" of the host now: ${String(error)}`, error)
  }
  throw new NotTheDevice(`${words}, it is left there`)
}

/** True when the host's interface of this name and number is the device, which came from the pod just now. */
function isDevice(kernel: Kernel, journal: AttachJournal, name: string, ifindex: number): boolean {
  const { device } = journal
  // Names are unique, and sysfs tells the host's interfaces of a function without a request.
  if (isSole(journal) && device.pci !== undefined) {
    if (netdevsOf(device.pci, device.parents).includes(name)) return true
    // The parent of a virtio interface has another name each time that its driver begins.
    if (pciOf(journal)?.netdevs.includes(name) === true) return true
  }
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
