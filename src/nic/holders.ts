/**
 * Finds the program that has a PCI function open while a user space driver holds that function. In: the function; out: the sign
 * and the process. Reads files only; the folders are a parameter, so that tests can lay out their own.
 */
import { isBusy } from '../sys/device-node.ts'
import { linkName, listFolder, readText } from '../sys/files.ts'
import { type Process, processWith } from '../sys/processes.ts'
import { type PciFunction, pciDevices } from './pci.ts'

/** The folders to read. */
export interface Places {
  readonly devices: string
  readonly nodes: string
  readonly proc: string
}

const here: Places = { devices: pciDevices, nodes: '/dev', proc: '/proc' }

/** A function that is open. */
export interface Holding {
  /** The sign that the function is open, in words. */
  readonly sign: string
  /** Undefined when no visible process of this PID namespace has the function open. */
  readonly process: Process | undefined
}

/**
 * The program that has `pci` open; undefined when there is none, or when no user space driver holds the function.
 *
 * vfio: the kernel enables the function while its device is open and disables it when the last descriptor is closed, however the
 * program ends. `enable` counts that (vfio_pci_core_enable of drivers/vfio/pci/vfio_pci_core.c). A program that has only the
 * group open can open the device at any time. A group can be open once (vfio_group_fops_open of drivers/vfio/group.c), so opening
 * it tells. Both checks are cheap: the descriptors of processes are read only after one of them finds the function open.
 * Any number of programs may have `/dev/vfio/devices/vfioN` open before one binds it to an IOMMU (Linux 6.6,
 * CONFIG_VFIO_DEVICE_CDEV): where that file exists, descriptors are read in every case.
 *
 * UIO: the driver keeps the function enabled, and any number of programs may open it. So all descriptors and all mapped files of
 * the machine are read. Those of the function's BARs count too, because they need no UIO.
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
