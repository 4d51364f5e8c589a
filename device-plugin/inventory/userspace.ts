/** What sysfs tells about a function on a driver for programs in user space: vfio and UIO. */
import { linkName, listFolder, readText } from '../../src/sys/files.ts'
import type { PciFacts } from './functions.ts'
import type { Vfio } from './snapshot.ts'

/** Driver names of vfio that have no `vfio-dev` folder before Linux 6.1. */
const vfioDrivers: ReadonlySet<string> = new Set(['vfio-pci'])

/** The files of a function on a vfio driver; undefined for other drivers. */
export function vfioOf({ driver, entries, folder }: PciFacts): Vfio | undefined {
  const hasFile = entries.includes('vfio-dev')
  if (!hasFile && !vfioDrivers.has(driver ?? '')) return undefined
  const group = entries.includes('iommu_group') ? linkName(`${folder}/iommu_group`) : undefined
  return {
    group: group === undefined ? undefined : Number(group),
    // The kernel's own name for it (vfio_noiommu_group_alloc, drivers/vfio/group.c).
    noIommu: group !== undefined && readText(`${folder}/iommu_group/name`) === 'vfio-noiommu',
    cdev: hasFile ? listFolder(`${folder}/vfio-dev`)[0] : undefined,
  }
}

/**
 * The UIO file of a function; undefined for other drivers. A network driver may offer UIO beside its interface (bnx2x does for
 * iSCSI): such a folder has `net`, even while the interface is in a pod.
 */
export function uioOf({ entries, folder }: PciFacts): string | undefined {
  if (!entries.includes('uio') || entries.includes('net')) return undefined
  return listFolder(`${folder}/uio`)[0]
}

/**
 * True while a program has the function open by vfio: the kernel enables the function with the first descriptor and disables it
 * with the last (vfio_pci_core_enable). UIO drivers keep the function enabled, so nothing cheap tells.
 */
export function isEnabled({ folder }: PciFacts): boolean {
  return Number(readText(`${folder}/enable`) ?? 0) > 0
}
