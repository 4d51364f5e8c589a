/** What `vf-attach` writes down before its first change: which device, and everything needed to put it back. */
import { isPlainName } from '../../lib/interface-name.ts'
import '../../lib/zod-settings.ts'
import * as z from 'zod/mini'
import {
  amount,
  type Check,
  flag,
  ifindex,
  integer,
  isRecord,
  list,
  mac,
  maybe,
  message,
  named,
  object,
  oneOf,
  pci,
  text,
  u32,
  vlanId,
} from '../../ops/checks.ts'
import type { BridgeVlan, CarriedItem, LinkTraits } from '../../ops/op.ts'
import type { PluginRecord } from '../../ops/record.ts'
import { linkTraits, netdevFile } from '../../ops/shape.ts'

const vfAttributes = () =>
  z.object({
    mac: z.optional(z.string()),
    vlan: z.optional(z.object({ id: z.int(), qos: z.int(), proto: z.int() })),
    rate: z.optional(z.object({ min: z.int(), max: z.int() })),
    spoofchk: z.optional(z.boolean()),
    trust: z.optional(z.boolean()),
    linkState: z.optional(z.enum(['auto', 'enable', 'disable'])),
  })

const original = () =>
  z.object({
    /** PF-side attributes as they were; what the driver does not report is absent and never restored. */
    vf: z.optional(vfAttributes()),
    /** Mode of the PF's eSwitch: some attributes mean something in one mode only. Absent = unknown. */
    switchdev: z.optional(z.boolean()),
    /** The interface as it was; absent for a device without one (user space driver). */
    link: z.optional(
      z.object({
        name: z.string(),
        altnames: z.array(z.string()),
        mac: z.string(),
        mtu: z.int(),
        up: z.boolean(),
        // Absent in what other plugins wrote: then it is not restored.
        alias: z.optional(z.string()),
        promisc: z.optional(z.boolean()),
        allmulti: z.optional(z.boolean()),
        txqlen: z.optional(z.int()),
        /** What else stays with the interface; absent in what other plugins and former versions wrote: then it is not restored. */
        traits: z.optional(z.custom<LinkTraits>(linkTraits)),
        promiscuity: z.optional(z.int()),
        /** Numbers of BPF programs that were on it before. */
        programs: z.optional(z.array(z.int())),
        /** Something took its frames before, beside a master. */
        occupied: z.optional(z.boolean()),
        /** Name of the bridge, bond or VRF it was attached to. */
        master: z.optional(z.string()),
      }),
    ),
    /** The VF's representor (switchdev mode), as far as ADD changes it. */
    representor: z.optional(
      z.object({ name: z.string(), up: z.boolean(), mtu: z.int(), master: z.optional(z.string()) }),
    ),
  })

/** State before the first change. */
export type Original = z.infer<ReturnType<typeof original>>

/** What ethtool and sysfs showed of an interface (kernel/link/tuning.ts). */
export interface LinkTuning {
  readonly ethtool: {
    readonly features?: string | undefined
    readonly channels?: string | undefined
    readonly rings?: string | undefined
  }
  readonly files: Readonly<Record<string, string>>
}

/** What an interface carried on the host. */
export interface Carried {
  /** When it was read, in milliseconds since 1970. */
  readonly at: number
  /** VLANs as a port of a bridge; absent for what is none. */
  readonly vlans?: readonly BridgeVlan[] | undefined
  readonly items: readonly CarriedItem[]
}

/** By which a route of the pod's own is known. */
export interface OthersRoute {
  readonly dst: string
  readonly gw?: string | undefined
  readonly table?: number | undefined
  readonly metric?: number | undefined
}

// By hand, as below: most records have none of these, and each schema of its own costs every call that reads one.
const hexText: Check = (value) => typeof value === 'string' && /^([0-9a-f]{2})*$/.test(value)
const isSettings = object<{ v4: string; v6: string }>({ v4: maybe(hexText), v6: maybe(hexText) })
const numbers: Check = (value) => typeof value === 'string' && /^([0-9a-f]{8})*$/.test(value)
const isTuning = object<LinkTuning>({
  ethtool: object<LinkTuning['ethtool']>({
    features: maybe(numbers),
    channels: maybe(numbers),
    rings: maybe(numbers),
  }),
  files: (value) =>
    isRecord(value) && Object.entries(value).every(([file, one]) => netdevFile(file) && text(one)),
})
const isCarried = object<Carried>({
  at: amount,
  vlans: maybe(list(object<BridgeVlan>({ vid: vlanId, pvid: flag, untagged: flag }))),
  items: list(
    object<CarriedItem>({
      what: oneOf('port', 'token', 'address', 'route', 'neighbour'),
      words: text,
      message,
    }),
  ),
})
const isOthersRoute = object<OthersRoute>({
  dst: text,
  gw: maybe(text),
  table: maybe(u32),
  metric: maybe(u32),
})

