/** Observations: the reasons against one device that one snapshot shows, without any delay. */
import type { Device, Pf, Snapshot } from '../inventory/snapshot.ts'
import type { Attached, HealthReason, Held } from './health.ts'

/** Reasons that come and go by themselves. Each is told after it has lasted. */
export const delayedReasons = ['carrier', 'link-state', 'representor', 'reset'] as const
/** A reason that is told after it has lasted. */
export type DelayedReason = (typeof delayedReasons)[number]

/** A reason that is told at once. */
export interface Told {
  readonly reason: HealthReason
  readonly text: string
}

type Pod = { readonly namespace: string; readonly name: string }

/** kubelet's checkpoint knows pods by their uids alone: their names are empty. */
const isNamed = (pod: Pod | undefined): pod is Pod => pod !== undefined && pod.name !== ''
const isPod = (left: Pod | undefined, right: Pod | undefined) =>
  !isNamed(left) || !isNamed(right) || (left.namespace === right.namespace && left.name === right.name)

/** A pod in words. */
export function nameOf(pod: Pod | undefined): string {
  return isNamed(pod) ? `the pod ${pod.namespace}/${pod.name}` : 'a pod'
}

const pfName = (pf: Pf) => pf.uplink?.name ?? pf.address

/** `dirty` and `open`: the device is of no use to the next pod yet. `attached`: the attachments of the device. */
export function leftovers(device: Device, held: Held | undefined, attached: readonly Attached[]): Told[] {
  if (attached.some(({ alive, pendingClose }) => alive && !pendingClose)) return []
  // Somebody else has the device already. A holder without a name may be the pod of the record.
  const own = attached.filter(({ pod }) => held === undefined || isPod(held.pod, pod))
  const waiting = own.find(({ pendingClose }) => pendingClose)
  if (waiting !== undefined) {
    const text = `a program of ${nameOf(waiting.pod)} still has the device open, and the device is restored when it is closed`
    return [{ reason: 'dirty', text }]
  }
  const told: Told[] = []
  const [dead] = own
  if (dead !== undefined)
    told.push({
      reason: 'dirty',
      text: `the device is not restored: ${nameOf(dead.pod)} is gone without a DEL`,
    })
  if (device.isOpen === true && held === undefined)
    told.push({ reason: 'open', text: 'no pod has the device, but a program has it open' })
  return told
}

/**
 * The delayed reasons that hold at this moment, with their sentences.
 *
 * A device is never judged by its own interfaces: they are away while a pod has them. A PF that is given away as a whole is not judged
 * by its carrier either: a PF that nobody uses is down.
 */
export function observed(device: Device, snapshot: Snapshot): ReadonlyMap<DelayedReason, string> {
  const found = new Map<DelayedReason, string>()
  const { vf } = device
  const pf = device.pf && snapshot.pfs.get(device.pf.address)
  const wires = pf?.ports ?? [pf?.uplink ?? []].flat()
  // `link-state enable` gives the VF a link whatever the wire has: VFs of one PF reach each other without the wire. Nobody knows which
  // of several ports a pod's network is on.
  if (wires.length > 0 && vf?.linkState !== 'enable' && !wires.some(({ up, carrier }) => up && carrier)) {
    const words = wires.map(({ name, up }) => `the PF ${name} ${up ? 'has no carrier' : 'is down'}`)
    found.set('carrier', words.join(', '))
  }
  if (vf?.linkState === 'disable')
    found.set('link-state', 'the PF has switched off the link of the VF (link-state disable)')
  if (device.type !== 'accelerator' && pf?.eswitchMode === 'switchdev')
    if (device.representor === undefined)
      found.set('representor', `the PF ${pfName(pf)} is in switchdev mode, and the device has no representor`)
  const trouble = (pf ?? snapshot.pfs.get(device.pci))?.trouble
  if (trouble !== undefined) found.set('reset', `the PF does not work: ${trouble}`)
  return found
}
