/** Encodes keys, targets and owners of the host table's sets (nftables/host-table.ts) as the kernel's bytes. */
import { ipFamily, ipToBytes } from '../../lib/ip.ts'
import { NFT_JUMP } from '../../netlink/nf/rules.ts'
import { type NftElement, userdataOf } from '../../netlink/nf/tables.ts'
import type { Masquerade, PortKey, Proto } from '../../ops/op.ts'
import { masqueradedKeys, masquerades, ports, sourceChain } from './host-table.ts'
import { steered, steeredKeys } from './steered-ports.ts'

/** The host ports that an owner has, or wants to have. */
export interface Reservation {
  readonly keys: readonly PortKey[]
  readonly masquerade: readonly Masquerade[]
  /** Flow filters take the frames for these keys, so that the host's stack does not see them. */
  readonly steered?: boolean
  /** The comment of the elements: a cookie of 32 hexadecimal digits, then CONTAINERID/IFNAME for people. */
  readonly owner: string
}

const protocols = { tcp: 6, udp: 17, sctp: 132 } as const

/** The key of an element: address, protocol and port, each padded to a multiple of 4 bytes. */
export function keyOf({ address, proto, port }: Pick<PortKey, 'address' | 'proto' | 'port'>): NftElement {
  const ip = ipToBytes(address)
  const bytes = new Uint8Array(ip.length + 8)
  bytes.set(ip)
  bytes[ip.length] = protocols[proto satisfies Proto]
  putPort(bytes, ip.length + 4, port)
  return { NFTA_SET_ELEM_KEY: { NFTA_DATA_VALUE: bytes } }
}

/** The target of an element: the pod's address and port, each padded to a multiple of 4 bytes. */
export function targetOf({ toAddress, toPort }: PortKey): Uint8Array {
  const ip = ipToBytes(toAddress)
  const bytes = new Uint8Array(ip.length + 4)
  bytes.set(ip)
  putPort(bytes, ip.length, toPort)
  return bytes
}

function putPort(bytes: Uint8Array, at: number, port: number): void {
  bytes[at] = port >> 8
  bytes[at + 1] = port & 0xff
}

/** The keys of a reservation whose frames flow filters take; none for a pod behind a veth. */
export function steeredOf({ keys, steered: isSteered }: Omit<Reservation, 'owner'>): PortKey[] {
  return isSteered === true ? steeredKeys(keys) : []
}

/** All elements of a reservation, by the names of their sets, in the order of creation. */
export function elementsOfReservation(
  reservation: Reservation,
): readonly (readonly [set: string, elements: NftElement[]])[] {
  const { keys, masquerade, owner } = reservation
  const userdata = { NFTA_SET_ELEM_USERDATA: userdataOf(owner) }
  const jump = {
    NFTA_SET_ELEM_DATA: {
      NFTA_DATA_VERDICT: { NFTA_VERDICT_CODE: NFT_JUMP >>> 0, NFTA_VERDICT_CHAIN: sourceChain(owner) },
    },
  }
  const masqueraded = masqueradedKeys(masquerade)
  const taken = steeredOf(reservation)
  return ([4, 6] as const).flatMap((family) => {
    const inFamily = ({ address }: { readonly address: string }) => ipFamily(address) === family
    return [
      [
        ports[family],
        keys.filter(inFamily).map((key) => ({
          ...keyOf(key),
          NFTA_SET_ELEM_DATA: { NFTA_DATA_VALUE: targetOf(key) },
          ...userdata,
        })),
      ] as const,
      [
        masquerades[family],
        masqueraded.filter(inFamily).map((key) => ({ ...keyOf(key), ...jump, ...userdata })),
      ] as const,
      [steered[family], taken.filter(inFamily).map((key) => ({ ...keyOf(key), ...userdata }))] as const,
    ]
  })
}

/** Limit of elements in a message: a netlink attribute holds 64 KiB. */
const elementsInMessage = 200

/** Cuts a list into parts of at most `most` elements, so that each part fits into one attribute. */
export function inParts<T>(list: readonly T[], most = elementsInMessage): T[][] {
  return Array.from({ length: Math.ceil(list.length / most) }, (_, part) =>
    list.slice(part * most, (part + 1) * most),
  )
}
