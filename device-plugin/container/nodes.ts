/** Device files of one member of a pool: which ones the container gets. Pure, but for the question whether a file exists. */
import type { Rdma, Vfio } from '../inventory/snapshot.ts'
import type { Member } from '../pools/pool.ts'
import type { DeviceNode } from './access.ts'
import { NotReady } from './not-ready.ts'

/** A device file by its path on the node, `/dev/...`: true where it exists. */
export type Exists = (path: string) => boolean

/** The file of all containers of VFIO. */
export const vfioContainer = '/dev/vfio/vfio'
/** The file of the host's half of virtio-net. */
export const vhostNet = '/dev/vhost-net'
/** The file that makes tap interfaces. */
export const tun = '/dev/net/tun'
const iommufd = '/dev/iommu'

/**
 * The files for a member, each path once, in a fixed order: VFIO, UIO, vDPA, RDMA, vhost-net. None for a network driver.
 *
 * - VFIO: the container file and the group's file. A group without an IOMMU has `/dev/vfio/noiommu-N` on the node, and `/dev/vfio/N` in
 *   the container. `/dev/vfio/devices/vfioN` and `/dev/iommu` follow where both exist (Linux 6.6, CONFIG_VFIO_DEVICE_CDEV).
 * - UIO: `/dev/uioN`.
 * - `vdpaType: vhost`: `/dev/vhost-vdpa-N`. `isRdma` without `vdpaType`: the files of the RDMA device, and of its connection manager.
 * - `needVhostNet`: `/dev/vhost-net` and `/dev/net/tun`.
 *
 * @throws NotReady where the selector asks for an RDMA or vDPA device that the member does not have now
 */
export function nodesOf(member: Member, exists: Exists): readonly DeviceNode[] {
  const { device, selector } = member
  const rdma = rdmaOf(member)
  return unique([
    ...(device.vfio === undefined ? [] : vfioNodes(device.vfio, exists)),
    ...optional(uioPath(member)),
    ...optional(vdpaPath(member)),
    ...(rdma === undefined ? [] : rdmaPaths(rdma).map((path) => node(path))),
    ...(selector.needVhostNet === true ? [node(vhostNet), node(tun)] : []),
  ])
}

/**
 * Makes sure that all files exist.
 * @throws NotReady that names the first one that is missing
 */
export function requireNodes(device: string, nodes: readonly DeviceNode[], exists: Exists): void {
  const missing = nodes.find(({ hostPath }) => !exists(hostPath))
  if (missing !== undefined) throw new NotReady(device, `the node has no ${missing.hostPath}`)
}

/** The path of the UIO file; undefined for a device that no UIO driver has. */
export function uioPath({ device: { uio } }: Member): string | undefined {
  return uio === undefined ? undefined : `/dev/${uio}`
}

/**
 * The RDMA device that the selector asks for; undefined when it asks for none.
 * @throws NotReady when there is none here: it can be in the namespace of a pod, where only its driver tells that it exists
 */
export function rdmaOf({ device, selector }: Member): Rdma | undefined {
  if (selector.isRdma !== true || selector.vdpaType !== undefined) return undefined
  if ((device.rdma?.device ?? '') === '')
    throw new NotReady(device.id, 'its RDMA device is not on the node now')
  return device.rdma
}

/**
 * The path of the vhost-vdpa file; undefined when the selector asks for none.
 * @throws NotReady when the device has no vDPA device of the type that is asked for
 */
export function vdpaPath({ device, selector: { vdpaType } }: Member): string | undefined {
  if (vdpaType === undefined) return undefined
  const { vdpa } = device
  if (vdpa === undefined || vdpa.type !== vdpaType)
    throw new NotReady(device.id, `it has no vDPA device of type ${vdpaType} now`)
  if (vdpaType === 'vhost' && vdpa.path === undefined)
    throw new NotReady(device.id, `its vDPA device "${vdpa.name}" has no file`)
  return vdpaType === 'vhost' ? vdpa.path : undefined
}

/** The paths of the files of an RDMA device, in the order in which the container gets them. */
export function rdmaPaths({ files, connectionManager }: Rdma): readonly string[] {
  const names = [files.ucm, files.issm, files.umad, files.uverbs, connectionManager ? 'rdma_cm' : undefined]
  return names.flatMap((name) => (name === undefined ? [] : [`/dev/infiniband/${name}`]))
}

function vfioNodes({ group, noIommu, cdev }: Vfio, exists: Exists): DeviceNode[] {
  const own = cdev === undefined ? [] : [`/dev/vfio/devices/${cdev}`, iommufd]
  const byDevice = own.length > 0 && own.every(exists) ? own.map((path) => node(path)) : []
  // A kernel without groups (no CONFIG_VFIO_GROUP) has no container file either.
  if (group === undefined && byDevice.length > 0) return byDevice
  const container = `/dev/vfio/${group ?? ''}`
  const groupNode = node(noIommu ? `/dev/vfio/noiommu-${group}` : container, container)
  return [node(vfioContainer), ...(group === undefined ? [] : [groupNode]), ...byDevice]
}

function optional(path: string | undefined): DeviceNode[] {
  return path === undefined ? [] : [node(path)]
}

function node(hostPath: string, containerPath = hostPath): DeviceNode {
  return { hostPath, containerPath, permissions: 'rw' }
}

/** Each path of the node once: members of one IOMMU group share its file. */
export function unique(nodes: readonly DeviceNode[]): readonly DeviceNode[] {
  return nodes.filter(({ hostPath }, index) => nodes.findIndex((one) => one.hostPath === hostPath) === index)
}
