/** What `vf-attach` writes down before its first change: which device, and everything needed to put it back. */
import '../lib/zod-settings.ts'
import * as z from 'zod/mini'

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

/** Journal of one attachment. A function: only a call that reads a record pays for the schema. */
export const attachJournal = () =>
  z.object({
    device: z.object({
      /** The record's subject: PCI address, name on the auxiliary bus, or `netdev:NAME` for software interfaces. */
      id: z.string(),
      pci: z.optional(z.string()),
      pfPci: z.optional(z.string()),
      vfIndex: z.optional(z.int()),
      ifindex: z.optional(z.int()),
      permanentMac: z.optional(z.string()),
      driver: z.optional(z.string()),
      /** Names under which the interface reports its parent device (IFLA_PARENT_DEV_NAME); none for software. */
      parents: z.array(z.string()),
      /** IFLA_INFO_KIND of a software interface. */
      kind: z.optional(z.string()),
    }),
    original: original(),
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
    bridgeVlan: z.optional(z.int()),
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
