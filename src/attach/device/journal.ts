import type { LinkFacts } from '../../kernel/api/facts.ts'
import { hostNetns } from '../../lib/host-netns.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { AttachConfig } from '../config/config.ts'
import type { AttachFacts } from './facts.ts'

/** The journal of an ADD with these facts: all that is needed to put its changes back. `podIfindex` is planAdd's. */
export function journalOf(config: AttachConfig, facts: AttachFacts, podIfindex?: number): AttachJournal {
  const { device, vf, port } = facts
  const representor = vf?.representor
  return {
    device: {
      id: device.id,
      parents: [...device.parents],
      ...(device.pci === undefined ? {} : { pci: device.pci.address }),
      ...(device.pci?.driver === undefined ? {} : { driver: device.pci.driver }),
      ...(vf === undefined ? {} : { pfPci: vf.pfPci, vfIndex: vf.index }),
      ...(port === undefined ? {} : marksOf(port.link)),
      ...(podIfindex === undefined ? {} : { podIfindex }),
    },
    original: {
      ...(vf === undefined ? {} : { vf: { ...vf.attributes }, switchdev: vf.switchdev }),
      ...(port === undefined ? {} : { link: originalLink(port) }),
      ...(representor === undefined
        ? {}
        : {
            representor: {
              name: representor.link.name,
              up: representor.link.up,
              mtu: representor.link.mtu,
              ...(representor.master === undefined ? {} : { master: representor.master }),
            },
          }),
    },
    ...(vf !== undefined && config.mac !== undefined ? { macSet: true } : {}),
    ...(config.bridge?.vlan === undefined ? {} : { bridgeVlan: config.bridge.vlan }),
  }
}

/** The marks by which the interface is known again. */
function marksOf({ ifindex, permanentMac, physPortName, lower, lowerNetns, kind }: LinkFacts) {
  return {
    ifindex,
    ...(permanentMac === undefined ? {} : { permanentMac }),
    ...(physPortName === undefined ? {} : { portName: physPortName }),
    ...(lower === undefined ? {} : { lower }),
    // Below 0 stands for a namespace that is just ending.
    ...(lower === undefined || (lowerNetns ?? 0) < 0 ? {} : { lowerNetns: lowerNetns ?? hostNetns }),
    ...(kind === undefined ? {} : { kind }),
  }
}

function originalLink({ link, master, residue }: NonNullable<AttachFacts['port']>) {
  const { name, mac, mtu, up, alias, promisc, allmulti, txqlen } = link
  const released = master === undefined ? {} : { master }
  const { traits, promiscuity } = link
  const programs = [...link.xdp, ...(residue?.tcx ?? []).map(({ program }) => program)]
  const shared = {
    ...(programs.length === 0 ? {} : { programs }),
    ...(residue?.occupied === undefined ? {} : { occupied: true }),
  }
  return {
    name,
    altnames: [...link.altnames],
    mac,
    mtu,
    up,
    alias,
    promisc,
    allmulti,
    txqlen,
    traits,
    promiscuity,
    ...shared,
    ...released,
  }
}
