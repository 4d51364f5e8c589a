/**
 * What sriov-cni saved for the DEL of an attachment: `<containerID>-<ifname>` in its folder, its config and the VF's
 * original state in one JSON object. In: the attachment; out: the same as our journal. Imports records, small values
 * and the journal's type.
 */
import '../../lib/zod-settings.ts'
import * as z from 'zod/mini'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import { isInterfaceName } from '../../lib/interface-name.ts'
import { tryParseMac } from '../../lib/mac.ts'
import { type PciAddress, parsePciAddress } from '../../lib/pci-address.ts'
import type { PciFunction } from '../../nic/pci.ts'
import type { VfAttributes } from '../../ops/op.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { RecordError } from '../../records/record.ts'
import { noteAt } from '../../records/store.ts'
import { sriovDir } from './sriov.ts'

/** What sriov-cni wrote down about one of its attachments. */
export interface SriovCache {
  readonly path: string
  readonly pci: PciAddress
  /** Name of the network; empty when it is not in the file. */
  readonly network: string
  readonly ipamType: string | undefined
  /** PF-side attributes to restore: those that sriov-cni itself would, and only what it knew. */
  readonly vf: VfAttributes
  readonly vfIndex: number | undefined
  /** It gave the VF an administrative MAC. */
  readonly macSet: boolean
  /** The interface as it was, as far as it is known; undefined for a VF with a user space driver. */
  readonly link: { readonly name: string; readonly mac?: string; readonly mtu?: number } | undefined
}

/**
 * Reads what sriov-cni left for the DEL of an attachment; undefined when it made none.
 * @throws RecordError naming the file when it can't be used (sriov-cni writes it in place, so a crash leaves a part)
 */
export function readCache(containerID: string, ifname: string, dir = sriovDir): SriovCache | undefined {
  const path = cachePath(containerID, ifname, dir)
  const text = noteAt(path).get()
  if (text === undefined) return undefined
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new RecordError(path, 'it is not JSON')
  }
  const parsed = schema().safeParse(json)
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.join('.') ?? ''
    throw new RecordError(path, where === '' ? 'it is no JSON object' : `${where} has the wrong type`)
  }
  return read(path, parsed.data)
}

/** Forgets an attachment of sriov-cni after its restore. Succeeds when it is forgotten already. */
export function removeCache(containerID: string, ifname: string, dir = sriovDir): void {
  noteAt(cachePath(containerID, ifname, dir)).clear()
}

/** Of the interface as it is now: what nobody saved and therefore stays. */
export type PresentLink = Pick<LinkFacts, 'mac' | 'mtu' | 'altnames'>

/**
 * The journal that a restore works with. What sriov-cni did not save about the interface (no MTU before release 2.9)
 * stays as it is `now`, altnames too, those apart that are its old name or the pod's `ifname` (udev may have made
 * one of a former name). It comes home down, as sriov-cni leaves it. `present`, the VF itself, adds its PF, whose changes
 * are one at a time, and its driver, which may be bound anew.
 */
export function sriovJournal(
  cache: SriovCache,
  ifname: string,
  now: PresentLink | undefined,
  present?: Pick<PciFunction, 'driver' | 'vf'>,
): AttachJournal {
  const { pci, vf, vfIndex = present?.vf?.index, macSet, link } = cache
  const { driver } = present ?? {}
  const pfPci = present?.vf?.pf
  const mac = link?.mac ?? now?.mac
  const mtu = link?.mtu ?? now?.mtu
  const known = link !== undefined && mac !== undefined && mtu !== undefined
  const altnames = (now?.altnames ?? []).filter((altname) => altname !== link?.name && altname !== ifname)
  return {
    device: {
      ...{ id: pci, pci, parents: [pci] },
      ...(pfPci === undefined ? {} : { pfPci }),
      ...(vfIndex === undefined ? {} : { vfIndex }),
      ...(driver === undefined ? {} : { driver }),
    },
    original: {
      ...(Object.keys(vf).length === 0 ? {} : { vf: { ...vf } }),
      ...(known ? { link: { name: link.name, altnames, mac, mtu, up: false } } : {}),
    },
    ...(macSet ? { macSet: true } : {}),
  }
}

function cachePath(containerID: string, ifname: string, dir: string): string {
  return `${dir}/${containerID}-${ifname}`
}

