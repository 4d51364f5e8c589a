/** Preferred allocation: the choice among devices that are equally good for kubelet. */
import type { PreferredAllocation } from '../config/plugin-config.ts'
import type { Device, Snapshot } from '../inventory/snapshot.ts'
import { pack, spreadOver } from './groups.ts'
import { compareTexts } from './order.ts'
import { near, together } from './pci-tree.ts'
import type { Pool } from './pool.ts'

/** The PF of a device; a function that is no VF is its own. */
const pfOf = ({ pf, pci }: Device) => pf?.address ?? pci
const numaOf = ({ numaNode }: Device) => (numaNode === undefined ? 'none' : String(numaNode))

/**
 * Chooses `count` of `available`: all of `required` first, then devices of the pool by the policy, then ids that the pool does not have.
 * - `packed`: PFs that `required` has begun, then the PF with the fewest available devices that is enough; when none is, the fullest.
 * - `spread`: from each PF in turn, beginning with the PFs that have given the fewest to `required`, of those the fullest.
 * - `numa`: as `packed`, with NUMA nodes in place of PFs, and packed within a node.
 * - `pcie`: devices with the longest common path of bridges to one of `required`; without these, all below the lowest bridge that has enough.
 *
 * Returns more than `count` when `required` does, fewer when there are fewer. Deterministic: the order of the lists changes nothing.
 * Takes O(n log n). Never throws.
 */
export function prefer(
  pool: Pool,
  snapshot: Snapshot,
  policy: PreferredAllocation,
  available: readonly string[],
  required: readonly string[],
  count: number,
): readonly string[] {
  const must = [...new Set(required)].sort(compareTexts)
  const given = new Set(must)
  const rest = [...new Set(available)].filter((id) => !given.has(id)).sort(compareTexts)
  const room = count - must.length
  if (!(room > 0)) return must
  const members = new Map(pool.members.map(({ device }) => [device.id, device]))
  const devices = rest.flatMap((id) => members.get(id) ?? []).sort(inPlace)
  // A required device may have left the pool while a pod has it. Its place on the node still counts.
  const begun = must.flatMap(
    (id) => members.get(id) ?? snapshot.devices.find((device) => device.id === id) ?? [],
  )
  const chosen = choose(policy, devices, begun, room).map(({ id }) => id)
  const strangers = rest.filter((id) => !members.has(id))
  return [...must, ...chosen, ...strangers.slice(0, room - chosen.length)]
}

function choose(
  policy: PreferredAllocation,
  devices: readonly Device[],
  begun: readonly Device[],
  room: number,
): readonly Device[] {
  if (policy === 'spread') return spreadOver(pfOf, devices, begun, room)
  if (policy === 'numa') return pack([numaOf, pfOf], devices, begun, room)
  if (policy === 'packed') return pack([pfOf], devices, begun, room)
  const within = (group: readonly Device[], size: number) => pack([numaOf, pfOf], group, begun, size)
  return begun.length > 0 ? near(devices, begun, room, within) : together(devices, room, within)
}

/** By PF, then by index below the PF, then by id. */
function inPlace(left: Device, right: Device): number {
  const index = (left.pf?.index ?? -1) - (right.pf?.index ?? -1)
  return compareTexts(pfOf(left), pfOf(right)) || index || compareTexts(left.id, right.id)
}
