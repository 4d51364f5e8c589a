import type { AttachJournal } from '../../records/attach.ts'

/**
 * The name of a device that comes home while another interface has its own name: `vf0000011000` for 0000:01:10.0, and a name with the
 * interface's number for a device that is no PCI function. 15 characters at most (IFNAMSIZ - 1).
 */
export function spareName({ pci, ifindex }: AttachJournal['device']): string {
  return pci === undefined ? `vf-if${ifindex ?? 0}` : `vf${pci.replaceAll(/[:.]/g, '')}`
}

/** {@link spareName} and nine names like it, for a host that has an interface of that name too. */
export function spareNames(device: AttachJournal['device']): readonly string[] {
  const name = spareName(device)
  return [name, ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((number) => `${name.slice(0, 13)}-${number}`)]
}
