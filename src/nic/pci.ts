/**
 * What sysfs says about PCI functions and devices like them: which are VFs, of which PF, with which driver and network
 * interfaces. In: an address, a name or a path; out: plain facts. Knows files only, no netlink; the folder is a parameter
 * so that tests can lay out their own.
 */
import { type PciAddress, parsePciAddress, routingId } from '../lib/pci-address.ts'
import { inodeOf, linkName, listFolder, readText, realPath } from '../sys/files.ts'

/** Where PCI functions are listed. */
export const pciDevices = '/sys/bus/pci/devices'
/** Where auxiliary devices are listed: subfunctions of a NIC among others. */
export const auxDevices = '/sys/bus/auxiliary/devices'

/** Drivers that hand a function to a program in user space, as far as they are known by name. */
const userspaceDrivers: ReadonlySet<string> = new Set(['vfio-pci', 'uio_pci_generic', 'igb_uio'])

/**
 * One PCI function. `netdevs` are the interfaces visible in this process's namespace only; `parents` the names that an
 * interface of it may give for its parent device (IFLA_PARENT_DEV_NAME): its address and, for virtio, `virtio<N>`.
 */
export interface PciFunction {
  readonly address: PciAddress
  readonly driver: string | undefined
  /** Its driver hands it to a program in user space: it has no network interface. */
  readonly userspace: boolean
  readonly netdevs: readonly string[]
  readonly parents: readonly string[]
  /** Set when the function is a VF. */
  readonly vf: VfPosition | undefined
  /** Set when the function has an RDMA device, whose files programs open by their numbers (`/dev/infiniband/uverbsN`). */
  readonly rdma?: true
  /** Set when the function can have VFs: how many it has now. */
  readonly sriovNumvfs?: number
}

/** Where a VF sits: its PF and its index below it (the N of `virtfnN` and of `ip link set PF vf N`). */
export interface VfPosition {
  readonly pf: PciAddress
  readonly index: number
}

/** A device of the auxiliary bus; `netdevs` as in PciFunction. */
export interface AuxDevice {
  readonly name: string
  readonly netdevs: readonly string[]
}

/** Facts about the function at `address`; undefined when no such function exists. */
export function readPciFunction(address: PciAddress, folder = pciDevices): PciFunction | undefined {
  const path = `${folder}/${address}`
  const entries = listFolder(path)
  if (entries.length === 0) return undefined
  const virtios = entries.filter((name) => /^virtio\d+$/.test(name))
  const driver = entries.includes('driver') ? linkName(`${path}/driver`) : undefined
  return {
    address,
    driver,
    userspace: driver !== undefined && (userspaceDrivers.has(driver) || isHandedOut(entries)),
    netdevs: [path, ...virtios.map((child) => `${path}/${child}`)].flatMap((parent) =>
      listFolder(`${parent}/net`),
    ),
    parents: [address, ...virtios],
    vf: entries.includes('physfn') ? vfPosition(address, folder) : undefined,
    ...(entries.includes('infiniband') || entries.includes('infiniband_verbs') ? { rdma: true } : {}),
    ...(entries.includes('sriov_numvfs')
      ? { sriovNumvfs: Number(readText(`${path}/sriov_numvfs`) ?? 0) }
      : {}),
  }
}

/**
 * True for a function of whatever vfio driver (`vfio-dev`, Linux 6.1), and of a UIO driver. A network driver may offer UIO
 * beside its interface (bnx2x does for iSCSI): `net` stays in such a folder, also while the interface is in a pod.
 */
function isHandedOut(entries: readonly string[]): boolean {
  return entries.includes('vfio-dev') || (entries.includes('uio') && !entries.includes('net'))
}

/**
 * Interfaces of a function that this process's namespace has; `parents` as in PciFunction. A folder is read for each, and nothing
 * else of the function.
 */
export function netdevsOf(
  address: string,
  parents: readonly string[],
  folder = pciDevices,
): readonly string[] {
  return parents.flatMap((parent) =>
    listFolder(`${folder}/${address}${parent === address ? '' : `/${parent}`}/net`),
  )
}

/** The driver that a function is bound to; undefined when it has none, or is gone. One readlink(2). */
export function driverOf(address: PciAddress, folder = pciDevices): string | undefined {
  return linkName(`${folder}/${address}/driver`)
}

/**
 * What is another one each time that the driver of a function begins: the number of the folder of its interfaces, which stays while
 * they are in other namespaces. Undefined for a function that has none of its own.
 */
export function startOf(address: PciAddress, folder = pciDevices): string | undefined {
  return inodeOf(`${folder}/${address}/net`)
}