/**
 * The parts we use of the file, as Go's encoder writes the structure. Everything is optional: VlanProto came with
 * release 2.8, MTU and Trust of the original state later than the rest. Releases before OrigVfState existed have
 * the last three at the top and restored the rest to fixed values. Made when a file is read, which is rare.
 */
function schema() {
  const text = z.optional(z.string())
  const integer = z.nullish(z.int())
  return z.object({
    name: text,
    ipam: z.optional(z.object({ type: text })),
    deviceID: z.string(),
    VFID: integer,
    MAC: text,
    vlan: integer,
    min_tx_rate: integer,
    max_tx_rate: integer,
    spoofchk: text,
    trust: text,
    link_state: text,
    OrigVfState: z.optional(
      z.object({
        HostIFName: text,
        SpoofChk: z.optional(z.boolean()),
        Trust: z.optional(z.boolean()),
        AdminMAC: text,
        EffectiveMAC: text,
        Vlan: integer,
        VlanQoS: integer,
        VlanProto: integer,
        MinTxRate: integer,
        MaxTxRate: integer,
        LinkState: integer,
        MTU: integer,
      }),
    ),
    HostIFNames: text,
    adminMAC: text,
    effectiveMAC: text,
  })
}

type Cached = z.infer<ReturnType<typeof schema>>

function read(path: string, file: Cached): SriovCache {
  const pci = parsePciAddress(file.deviceID)
  if (pci === undefined) throw new RecordError(path, `deviceID "${file.deviceID}" is no PCI address`)
  const { OrigVfState: original } = file
  const name = original?.HostIFName ?? file.HostIFNames ?? ''
  if (name !== '' && !isInterfaceName(name)) {
    throw new RecordError(path, `HostIFName ${JSON.stringify(name)} is no name of an interface`)
  }
  const mac = macOf(path, 'EffectiveMAC', original?.EffectiveMAC ?? file.effectiveMAC)
  const mtu = original?.MTU ?? 0
  return {
    path,
    pci,
    network: file.name ?? '',
    ipamType: file.ipam?.type === '' ? undefined : file.ipam?.type,
    vf: vfOf(path, file),
    vfIndex: file.VFID ?? undefined,
    macSet: isGiven(file.MAC),
    link:
      name === '' ? undefined : { name, ...(mac === undefined ? {} : { mac }), ...(mtu > 0 ? { mtu } : {}) },
  }
}

/**
 * Only what was configured, the administrative MAC apart, which a user space driver may have changed: sriov-cni reads
 * "the driver does not report it" as true or 0 and would have been refused had it set such an attribute.
 */
function vfOf(path: string, file: Cached): VfAttributes {
  const original = file.OrigVfState
  const mac = macOf(path, 'AdminMAC', original?.AdminMAC ?? (isGiven(file.MAC) ? file.adminMAC : undefined))
  // Before there was an OrigVfState, a plain 0 meant "no VLAN asked for".
  const hasVlan = original === undefined ? (file.vlan ?? 0) !== 0 : (file.vlan ?? undefined) !== undefined
  const hasRate = (file.min_tx_rate ?? file.max_tx_rate ?? undefined) !== undefined
  const linkState = linkStates[original?.LinkState ?? 0]
  return {
    ...(mac === undefined ? {} : { mac }),
    ...(hasVlan
      ? {
          vlan: {
            id: original?.Vlan ?? 0,
            qos: original?.VlanQoS ?? 0,
            proto: original?.VlanProto || 0x8100, // 0 as well as absent: not known to that release
          },
        }
      : {}),
    ...(hasRate ? { rate: { min: original?.MinTxRate ?? 0, max: original?.MaxTxRate ?? 0 } } : {}),
    ...(isGiven(file.spoofchk) ? { spoofchk: original?.SpoofChk ?? true } : {}),
    ...(isGiven(file.trust) ? { trust: original?.Trust ?? false } : {}),
    ...(isGiven(file.link_state) && linkState !== undefined ? { linkState } : {}),
  }
}

/** IFLA_VF_LINK_STATE_* of linux/if_link.h, by number. */
const linkStates = ['auto', 'enable', 'disable'] as const

function macOf(path: string, key: string, value: string | undefined): string | undefined {
  if (!isGiven(value)) return undefined
  const mac = tryParseMac(value)
  if (mac === undefined) throw new RecordError(path, `${key} "${value}" is no MAC address`)
  return mac
}

function isGiven(value: string | undefined): value is string {
  return value !== undefined && value !== ''
}
