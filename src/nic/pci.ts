/**
 * Facts of sysfs about PCI functions and devices like them: VFs, their PF, driver and network interfaces. In: an address, a name
 * or a path; out: plain facts. Reads files only, no netlink; the folder is a parameter so that tests can lay out their own.
 */
import { type PciAddress, parsePciAddress, routingId } from '../lib/pci-address.ts'
import { inodeOf, linkName, listFolder, readText, realPath } from '../sys/files.ts'

/** The folder of all PCI functions. */
export const pciDevices = '/sys/bus/pci/devices'
/** The folder of all auxiliary devices, subfunctions of a NIC among them. */
export const auxDevices = '/sys/bus/auxiliary/devices'

/** The known drivers that hand a function to a program in user space. */
const userspaceDrivers: ReadonlySet<string> = new Set(['vfio-pci', 'uio_pci_generic', 'igb_uio'])

/**
 * One PCI function. `netdevs` has only the interfaces visible in this process's namespace. `parents` has the names that an
 * interface of the function may give for its parent device (IFLA_PARENT_DEV_NAME): the address and, for virtio, `virtio<N>`.
 */
export interface PciFunction {
  readonly address: PciAddress
  readonly driver: string | undefined
  /** The driver hands the function to a program in user space: the function has no network interface. */
  readonly userspace: boolean
  readonly netdevs: readonly string[]
  readonly parents: readonly string[]
  /** Set when the function is a VF. */
  readonly vf: VfPosition | undefined
  /** Set when the function has an RDMA device. Programs open its files by number (`/dev/infiniband/uverbsN`). */
  readonly rdma?: true
  /** Set when the function can have VFs: how many it has now. */
  readonly sriovNumvfs?: number
}

/** The position of a VF: its PF, and its index below the PF (the N of `virtfnN` and of `ip link set PF vf N`). */
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
 * True for a function of any vfio driver (`vfio-dev`, Linux 6.1) and of a UIO driver. A network driver may offer UIO beside its
 * interface (bnx2x does for iSCSI): such a folder has `net`, even while the interface is in a pod.
 */
function isHandedOut(entries: readonly string[]): boolean {
  return entries.includes('vfio-dev') || (entries.includes('uio') && !entries.includes('net'))
}

/**
 * The interfaces of a function that are in this process's namespace; `parents` as in PciFunction. Reads one folder for each
 * parent, and nothing else of the function.
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

/** The RDMA devices of a function that are in this process's namespace, such as `mlx5_3`. Reads one folder. */
export function rdmaDevicesOf(address: PciAddress, folder = pciDevices): readonly string[] {
  return listFolder(`${folder}/${address}/infiniband`)
}

/** True when the vDPA device `name` belongs to a function. Follows one link. */
export function isVdpaOf(name: string, address: PciAddress, folder = '/sys/bus/vdpa/devices'): boolean {
  if (name === '' || name.startsWith('.') || name.includes('/')) return false
  return realPath(`${folder}/${name}`)?.split('/').includes(address) === true
}

/** The driver of a function; undefined when the function has none, or is gone. Costs one readlink(2). */
export function driverOf(address: PciAddress, folder = pciDevices): string | undefined {
  return linkName(`${folder}/${address}/driver`)
}

/**
 * A mark that changes each time the driver of a function starts: the inode of the folder of its interfaces. The mark stays while
 * the interfaces are in other namespaces. Undefined for a function without such a folder.
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
 * The device `name` of the auxiliary bus, like `mlx5_core.sf.2`; undefined when there is none, or when the text is no device
 * name (MODULE.DEVICE.ID, Documentation/driver-api/auxiliary_bus.rst).
 */
export function readAuxDevice(name: string, folder = auxDevices): AuxDevice | undefined {
  if (!/^[\w-]+\.[\w-]+\.\d+$/.test(name) || listFolder(`${folder}/${name}`).length === 0) return undefined
  return { name, netdevs: listFolder(`${folder}/${name}/net`) }
}

/**
 * The interfaces of the device at `path`, a folder below /sys/devices with a `net`; none for any other path.
 * Follows symbolic links and `..`, but never out of /sys/devices.
 */
export function deviceOfKernelPath(path: string, top = '/sys/devices'): readonly string[] {
  if (!path.startsWith(`${top}/`)) return []
  const device = realPath(path)
  return device?.startsWith(`${top}/`) === true ? listFolder(`${device}/net`) : []
}

/** The network function whose folder is `path`, below `/sys/devices`; undefined for any other path. */
export function pciOfKernelPath(path: string, top = '/sys/devices'): PciAddress | undefined {
  if (!path.startsWith(`${top}/`)) return undefined
  const device = realPath(path)
  if (device?.startsWith(`${top}/`) !== true) return undefined
  const address = parsePciAddress(device.slice(device.lastIndexOf('/') + 1))
  // A bridge on the way to the function has an address too, but another class.
  return address === undefined || readText(`${device}/class`)?.startsWith('0x02') !== true
    ? undefined
    : address
}

/**
 * The interfaces of a PF that lead to wires, by the numbers of their ports. A PF has one as a rule; with nfp, all ports of a card belong
 * to one PF (nfp_flower_spawn_phy_reprs() of netronome/nfp/flower/main.c). A switchdev PF lists its representors in `net` too (mlx5,
 * ice). A port has the phys_port_name `p<N>`, or `p<N>s<M>` where it is split (devlink_port_phys_port_name_get, net/devlink/port.c).
 * The only interface of a PF needs no such name.
 */
export function portsOf(pf: PciAddress, folder = pciDevices): readonly string[] {
  const names = listFolder(`${folder}/${pf}/net`)
  if (names.length <= 1) return names
  const all = names.map((name) => ({ name, physPortName: physPortName(`${folder}/${pf}/net/${name}`) }))
  return wirePortsAmong(all).map(({ name }) => name)
}

/** The interfaces that have the name of a port, as {@link portsOf} says it, by the numbers of the ports. */
export function wirePortsAmong<T extends { readonly physPortName: string | undefined }>(
  interfaces: readonly T[],
): readonly T[] {
  return interfaces
    .flatMap((one) => {
      const port = isPortName.exec(one.physPortName ?? '')
      return port === null ? [] : [{ one, number: Number(port[1]), part: Number(port[2] ?? 0) }]
    })
    .sort((left, right) => left.number - right.number || left.part - right.part)
    .map(({ one }) => one)
}

const isPortName = /^p(\d+)(?:s(\d+))?$/

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

/** Computes the index from the SR-IOV capability's offset and stride, in one look instead of up to 255; the link proves it. */
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