/** Schema of the journal of one attachment. A function: only a call that reads a record pays for it. */
export const attachJournal = () =>
  z.object({
    device: z.object({
      /** The record's subject: PCI address, name on the auxiliary bus, or `netdev:NAME` for software interfaces. */
      id: z.string(),
      pci: z.optional(z.string()),
      pfPci: z.optional(z.string()),
      vfIndex: z.optional(z.int()),
      /** Its number on the host before ADD. */
      ifindex: z.optional(z.int()),
      /** Its number in the pod. Former versions left the choice to the kernel and wrote none down. */
      podIfindex: z.optional(z.int()),
      /** The number that a DEL chose for it on the host, written before the move home. */
      homeIfindex: z.optional(z.int()),
      /** IFLA_LINK: the number of a veth's peer, or of what a macvlan is on, in that one's namespace. */
      lower: z.optional(z.int()),
      /** In which namespace that one is: the host's number of it, -1 for the host's own. Former versions wrote none down. */
      lowerNetns: z.optional(z.int()),
      /** Its peer's number on the host, where that was a device of ours in a pod. */
      peerHome: z.optional(z.int()),
      permanentMac: z.optional(z.string()),
      /** IFLA_PHYS_PORT_NAME of one of several interfaces of a function. */
      portName: z.optional(z.string()),
      driver: z.optional(z.string()),
      /** Names under which the interface reports its parent device (IFLA_PARENT_DEV_NAME); none for software. */
      parents: z.array(z.string()),
      /** IFLA_INFO_KIND of a software interface. */
      kind: z.optional(z.string()),
    }),
    original: original(),
    /** A DEL or GC found the VF still open: it is nobody's and has to be restored when it is closed. */
    pendingClose: z.optional(z.boolean()),
    /** Settings of the interface below net/ipv4/conf and net/ipv6/conf, as the kernel's arrays, hex; absent = unknown. */
    settings: z.optional(
      z.custom<{ readonly v4?: string | undefined; readonly v6?: string | undefined }>(isSettings),
    ),
    /** What ethtool and sysfs showed of it; absent = unknown. */
    tuning: z.optional(z.custom<LinkTuning>(isTuning)),
    /** What the interface carried, and when that was read; absent = nothing. */
    carried: z.optional(z.custom<Carried>(isCarried)),
    /** ADD sets an administrative MAC on the PF. */
    macSet: z.optional(z.boolean()),
    /** VLAN that ADD gives the representor on its bridge. */
    bridgeVlan: z.optional(z.int()),
    /** Routes that IPAM wanted and the pod had already: not ours, and not missed when they go. */
    othersRoutes: z.optional(z.custom<readonly OthersRoute[]>(list(isOthersRoute))),
  })

/** Journal of one attachment. */
export type AttachJournal = z.infer<ReturnType<typeof attachJournal>>

/** As long as the kind of link has it: none, or 20 octets. */
const linkAddress: Check = (value) =>
  typeof value === 'string' && /^([0-9a-f]{2}(:[0-9a-f]{2})*)?$/.test(value)
const linkName: Check = (value) => typeof value === 'string' && isPlainName(value)
/** IFALIASZ of linux/if.h less the end of the string. */
const alias: Check = (value) => text(value) && Buffer.byteLength(String(value)) <= 255
/** Device and inode; empty for a namespace that was gone when somebody else's attachment became one of ours. */
const netnsId: Check = (value) => typeof value === 'string' && /^(\d+:\d+)?$/.test(value)
const cookie: Check = (value) => typeof value === 'string' && /^\d+$/.test(value)

/**
 * The first field, with its path, whose value no request to the kernel can be made of: that is found when a record is read, not
 * half-way through a DEL. By hand, because a schema that says so costs a call half a millisecond.
 */
export function wrongField(
  { owner, journal }: PluginRecord<AttachJournal>,
  subject: string,
): string | undefined {
  const { device, original, bridgeVlan } = journal
  const { vf, link, representor } = original
  const fields: readonly (readonly [string, Check, unknown])[] = [
    ['device.id', (value) => value === subject, device.id],
    ['device.pci', maybe(pci), device.pci],
    ['device.permanentMac', maybe(linkAddress), device.permanentMac],
    ['device.kind', maybe(text), device.kind],
    ['device.pfPci', maybe(pci), device.pfPci],
    ['device.vfIndex', maybe(u32), device.vfIndex],
    ['device.ifindex', maybe(ifindex), device.ifindex],
    ['device.podIfindex', maybe(ifindex), device.podIfindex],
    ['device.homeIfindex', maybe(ifindex), device.homeIfindex],
    ['device.lower', maybe(u32), device.lower],
    ['device.lowerNetns', maybe(integer(-1, 0x7fffffff)), device.lowerNetns],
    ['device.peerHome', maybe(ifindex), device.peerHome],
    ['bridgeVlan', maybe(vlanId), bridgeVlan],
    ['original.vf.mac', maybe(mac), vf?.mac],
    ['original.vf.vlan.id', maybe(vlanId), vf?.vlan?.id],
    ['original.vf.vlan.qos', maybe(integer(0, 7)), vf?.vlan?.qos],
    ['original.vf.vlan.proto', maybe(integer(0, 0xffff)), vf?.vlan?.proto],
    ['original.vf.rate.min', maybe(u32), vf?.rate?.min],
    ['original.vf.rate.max', maybe(u32), vf?.rate?.max],
    ['original.link.name', maybe(linkName), link?.name],
    ['original.link.alias', maybe(alias), link?.alias],
    ['original.link.altnames', (value) => (value as string[]).every(named), link?.altnames ?? []],
    ['original.link.mac', maybe(linkAddress), link?.mac],
    ['original.link.mtu', maybe(u32), link?.mtu],
    ['original.link.txqlen', maybe(u32), link?.txqlen],
    ['original.link.master', maybe(named), link?.master],
    ['original.representor.name', maybe(named), representor?.name],
    ['original.representor.mtu', maybe(u32), representor?.mtu],
    ['original.representor.master', maybe(named), representor?.master],
  ]
  const wrong = fields.find(([, isFitting, value]) => !isFitting(value))?.[0]
  if (wrong !== undefined) return `journal.${wrong}`
  if (!netnsId(owner.netnsId)) return 'owner.netnsId'
  return maybe(cookie)(owner.netnsCookie) ? undefined : 'owner.netnsCookie'
}
