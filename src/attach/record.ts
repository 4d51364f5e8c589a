/** What `vf-attach` writes down before its first change: which device, and everything needed to put it back. */
import '../lib/zod-settings.ts'
import * as z from 'zod/mini'
import { isLinkName } from '../lib/interface-name.ts'
import { tryParseMac } from '../lib/mac.ts'
import { parsePciAddress } from '../lib/pci-address.ts'

// Values that no request to the kernel can be made of are found when the record is read, not half-way through a DEL.
const from = (low: number, high: number) => z.int().check(z.gte(low), z.lte(high))
const u32 = () => from(0, 0xffffffff)
/** Of an interface: struct ifinfomsg has it with a sign. */
const number = () => from(1, 0x7fffffff)
const linkName = () => z.string().check(z.refine(isLinkName))
const pciAddress = () => z.string().check(z.refine((text) => parsePciAddress(text) !== undefined))
const mac = () => z.string().check(z.refine((text) => tryParseMac(text) !== undefined))
/** As long as the kind of link has it: none, or 20 octets. */
const linkAddress = () => z.string().check(z.regex(/^([0-9a-f]{2}(:[0-9a-f]{2})*)?$/))

const vfAttributes = () =>
  z.object({
    mac: z.optional(mac()),
    vlan: z.optional(z.object({ id: from(0, 4095), qos: from(0, 7), proto: from(0, 0xffff) })),
    rate: z.optional(z.object({ min: u32(), max: u32() })),
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
        name: linkName(),
        altnames: z.array(linkName()),
        mac: linkAddress(),
        mtu: u32(),
        up: z.boolean(),
        // Absent in what other plugins wrote: then it is not restored.
        alias: z.optional(z.string()),
        promisc: z.optional(z.boolean()),
        allmulti: z.optional(z.boolean()),
        txqlen: z.optional(u32()),
        /** Name of the bridge, bond or VRF it was attached to. */
        master: z.optional(linkName()),
      }),
    ),
    /** The VF's representor (switchdev mode), as far as ADD changes it. */
    representor: z.optional(
      z.object({ name: linkName(), up: z.boolean(), mtu: u32(), master: z.optional(linkName()) }),
    ),
  })

/** State before the first change. */
export type Original = z.infer<ReturnType<typeof original>>

/** Journal of one attachment. A function: only a call that reads a record pays for the schema. */
export const attachJournal = () =>
  z.object({
    device: z.object({
      /** The record's subject: PCI address, name on the auxiliary bus, or `netdev:NAME` for software interfaces. */
      id: z.string(),
      pci: z.optional(pciAddress()),
      pfPci: z.optional(pciAddress()),
      vfIndex: z.optional(u32()),
      /** Its number on the host before ADD. */
      ifindex: z.optional(number()),
      /** Its number in the pod. Former versions left the choice to the kernel and wrote none down. */
      podIfindex: z.optional(number()),
      /** The number that a DEL chose for it on the host, written before the move home. */
      homeIfindex: z.optional(number()),
      /** IFLA_LINK: the number of a veth's peer, or of what a macvlan is on, in that one's namespace. */
      lower: z.optional(z.int()),
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
    settings: z.optional(z.object({ v4: z.optional(z.string()), v6: z.optional(z.string()) })),
    /** What the interface carried, and when that was read (milliseconds since 1970); absent = nothing. */
    carried: z.optional(
      z.object({
        at: z.int(),
        /** As a port of a bridge; absent for what is none. */
        vlans: z.optional(z.array(z.object({ vid: z.int(), pvid: z.boolean(), untagged: z.boolean() }))),
        items: z.array(
          z.object({
            what: z.enum(['port', 'address', 'route', 'neighbour']),
            words: z.string(),
            message: z.string(),
          }),
        ),
      }),
    ),
    /** ADD sets an administrative MAC on the PF. */
    macSet: z.optional(z.boolean()),
    /** VLAN that ADD gives the representor on its bridge. */
    bridgeVlan: z.optional(from(0, 4095)),
    /** Routes that IPAM wanted and the pod had already: not ours, and not missed when they go. */
    othersRoutes: z.optional(
      z.array(
        z.object({
          dst: z.string(),
          gw: z.optional(z.string()),
          table: z.optional(z.int()),
          metric: z.optional(z.int()),
        }),
      ),
    ),
  })

export type AttachJournal = z.infer<ReturnType<typeof attachJournal>>
