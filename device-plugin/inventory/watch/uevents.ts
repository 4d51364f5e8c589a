/**
 * Uevents that could change the inventory. On a busy node most uevents are of pods' interfaces and their queues: these cause no scan.
 */
import type { Uevent } from '../../../src/netlink/uevent.ts'
import type { Change, ChangeKind } from './change.ts'

/** Kinds by subsystem; other subsystems are not looked at. */
const kinds: ReadonlyMap<string, ChangeKind> = new Map(
  Object.entries({
    pci: 'pci',
    net: 'net',
    auxiliary: 'auxiliary',
    vdpa: 'vdpa',
    infiniband: 'infiniband',
    infiniband_verbs: 'infiniband',
    infiniband_mad: 'infiniband',
    infiniband_cm: 'infiniband',
    uio: 'uio',
    vfio: 'vfio',
    'vfio-dev': 'vfio',
    drivers: 'driver',
  } as const),
)

/** Base classes of PCI functions in the inventory: network, accelerator. */
const pciClasses: readonly number[] = [0x02, 0x12]

/**
 * The change that a uevent tells of; undefined when the inventory can't show it:
 * - a subsystem that is not in the table;
 * - an interface without a device (`/devices/virtual/`): veth, bridge, bond, VLAN. Links and addresses tell of those that matter. The
 *   socket's filter drops these;
 * - a PCI function that is neither network nor accelerator, by PCI_CLASS; a uevent without PCI_CLASS counts;
 * - a driver of another bus than pci, auxiliary and vdpa.
 */
export function changeOfUevent(event: Uevent): Change | undefined {
  const kind = kinds.get(event.get('SUBSYSTEM') ?? '')
  if (kind === undefined) return undefined
  if (kind === 'net' && event.path.startsWith('/devices/virtual/')) return undefined
  if (kind === 'pci' && !isOfClass(event.get('PCI_CLASS'))) return undefined
  if (kind === 'driver' && !/^\/bus\/(pci|auxiliary|vdpa)\//.test(event.path)) return undefined
  return { kind, subject: `${event.action} ${event.path.slice(event.path.lastIndexOf('/') + 1)}` }
}

/** PCI_CLASS is base class, subclass and interface in hexadecimal digits, without leading zeros: `20000`. */
function isOfClass(text: string | undefined): boolean {
  return text === undefined || pciClasses.includes(Number.parseInt(text, 16) >> 16)
}
