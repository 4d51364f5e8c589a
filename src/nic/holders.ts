/**
 * Whether a program has a PCI function open that a user space driver holds, and which one. In: the function; out: how it is
 * known, and the process. Knows files only; where they lie is a parameter, so that tests can lay out their own.
 */
import { isBusy } from '../sys/device-node.ts'
import { linkName, listFolder, readText } from '../sys/files.ts'
import { type Process, processWith } from '../sys/processes.ts'
import { type PciFunction, pciDevices } from './pci.ts'

/** Folders to look in. */
export interface Places {
  readonly devices: string
  readonly nodes: string
  readonly proc: string
}

const here: Places = { devices: pciDevices, nodes: '/dev', proc: '/proc' }

/** A function that is open. */
export interface Holding {
  /** What shows it, in words. */
  readonly sign: string
  /** Undefined when no process of this PID namespace is seen to have it. */
  readonly process: Process | undefined
}

/**
 * Who has `pci` open; undefined when nobody has, or no user space driver holds it.
 *
 * vfio enables the function while its device is open and disables it when the last descriptor is closed, however the
 * program has ended: `enable` counts that (vfio_pci_core_enable of drivers/vfio/pci/vfio_pci_core.c). A program that has
 * only the group open can open the device at any time; a group can be open once (vfio_group_fops_open of
 * drivers/vfio/group.c), so a try tells. Neither reads what processes have open, unless one of them says that somebody has.
 * `/dev/vfio/devices/vfioN` (Linux 6.6, CONFIG_VFIO_DEVICE_CDEV) any number may have open before one binds it to an IOMMU: where
 * it is there, descriptors are looked at.
 *
 * A UIO driver has the function enabled always, and any number of programs may open it. So all descriptors and all mapped
 * files of the machine are looked at, those of the function's BARs too, which need no UIO.
 */
export function holdingOf(pci: PciFunction, places: Places = here): Holding | undefined {
  if (!pci.userspace) return undefined
  const folder = `${places.devices}/${pci.address}`
  const uio = listFolder(`${folder}/uio`)
  return uio.length > 0 ? uioHolding(pci, uio, places) : vfioHolding(folder, places)
}

function vfioHolding(folder: string, { nodes, proc }: Places): Holding | undefined {
  const group = linkName(`${folder}/iommu_group`)
  const groups = group === undefined ? [] : [`vfio/${group}`, `vfio/noiommu-${group}`]
  const devices = listFolder(`${folder}/vfio-dev`)
  const ends = [...groups, ...devices.map((name) => `vfio/devices/${name}`)].map((node) => `/${node}`)
  const holder = () => processWith((path) => ends.some((end) => path.endsWith(end)), { proc })

  const isEnabled = Number(readText(`${folder}/enable`) ?? 0) > 0
  if (isEnabled) return { sign: 'its device is enabled', process: holder() }
  const busy = groups.find((node) => isBusy(`${nodes}/${node}`))
  if (busy !== undefined) return { sign: `/dev/${busy} is busy`, process: holder() }
  const offered = listFolder(`${nodes}/vfio/devices`).find((name) => devices.includes(name))
  const process = offered === undefined ? undefined : holder()
  return process === undefined ? undefined : { sign: `/dev/vfio/devices/${offered} is open`, process }
}

function uioHolding({ address }: PciFunction, uio: readonly string[], { proc }: Places): Holding | undefined {
  const isMeant = (path: string) =>
    uio.some((name) => path.endsWith(`/${name}`)) || path.includes(`/${address}/resource`)
  const process = processWith(isMeant, { mapped: true, proc })
  return process === undefined
    ? undefined
    : { sign: `/dev/${uio.join(', ')} or a BAR of it is open`, process }
}
