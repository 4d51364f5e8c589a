/** Views of a service for the tests of metrics: a node with PFs, their VFs, and pools that share them. */
import type { Attachment } from '../../../device-plugin/allocations/attachment.ts'
import type { Holding } from '../../../device-plugin/allocations/holding.ts'
import type { Health } from '../../../device-plugin/health/health.ts'
import type { Device, Netdev, Pf, Snapshot } from '../../../device-plugin/inventory/snapshot.ts'
import type { View } from '../../../device-plugin/observe/view.ts'

const netdev = (name: string, ifindex: number): Netdev => ({
  ...{ name, ifindex, altnames: [], mac: '02:00:00:00:00:01', up: true, carrier: true },
})

/** Address of the PF at a place. */
export const pfAddress = (pf: number) => `0000:${(0x10 + pf).toString(16)}:00.0`
/** Address of a VF. */
export const vfAddress = (pf: number, vf: number) =>
  `0000:${(0x10 + pf).toString(16)}:${((vf >> 3) + 1).toString(16).padStart(2, '0')}.${vf & 7}`
/** Interface number of a PF's uplink, and of a VF's representor. */
export const uplinkIndex = (pf: number) => 10 + pf
export const representorIndex = (pf: number, vf: number) => 1_000 * (pf + 1) + vf

/** A node with `pfs` PFs in switchdev mode and `vfs` VFs each. */
export function snapshotOf(pfs: number, vfs: number): Snapshot {
  const all: [string, Pf][] = []
  const devices: Device[] = []
  for (let pf = 0; pf < pfs; pf++) {
    const address = pfAddress(pf)
    const uplink = netdev(`eth${pf}`, uplinkIndex(pf))
    all.push([
      address,
      {
        ...{ address, netdevs: [uplink], uplink, eswitchMode: 'switchdev', numVfs: vfs },
        ...{ trouble: undefined, hwTcOffload: true },
      },
    ])
    for (let vf = 0; vf < vfs; vf++) {
      devices.push({
        ...{
          id: vfAddress(pf, vf),
          type: 'netDevice',
          pci: vfAddress(pf, vf),
          vendor: '15b3',
          product: '101e',
        },
        ...{ pciClass: '020000', driver: 'mlx5_core', numaNode: pf % 2, acpiIndex: undefined, pciPath: [] },
        ...{ netdevs: [], pf: { address, index: vf }, sriov: undefined, linkType: 'ether' },
        ...{
          representor: netdev(`eth${pf}_${vf}`, representorIndex(pf, vf)),
          vf: undefined,
          vfio: undefined,
        },
        ...{ uio: undefined, isOpen: undefined, rdma: undefined, vdpa: undefined, aux: undefined },
        ...{ ddpProfile: undefined, hostUses: [] },
      })
    }
  }
  return { number: 1, takenAt: 1_700_000_000_000, duration: 12, devices, pfs: new Map(all), unanswered: [] }
}

const good: Health = { healthy: true, reasons: [] }

/** A view of that node with `pools` pools, all served. The devices of `held` are in pods. */
export function viewOf(snapshot: Snapshot, pools = 1, held: readonly string[] = []): View {
  const resources = Array.from({ length: pools }, (_, at) => `intel.com/pool${at}`)
  const holding = (device: string): Holding => ({
    ...{ resource: 'intel.com/pool0', device },
    ...{ pod: { namespace: 'default', name: `pod-${device}` }, container: 'app' },
  })
  const attachment = (device: string): Attachment => ({
    ...{ device, containerID: `c-${device}`, ifname: 'net1', network: 'n' },
    ...{ alive: true, pendingClose: false, pod: undefined },
  })
  return {
    snapshot,
    pools: resources.map((resource, at) => ({
      resource,
      devices: snapshot.devices
        .filter((_, place) => place % pools === at)
        .map((device) => ({ id: device.id, device, health: good })),
    })),
    status: resources.map((resource) => ({ resource, registered: true, streams: 1, problem: undefined })),
    allocations: {
      held: new Map(held.map((id) => [id, holding(id)])),
      ...{ source: 'podresources', isGuess: false },
    },
    attachments: new Map(held.map((id) => [id, attachment(id)])),
    config: { generation: 1, readAt: 1_700_000_001_000, problems: [], warnings: 0 },
  }
}