/** The VFs of a PF, by index. */
export function vfsOf(
  pf: PciAddress,
  folder = pciDevices,
): readonly { readonly index: number; readonly address: PciAddress }[] {
  return listFolder(`${folder}/${pf}`)
    .flatMap((name) => {
      const index = /^virtfn(\d+)$/.exec(name)?.[1]
      const address = index === undefined ? undefined : linkName(`${folder}/${pf}/${name}`)
      const parsed = parsePciAddress(address ?? '')
      return parsed === undefined ? [] : [{ index: Number(index), address: parsed }]
    })
    .sort((left, right) => left.index - right.index)
}

/** The functions that have VFs now, by address. */
export function pfsWithVfs(folder = pciDevices): readonly PciAddress[] {
  return listFolder(folder).flatMap((name) => {
    const address = parsePciAddress(name)
    const count = Number(readText(`${folder}/${name}/sriov_numvfs`) ?? 0)
    return address === undefined || count === 0 ? [] : [address]
  })
}

/**
 * The device `name` of the auxiliary bus, as `mlx5_core.sf.2`; undefined when there is none, and for what is no name
 * (MODULE.DEVICE.ID, Documentation/driver-api/auxiliary_bus.rst).
 */
export function readAuxDevice(name: string, folder = auxDevices): AuxDevice | undefined {
  if (!/^[\w-]+\.[\w-]+\.\d+$/.test(name) || listFolder(`${folder}/${name}`).length === 0) return undefined
  return { name, netdevs: listFolder(`${folder}/${name}/net`) }
}

/**
 * The interfaces of the device at `path`, a folder below /sys/devices that has a `net`; none for any other path.
 * Symbolic links and `..` are followed, but never out of there.
 */
export function deviceOfKernelPath(path: string, top = '/sys/devices'): readonly string[] {
  if (!path.startsWith(`${top}/`)) return []
  const device = realPath(path)
  return device?.startsWith(`${top}/`) === true ? listFolder(`${device}/net`) : []
}

/** The PCI function that a path below `/sys/devices` is the folder of; undefined when it is none. */
export function pciOfKernelPath(path: string, top = '/sys/devices'): PciAddress | undefined {
  if (!path.startsWith(`${top}/`)) return undefined
  const device = realPath(path)
  if (device?.startsWith(`${top}/`) !== true) return undefined
  const address = parsePciAddress(device.slice(device.lastIndexOf('/') + 1))
  // A bridge on the way to it has an address too.
  return address === undefined || readText(`${device}/class`)?.startsWith('0x02') !== true
    ? undefined
    : address
}

/**
 * The interface of a PF that leads to the wire. A switchdev PF lists its representors in `net` too (mlx5, ice): the
 * uplink is the one whose phys_port_name is `p<N>`. Undefined when there is none or the choice would be a guess.
 */
export function uplinkOf(pf: PciAddress, folder = pciDevices): string | undefined {
  const names = listFolder(`${folder}/${pf}/net`)
  if (names.length <= 1) return names[0]
  const uplinks = names.filter((name) => /^p\d+$/.test(physPortName(`${folder}/${pf}/net/${name}`) ?? ''))
  return uplinks.length === 1 ? uplinks[0] : undefined
}

/** The PCI function behind a network interface of this namespace; undefined for software interfaces. */
export function pciAddressOf(netdev: string, folder = '/sys/class/net'): PciAddress | undefined {
  const name = linkName(`${folder}/${netdev}/device`)
  return name === undefined ? undefined : parsePciAddress(name)
}

function vfPosition(address: PciAddress, folder: string): VfPosition | undefined {
  const pf = parsePciAddress(linkName(`${folder}/${address}/physfn`) ?? '')
  if (pf === undefined) return undefined
  const index = computedIndex(address, pf, folder) ?? searchedIndex(address, pf, folder)
  return index === undefined ? undefined : { pf, index }
}

/** The index from the SR-IOV capability's offset and stride (one look instead of up to 255), proven by the link. */
function computedIndex(address: PciAddress, pf: PciAddress, folder: string): number | undefined {
  const offset = Number(readText(`${folder}/${pf}/sriov_offset`))
  const stride = Number(readText(`${folder}/${pf}/sriov_stride`))
  if (!(offset >= 1) || !(stride >= 1)) return undefined
  const index = (routingId(address) - routingId(pf) - offset) / stride
  if (!Number.isInteger(index) || index < 0) return undefined
  return linkName(`${folder}/${pf}/virtfn${index}`) === address ? index : undefined
}

function searchedIndex(address: PciAddress, pf: PciAddress, folder: string): number | undefined {
  const link = listFolder(`${folder}/${pf}`).find(
    (name) => name.startsWith('virtfn') && linkName(`${folder}/${pf}/${name}`) === address,
  )
  return link === undefined ? undefined : Number(link.slice('virtfn'.length))
}

function physPortName(path: string): string | undefined {
  try {
    return readText(`${path}/phys_port_name`)
  } catch {
    return undefined // EOPNOTSUPP: the driver has no port names
  }
}
