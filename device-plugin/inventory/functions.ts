/** PCI functions of the classes network and accelerator, as sysfs has them. Reads few files for each, because nodes have a thousand. */
import { type PciAddress, parsePciAddress } from '../../src/lib/pci-address.ts'
import { linkName, linkTarget, listFolder, readText } from '../../src/sys/files.ts'
import type { Device, DeviceType } from './snapshot.ts'
import type { Unanswered } from './unanswered.ts'

/** The facts of a function that stand in the device as they are. */
type Own =
  | 'type'
  | 'vendor'
  | 'product'
  | 'pciClass'
  | 'driver'
  | 'numaNode'
  | 'acpiIndex'
  | 'pciPath'
  | 'sriov'

/** A PCI function. */
export interface PciFacts extends Pick<Device, Own> {
  readonly address: PciAddress
  /** Its folder, by way of `bus/pci/devices`. */
  readonly folder: string
  /** Names in the folder. */
  readonly entries: readonly string[]
}

/** PCI base classes (Code and ID Assignment Specification 1.4, 1.3 and 1.19), with the type of their devices. */
const types: Readonly<Record<string, DeviceType>> = { '02': 'netDevice', '12': 'accelerator' }

/** All functions of the two classes, by address. A function that vanishes meanwhile is left out. */
export function readFunctions(sys: string, unanswered: Unanswered): PciFacts[] {
  const top = `${sys}/bus/pci/devices`
  return listFolder(top).flatMap((name) => {
    const address = parsePciAddress(name)
    if (address === undefined) return []
    return unanswered.ask(address, () => readFunction(address, `${top}/${name}`), undefined) ?? []
  })
}

function readFunction(address: PciAddress, folder: string): PciFacts | undefined {
  const id = identityOf(folder)
  const type = types[id.pciClass.slice(0, 2)]
  if (type === undefined) return undefined
  const entries = listFolder(folder)
  const has = (name: string) => entries.includes(name)
  const numa = Number(readText(`${folder}/numa_node`) ?? -1)
  return {
    ...{ address, type, folder, entries, ...id },
    numaNode: numa >= 0 ? numa : undefined,
    acpiIndex: has('acpi_index') ? readText(`${folder}/acpi_index`)?.trim() : undefined,
    pciPath: addressesIn(linkTarget(folder) ?? ''),
    sriov: has('sriov_totalvfs')
      ? { total: numberIn(`${folder}/sriov_totalvfs`), now: numberIn(`${folder}/sriov_numvfs`) }
      : undefined,
  }
}

/** Class, ids and driver stand together in `uevent` (pci_uevent, drivers/pci/pci-driver.c): one file instead of four. */
function identityOf(folder: string): Pick<PciFacts, 'pciClass' | 'vendor' | 'product' | 'driver'> {
  let [pciClass, vendor, product] = ['', '', '']
  let driver: string | undefined
  for (const line of (readText(`${folder}/uevent`) ?? '').split('\n')) {
    if (line.startsWith('DRIVER=')) driver = line.slice(7)
    else if (line.startsWith('PCI_CLASS=')) pciClass = line.slice(10).toLowerCase().padStart(6, '0')
    else if (line.startsWith('PCI_ID=')) [vendor = '', product = ''] = line.slice(7).toLowerCase().split(':')
  }
  return { pciClass, vendor, product, driver }
}

/** PCI addresses among the components of a path, in its order. */
export function addressesIn(path: string): PciAddress[] {
  // Most components are no addresses, which the first look tells at once.
  return path.split('/').flatMap((part) => (part.includes('.') ? (parsePciAddress(part) ?? []) : []))
}

function numberIn(path: string): number {
  return Number(readText(path) ?? 0)
}

/** The VFs of a PF, by address, with their indexes: the links `virtfnN` of its folder. */
export function vfsOf(pf: PciFacts): ReadonlyMap<PciAddress, number> {
  const vfs = new Map<PciAddress, number>()
  for (const name of pf.entries) {
    if (!name.startsWith('virtfn')) continue
    const address = parsePciAddress(linkName(`${pf.folder}/${name}`) ?? '')
    if (address !== undefined) vfs.set(address, Number(name.slice('virtfn'.length)))
  }
  return vfs
}
