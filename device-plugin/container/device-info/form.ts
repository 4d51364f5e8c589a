/** Device information for Multus and for programs in pods (Network Plumbing Working Group, device-info-spec 1.1.0). Pure. */
import type { Member } from '../../pools/pool.ts'
import { rdmaOf, vdpaPath, vhostNet } from '../nodes.ts'

const version = '1.1.0'

/** The text of a device's file; undefined for a device that the specification has no type for: accelerators and subfunctions. */
export function deviceInfoText(member: Member): string | undefined {
  const { device, selector } = member
  if (device.type !== 'netDevice') return undefined
  const position = {
    'pf-pci-address': device.pf?.address,
    'representor-device': device.representor?.name,
  }
  const { vdpa } = device
  if (selector.vdpaType !== undefined && vdpa !== undefined) {
    const own = { 'parent-device': vdpa.name, driver: vdpa.type, path: vdpaPath(member) }
    return JSON.stringify({
      type: 'vdpa',
      version,
      vdpa: { ...own, 'pci-address': device.pci, ...position },
    })
  }
  const pci = {
    'pci-address': device.pci,
    'vhost-net': selector.needVhostNet === true ? vhostNet : undefined,
    // Without a name the RDMA device is in another namespace.
    'rdma-device': (rdmaOf(member) ?? device.rdma)?.device || undefined,
    ...position,
  }
  return JSON.stringify({ type: 'pci', version, pci })
}
