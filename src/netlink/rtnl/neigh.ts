// Neighbours (ARP, ND) and bridge forwarding entries: RTM_*NEIGH, struct ndmsg and NDA_* of linux/neighbour.h.
import { type AttrsOf, attrs } from '../codec/attrs.ts'
import { struct } from '../codec/struct.ts'
import { be16, bytes, ip, lladdr, s32, u8, u16, u32, type Value } from '../codec/wire.ts'
import { type FamilyRequest, family, type Message, NLM_F, type Request } from '../message.ts'
import { RTM } from './const.ts'

/** struct ndmsg, linux/neighbour.h */
export const ndmsg = struct('ndmsg', [
  ['ndm_family', u8],
  ['_pad', bytes(3)],
  ['ndm_ifindex', s32],
  ['ndm_state', u16],
  ['ndm_flags', u8],
  ['ndm_type', u8],
])

/** NUD_* of linux/neighbour.h for ndm_state. */
export const NUD = {
  NUD_INCOMPLETE: 1,
  NUD_REACHABLE: 2,
  NUD_STALE: 4,
  NUD_DELAY: 8,
  NUD_PROBE: 16,
  NUD_FAILED: 32,
  NUD_NOARP: 64,
  NUD_PERMANENT: 128,
} as const
/** NTF_* of linux/neighbour.h for ndm_flags. */
export const NTF = {
  NTF_USE: 1,
  NTF_SELF: 2,
  NTF_MASTER: 4,
  NTF_PROXY: 8,
  NTF_EXT_LEARNED: 16,
  NTF_OFFLOADED: 32,
  NTF_STICKY: 64,
  NTF_ROUTER: 128,
} as const

/** struct nda_cacheinfo, linux/neighbour.h. Ages in clock ticks (1/100 s). */
export const nda_cacheinfo = struct('nda_cacheinfo', [
  ['ndm_confirmed', u32],
  ['ndm_used', u32],
  ['ndm_updated', u32],
  ['ndm_refcnt', u32],
])

/** NDA_* of linux/neighbour.h. NDA_DST is an IP address (in entries of family AF_BRIDGE the tunnel's far end). */
export const neigh = attrs('NDA', () => ({
  NDA_DST: [1, ip],
  NDA_LLADDR: [2, lladdr],
  NDA_CACHEINFO: [3, nda_cacheinfo],
  NDA_PROBES: [4, u32],
  NDA_VLAN: [5, u16],
  NDA_PORT: [6, be16],
  NDA_VNI: [7, u32],
  NDA_IFINDEX: [8, u32],
  NDA_MASTER: [9, u32],
  NDA_LINK_NETNSID: [10, s32],
  NDA_SRC_VNI: [11, u32],
  NDA_PROTOCOL: [12, u8],
  NDA_NH_ID: [13, u32],
  NDA_FDB_EXT_ATTRS: [14, bytes()],
  NDA_FLAGS_EXT: [15, u32],
}))
export type NeighAttributes = AttrsOf<(typeof neigh)['table']>

/** The payload of RTM_*NEIGH. */
export const neighMessage = family(ndmsg, neigh)
export type Neigh = Value<typeof neighMessage>
export type NeighRequest = FamilyRequest<(typeof ndmsg)['fields'], (typeof neigh)['table']>

/** Adds a neighbour, or with NTF_SELF and family AF_BRIDGE a MAC address to a device's filter; EEXIST if it is there. */
export function newNeigh(value: NeighRequest): Request {
  return neighMessage.request('RTM_NEWNEIGH', RTM.RTM_NEWNEIGH, NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL, value)
}

/** Makes the kernel resolve a neighbour, known or not, as a packet to it would (NTF_USE). */
export function useNeigh(value: NeighRequest): Request {
  const flags = NLM_F.NLM_F_CREATE | NLM_F.NLM_F_REPLACE
  return neighMessage.request('RTM_NEWNEIGH', RTM.RTM_NEWNEIGH, flags, { ...value, ndm_flags: NTF.NTF_USE })
}

/** Removes a neighbour; ENOENT if it isn't there. */
export function deleteNeigh(value: NeighRequest): Request {
  return neighMessage.request('RTM_DELNEIGH', RTM.RTM_DELNEIGH, 0, value)
}

/** For dump(): the neighbours of a family; with strict checking those of one device (NDA_IFINDEX) or master (NDA_MASTER). */
export function dumpNeighs(filter: NeighRequest = {}): Request {
  return neighMessage.request('RTM_GETNEIGH', RTM.RTM_GETNEIGH, 0, filter)
}

/** The neighbour in a message of RTM_NEWNEIGH. */
export function decodeNeigh(message: Message): Neigh {
  return neighMessage.decode(message.payload)
}
