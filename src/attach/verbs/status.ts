import { requireAnswers } from '../../cni/ready.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import type { PciAddress } from '../../lib/pci-address.ts'
import { portsOf, readPciFunction } from '../../nic/pci.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { probeFolder, type RecordStore } from '../../records/store.ts'
import type { AttachConfig } from '../config/config.ts'
import { selectDevice, vfsBelow } from '../device/select.ts'

/**
 * The part of STATUS that IPAM has no part in: netlink answers, records can be written, and the config, which `read` reads, is one that an
 * ADD would take, with a device or PF that exists. A PF that is down or has no carrier is a notice: an ADD succeeds.
 * @throws CniError 50 with the reason when every ADD of this config would fail (CNI specification 1.1.0, "STATUS")
 */
export function requireReady(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  read: () => Pick<AttachConfig, 'selectors' | 'pf' | 'vf' | 'rate'>,
): void {
  requireAnswers(machine, store, (kernel) => {
    const config = read()
    const pf = pfOf(kernel, store, config)
    // ADD changes settings of a PF under a lock that lies here.
    if (pf !== undefined && (config.rate !== undefined || Object.keys(config.vf).length > 0))
      probeFolder(machine.sharedDir)
    if (pf !== undefined) noteLink(kernel, pf)
  })
}

/** The PF that the config depends on; throws for a device that is not there. */
function pfOf(
  kernel: Kernel,
  store: RecordStore<AttachJournal>,
  { selectors, pf }: Pick<AttachConfig, 'selectors' | 'pf'>,
): PciAddress | undefined {
  if (pf !== undefined) {
    const [vf] = vfsBelow(kernel, pf)
    return vf === undefined ? undefined : readPciFunction(vf)?.vf?.pf
  }
  return selectors.length === 0 ? undefined : selectDevice({ kernel, store }, selectors).pci?.vf?.pf
}

function noteLink(kernel: Kernel, pf: PciAddress): void {
  const links = portsOf(pf).map((name) => kernel.link('host', name))
  // One port that leads to a wire will do: nobody knows which one the network is on.
  if (links.length === 0 || links.some((link) => link === undefined || (link.up && link.carrier))) return
  const words = links.map((link) => `"${link?.name}" ${link?.up === true ? 'has no carrier' : 'is down'}`)
  notice(`vf-attach: PF ${words.join(', ')}: its VFs reach nobody`)
}
