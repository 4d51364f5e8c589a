/** Ids of devices, told from those of other plugins. */
import { parsePciAddress } from '../../src/lib/pci-address.ts'

/** True for an id that a device of an inventory can have: a PCI address, or the name of a subfunction on the auxiliary bus. */
export function isDeviceId(id: string): boolean {
  return parsePciAddress(id) !== undefined || /^\w+\.sf\.\d+$/.test(id)
}
