import { CniError, code } from '../cni/error.ts'
import { requireAnswers } from '../cni/ready.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Machine } from '../kernel/machine.ts'
import { type PciAddress, parsePciAddress } from '../lib/pci-address.ts'
import { readPciFunction, uplinkOf } from '../nic/pci.ts'
import type { RecordStore } from '../ops/record-store.ts'
import type { AttachConfig } from './config.ts'
import type { AttachJournal } from './record.ts'
import { pciDevice, vfsBelow } from './select.ts'

/**
 * STATUS as far as it is ours: netlink answers, records can be written, the device or PF that the config names exists.
 * @throws CniError 50 with the reason when an ADD would fail, 51 when it would not but the PF is down or has no
 *   carrier, so that running pods reach nobody either (CNI specification 1.1.0, "STATUS")
 */
export function requireReady(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  wanted: Pick<AttachConfig, 'selectors' | 'pf'>,
): void {
  requireAnswers(machine, store, (kernel) => {
    for (const pf of pfsOf(kernel, wanted)) requireLink(kernel, pf)
  })
}

/** The PFs that the config depends on; throws for a device that is not there. */
function pfsOf(kernel: Kernel, { selectors, pf }: Pick<AttachConfig, 'selectors' | 'pf'>): PciAddress[] {
  if (pf !== undefined) {
    const [vf] = vfsBelow(kernel, pf)
    return pfOf(vf)
  }
  return selectors.flatMap((selector) => {
    if (selector.by !== 'pci') return []
    return pfOf(pciDevice(selector.address, selector.key).id)
  })
}

function pfOf(vf: string | undefined): PciAddress[] {
  const address = vf === undefined ? undefined : parsePciAddress(vf)
  const pf = address === undefined ? undefined : readPciFunction(address)?.vf?.pf
  return pf === undefined ? [] : [pf]
}

function requireLink(kernel: Kernel, pf: PciAddress): void {
  const name = uplinkOf(pf)
  const link = name === undefined ? undefined : kernel.link('host', name)
  if (link === undefined || (link.up && link.carrier)) return
  const words = link.up ? 'has no carrier' : 'is down'
  throw new CniError(code.limitedConnectivity, `PF "${link.name}" ${words}: its VFs reach nobody`)
}
