/**
 * The file that sriov-cni saved for the DEL of an attachment: `<containerID>-<ifname>` in its folder, with its config and the
 * VF's original state in one JSON object. In: the attachment; out: the same as our journal. Imports records, small values and the
 * journal's type.
 */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import { isInterfaceName } from '../../lib/interface-name.ts'
import { tryParseMac } from '../../lib/mac.ts'
import { type PciAddress, parsePciAddress } from '../../lib/pci-address.ts'
import type { PciFunction } from '../../nic/pci.ts'
import type { VfAttributes } from '../../ops/op.ts'
import { vfAttributeNames } from '../../ops/vf-attributes.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { at, type Form, flag, int, Misfit, maybe, object, text, type ValueOf } from '../../records/form.ts'
import { RecordError } from '../../records/record.ts'
import { noteAt } from '../../records/store.ts'
import { sriovDir } from './sriov.ts'

/** The notes of sriov-cni about one of its attachments. */
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
 * Reads the file that sriov-cni left for the DEL of an attachment; undefined when there is none.
 * @throws RecordError naming the file when it can't be used (sriov-cni writes it in place, so a crash leaves a part)
 */
export function readCache(containerID: string, ifname: string, dir = sriovDir): SriovCache | undefined {
  const path = cachePath(containerID, ifname, dir)
  const content = noteAt(path).get()
  if (content === undefined) return undefined
  let json: unknown
  try {
    json = JSON.parse(content)
  } catch {
    throw new RecordError(path, 'it is not JSON')
  }
  try {
    return read(path, cachedForm().read(json))
  } catch (error) {
    if (!(error instanceof Misfit)) throw error
    const where = error.path.join('.')
    throw new RecordError(path, where === '' ? 'it is no JSON object' : `${where} has the wrong type`)
  }
}

/** Forgets an attachment of sriov-cni after its restore. Succeeds when it is forgotten already. */
export function removeCache(containerID: string, ifname: string, dir = sriovDir): void {
  noteAt(cachePath(containerID, ifname, dir)).clear()
}

/** The interface as it is now: the values that nobody saved and that stay therefore. */
export type PresentLink = Pick<LinkFacts, 'mac' | 'mtu' | 'altnames'>

/**
 * The journal that a restore works with. Values of the interface that sriov-cni did not save (no MTU before release 2.9) stay as
 * they are `now`. So do altnames, but for the interface's old name and the pod's `ifname`: udev may have made an altname of a
 * former name. The interface comes home down, as sriov-cni leaves it. `present`, the VF itself, adds its PF, whose changes
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
function cachedForm() {
  const word = text((value) => typeof value === 'string')
  /** Go writes null for a pointer to nothing. */
  const integer: Form<number | null> = {
    read: (value) => (value === null ? null : int().read(value)),
    write: (value) => value,
    keys: () => [],
  }
  const [texts, integers] = [(key: string) => maybe(key, word), (key: string) => maybe(key, integer)]
  return object({
    name: texts('name'),
    ipam: maybe('ipam', object({ type: texts('type') })),
    deviceID: at('deviceID', word),
    VFID: integers('VFID'),
    MAC: texts('MAC'),
    vlan: integers('vlan'),
    min_tx_rate: integers('min_tx_rate'),
    max_tx_rate: integers('max_tx_rate'),
    spoofchk: texts('spoofchk'),
    trust: texts('trust'),
    link_state: texts('link_state'),
    OrigVfState: maybe(
      'OrigVfState',
      object({
        HostIFName: texts('HostIFName'),
        SpoofChk: maybe('SpoofChk', flag),
        Trust: maybe('Trust', flag),
        AdminMAC: texts('AdminMAC'),
        EffectiveMAC: texts('EffectiveMAC'),
        Vlan: integers('Vlan'),
        VlanQoS: integers('VlanQoS'),
        VlanProto: integers('VlanProto'),
        MinTxRate: integers('MinTxRate'),
        MaxTxRate: integers('MaxTxRate'),
        LinkState: integers('LinkState'),
        MTU: integers('MTU'),
      }),
    ),
    HostIFNames: texts('HostIFNames'),
    adminMAC: texts('adminMAC'),
    effectiveMAC: texts('effectiveMAC'),
  })
}

type Cached = ValueOf<ReturnType<typeof cachedForm>>

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
  const all = vfAttributeNames.map((name) => [name, saved[name](file, path)] as const)
  return Object.fromEntries(all.filter(([, value]) => value !== undefined))
}

/** Each attribute from the file; undefined for one that is not to be restored. */
const saved: { readonly [K in keyof VfAttributes]-?: (file: Cached, path: string) => VfAttributes[K] } = {
  mac: ({ OrigVfState: original, MAC, adminMAC }, path) =>
    macOf(path, 'AdminMAC', original?.AdminMAC ?? (isGiven(MAC) ? adminMAC : undefined)),
  vlan: ({ OrigVfState: original, vlan }) => {
    // Before there was an OrigVfState, a plain 0 meant "no VLAN asked for".
    const hasVlan = original === undefined ? (vlan ?? 0) !== 0 : (vlan ?? undefined) !== undefined
    if (!hasVlan) return undefined
    return {
      id: original?.Vlan ?? 0,
      qos: original?.VlanQoS ?? 0,
      proto: original?.VlanProto || 0x8100, // 0 as well as absent: not known to that release
    }
  },
  rate: ({ OrigVfState: original, min_tx_rate, max_tx_rate }) => {
    const hasRate = (min_tx_rate ?? max_tx_rate ?? undefined) !== undefined
    return hasRate ? { min: original?.MinTxRate ?? 0, max: original?.MaxTxRate ?? 0 } : undefined
  },
  spoofchk: ({ OrigVfState: original, spoofchk }) =>
    isGiven(spoofchk) ? (original?.SpoofChk ?? true) : undefined,
  trust: ({ OrigVfState: original, trust }) => (isGiven(trust) ? (original?.Trust ?? false) : undefined),
  linkState: ({ OrigVfState: original, link_state }) =>
    isGiven(link_state) ? linkStates[original?.LinkState ?? 0] : undefined,
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
