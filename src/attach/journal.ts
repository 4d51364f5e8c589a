import type { AttachConfig } from './config.ts'
import type { AttachFacts } from './facts.ts'
import type { AttachJournal } from './record.ts'

/** What must be known to put everything back that an ADD with these facts may change. */
export function journalOf(config: AttachConfig, facts: AttachFacts): AttachJournal {
  const { device, vf, port } = facts
  const representor = vf?.representor
  return {
    device: {
      id: device.id,
      parents: [...device.parents],
      ...(device.pci === undefined ? {} : { pci: device.pci.address }),
      ...(device.pci?.driver === undefined ? {} : { driver: device.pci.driver }),
      ...(vf === undefined ? {} : { pfPci: vf.pfPci, vfIndex: vf.index }),
      ...(port === undefined ? {} : { ifindex: port.link.ifindex }),
      ...(port?.link.permanentMac === undefined ? {} : { permanentMac: port.link.permanentMac }),
      ...(port?.link.kind === undefined ? {} : { kind: port.link.kind }),
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

function originalLink({ link, master }: NonNullable<AttachFacts['port']>) {
  const { name, mac, mtu, up, alias, promisc, allmulti, txqlen } = link
  const released = master === undefined ? {} : { master }
  return { name, altnames: [...link.altnames], mac, mtu, up, alias, promisc, allmulti, txqlen, ...released }
}
