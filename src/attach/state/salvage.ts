/** DEL of a device whose record is broken: the device comes home, under a name that nobody has. */

import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import { parsePciAddress } from '../../lib/pci-address.ts'
import { readPciFunction } from '../../nic/pci.ts'
import { openNetnsAt } from '../../ops/owner-netns.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { RecordName } from '../../records/store.ts'
import { spareName } from './spare-names.ts'

/**
 * Looks for the record's PCI function in the namespace at `netns` and has it restored with its permanent MAC. Its old
 * name and the attributes that its PF held are lost with the record, which stderr says. Other devices stay where they are.
 */
export function salvage(
  machine: Machine,
  name: RecordName,
  netns: string,
  restore: (kernel: Kernel, journal: AttachJournal) => void,
): void {
  const address = parsePciAddress(name.subject)
  const pci = address === undefined ? undefined : readPciFunction(address)
  // Without a namespace the kernel has brought the interface home, or will.
  const pod = pci === undefined ? undefined : openNetnsAt(machine, netns)
  if (pci === undefined || pod === undefined) return
  const kernel = machine.openKernel(pod)
  try {
    const link = kernel
      .links('pod')
      .find(({ parent }) => parent !== undefined && pci.parents.includes(parent))
    if (link === undefined) return
    const device = { id: pci.address, pci: pci.address, parents: [...pci.parents] }
    const mac = link.permanentMac ?? link.mac
    const home = { name: spareName(device), altnames: [], mac, mtu: link.mtu, up: false }
    notice(
      `vf-attach: "${pci.address}" comes home as "${home.name}"; what its PF holds for it is left as it is`,
    )
    restore(kernel, { device, original: { link: home } })
  } finally {
    kernel.close()
    pod.close()
  }
}
