/** The record that `vf-attach` writes before its first change: the device, and everything needed to put it back. */
import type { CarriedItem } from '../ops/op.ts'
import { at, flag, list, mapOf, maybe, object, objectOf, type ValueOf, whole } from './form.ts'
import { carriedFields } from './ops/device-state.ts'
import { linkTraits, vfAttributes, vlanOfPort } from './ops/links.ts'
import type { PluginRecord } from './record.ts'
import { type RecordStore, recordStore } from './store.ts'
import {
  alias,
  amount,
  anyInt,
  anyText,
  bytes,
  ifindex,
  isNetdevFile,
  linkAddress,
  named,
  nsid,
  numbers,
  pci,
  plainName,
  u32,
  vlanId,
  words,
} from './values.ts'

const device = object({
  /** The record's subject: PCI address, name on the auxiliary bus, or `netdev:NAME` for software interfaces. */
  id: at('id', anyText),
  pci: maybe('pci', pci),
  pfPci: maybe('pfPci', pci),
  vfIndex: maybe('vfIndex', u32),
  /** Its number on the host before ADD. */
  ifindex: maybe('ifindex', ifindex),
  /** Its number in the pod. Former versions left the choice to the kernel and wrote none down. */
  podIfindex: maybe('podIfindex', ifindex),
  /** The number that a DEL chose for it on the host, written before the move home. */
  homeIfindex: maybe('homeIfindex', ifindex),
  /** IFLA_LINK: the number of a veth's peer, or of the interface below a macvlan, in that one's namespace. */
  lower: maybe('lower', u32),
  /** The namespace of that one: the host's number of it, -1 for the host's own. Former versions wrote none down. */
  lowerNetns: maybe('lowerNetns', nsid),
  /** Its peer's number on the host, where that was a device of ours in a pod. */
  peerHome: maybe('peerHome', ifindex),
  permanentMac: maybe('permanentMac', linkAddress),
  /** IFLA_PHYS_PORT_NAME of one of several interfaces of a function. */
  portName: maybe('portName', anyText),
  driver: maybe('driver', anyText),
  /** Names under which the interface reports its parent device (IFLA_PARENT_DEV_NAME); none for software. */
  parents: at('parents', list(anyText)),
  /** IFLA_INFO_KIND of a software interface. */
  kind: maybe('kind', words),
})

const link = object({
  name: at('name', plainName),
  altnames: at('altnames', list(named)),
  mac: at('mac', linkAddress),
  mtu: at('mtu', u32),
  up: at('up', flag),
  // Absent in records that were made of other plugins' files: then it is not restored.
  alias: maybe('alias', alias),
  promisc: maybe('promisc', flag),
  allmulti: maybe('allmulti', flag),
  txqlen: maybe('txqlen', u32),
  /** Attributes that records of former versions lack: then they are not restored. */
  traits: maybe('traits', linkTraits),
  promiscuity: maybe('promiscuity', anyInt),
  /** Numbers of BPF programs that were on it before. */
  programs: maybe('programs', list(anyInt)),
  /** Something took its frames before, beside a master. */
  occupied: maybe('occupied', flag),
  /** Name of the bridge, bond or VRF it was attached to. */
  master: maybe('master', named),
})

const original = object({
  /** PF-side attributes as they were; one that the driver does not report is absent and never restored. */
  vf: maybe('vf', vfAttributes),
  /** Mode of the PF's eSwitch: some attributes mean something in one mode only. Absent = unknown. */
  switchdev: maybe('switchdev', flag),
  /** The interface as it was; absent for a device without one (user space driver). */
  link: maybe('link', link),
  /** The VF's representor (switchdev mode), as far as ADD changes it. */
  representor: maybe(
    'representor',
    object({
      name: at('name', named),
      up: at('up', flag),
      mtu: at('mtu', u32),
      master: maybe('master', named),
    }),
  ),
})
/** State before the first change. */
export type Original = ValueOf<typeof original>

const tuning = object({
  /** Numbers of struct ethtool_gfeatures, ethtool_channels and ethtool_ringparam. */
  ethtool: at(
    'ethtool',
    object({
      features: maybe('features', numbers),
      channels: maybe('channels', numbers),
      rings: maybe('rings', numbers),
    }),
  ),
  /** Texts of files below /sys/class/net/NAME. */
  files: at('files', mapOf(isNetdevFile, words)),
})
/** ethtool's and sysfs's view of an interface (kernel/link/tuning.ts). */
export type LinkTuning = ValueOf<typeof tuning>

const carried = object({
  /** Time of the reading, in milliseconds since 1970. */
  at: at('at', amount),
  /** VLANs as a port of a bridge; absent for an interface that is none. */
  vlans: maybe('vlans', list(vlanOfPort)),
  items: at('items', list(whole(objectOf<CarriedItem>(carriedFields)))),
})
/** Addresses, routes, neighbours and VLANs of an interface on the host. */
export type Carried = ValueOf<typeof carried>

const othersRoute = object({
  dst: at('dst', words),
  gw: maybe('gw', words),
  table: maybe('table', u32),
  metric: maybe('metric', u32),
})
/** By which a route of the pod's own is known. */
export type OthersRoute = ValueOf<typeof othersRoute>

/** The journal of one attachment. */
export const attachJournal = object({
  device: at('device', device),
  original: at('original', original),
  /** A DEL or GC found the VF still open: it is nobody's and has to be restored when it is closed. */
  pendingClose: maybe('pendingClose', flag),
  /** Settings of the interface below net/ipv4/conf and net/ipv6/conf, as the kernel's arrays, hex; absent = unknown. */
  settings: maybe('settings', object({ v4: maybe('v4', bytes), v6: maybe('v6', bytes) })),
  /** ethtool's and sysfs's view of it; absent = unknown. */
  tuning: maybe('tuning', tuning),
  /** Addresses, routes, neighbours and VLANs that the interface had; absent = none. */
  carried: maybe('carried', carried),
  /** ADD sets an administrative MAC on the PF. */
  macSet: maybe('macSet', flag),
  /** VLAN that ADD gives the representor on its bridge. */
  bridgeVlan: maybe('bridgeVlan', vlanId),
  /** Routes that IPAM wanted and the pod had already: not ours, and not missed when they go. */
  othersRoutes: maybe('othersRoutes', list(whole(othersRoute))),
})
/** Journal of one attachment. */
export type AttachJournal = ValueOf<typeof attachJournal>

/** Folder of the records below the state folder. */
export const attachFolder = 'attach'

/** The records of `vf-attach`. */
export function attachRecords(stateDir: string): RecordStore<AttachJournal> {
  return recordStore(stateDir, attachFolder, attachJournal, wrongField)
}

/**
 * A record must be of the device that its file's name says. The namespace's marks are numbers; there is no inode for a namespace
 * that was gone when another program's attachment became one of ours.
 */
function wrongField({ journal, owner }: PluginRecord<AttachJournal>, subject: string): string | undefined {
  if (journal.device.id !== subject) return 'journal.device.id'
  if (!/^(\d+:\d+)?$/.test(owner.netnsId)) return 'owner.netnsId'
  return owner.netnsCookie === undefined || /^\d+$/.test(owner.netnsCookie) ? undefined : 'owner.netnsCookie'
}
