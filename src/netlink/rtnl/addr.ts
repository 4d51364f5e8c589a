// IP addresses of interfaces: RTM_*ADDR, struct ifaddrmsg and IFA_* of linux/if_addr.h.
import { type AttrsOf, attrs } from '../codec/attrs.ts'
import { struct } from '../codec/struct.ts'
import { cstr, ip, s32, u8, u32, type Value } from '../codec/wire.ts'
import { type FamilyRequest, family, type Message, NLM_F, type Request } from '../message.ts'
import { RTM } from './const.ts'

/** struct ifaddrmsg, linux/if_addr.h. IFA_FLAGS replaces ifa_flags. */
export const ifaddrmsg = struct('ifaddrmsg', [
  ['ifa_family', u8],
  ['ifa_prefixlen', u8],
  ['ifa_flags', u8],
  ['ifa_scope', u8],
  ['ifa_index', u32],
])

/** IFA_F_* of linux/if_addr.h. */
export const IFA_F = {
  IFA_F_SECONDARY: 1,
  IFA_F_NODAD: 2,
  IFA_F_DADFAILED: 8,
  IFA_F_HOMEADDRESS: 0x10,
  IFA_F_TENTATIVE: 0x40,
  IFA_F_PERMANENT: 0x80,
  IFA_F_MANAGETEMPADDR: 0x100,
  IFA_F_NOPREFIXROUTE: 0x200,
  IFA_F_MCAUTOJOIN: 0x400,
} as const

/** IFAPROT_* of linux/if_addr.h for IFA_PROTO (Linux 5.18): the maker of an address. */
export const IFAPROT = { IFAPROT_KERNEL_LL: 3 } as const

/** struct ifa_cacheinfo, linux/if_addr.h. Lifetimes in seconds, 0xffffffff = for ever; stamps in 1/100 s. */
export const ifa_cacheinfo = struct('ifa_cacheinfo', [
  ['ifa_prefered', u32],
  ['ifa_valid', u32],
  ['cstamp', u32],
  ['tstamp', u32],
])

/** IFA_* of linux/if_addr.h. IFA_LOCAL is the interface's own IPv4 address, IFA_ADDRESS the peer's or the same. */
export const addr = attrs('IFA', () => ({
  IFA_ADDRESS: [1, ip],
  IFA_LOCAL: [2, ip],
  IFA_LABEL: [3, cstr(16)],
  IFA_BROADCAST: [4, ip],
  IFA_ANYCAST: [5, ip],
  IFA_CACHEINFO: [6, ifa_cacheinfo],
  IFA_MULTICAST: [7, ip],
  IFA_FLAGS: [8, u32],
  IFA_RT_PRIORITY: [9, u32],
  IFA_TARGET_NETNSID: [10, s32],
  IFA_PROTO: [11, u8],
}))
export type AddrAttributes = AttrsOf<(typeof addr)['table']>

/** The payload of RTM_*ADDR. */
export const addrMessage = family(ifaddrmsg, addr)
export type Addr = Value<typeof addrMessage>
export type AddrRequest = FamilyRequest<(typeof ifaddrmsg)['fields'], (typeof addr)['table']>

/** Adds an address; EEXIST if the interface has it. */
export function newAddr(value: AddrRequest): Request {
  return addrMessage.request('RTM_NEWADDR', RTM.RTM_NEWADDR, NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL, value)
}

/** Removes an address; EADDRNOTAVAIL if the interface doesn't have it. */
export function deleteAddr(value: AddrRequest): Request {
  return addrMessage.request('RTM_DELADDR', RTM.RTM_DELADDR, 0, value)
}

/** For dump(): all addresses, or with strict checking those of `ifa_family` and `ifa_index`. */
export function dumpAddrs(filter: AddrRequest = {}): Request {
  return addrMessage.request('RTM_GETADDR', RTM.RTM_GETADDR, 0, filter)
}

/** The address in a message of RTM_NEWADDR. */
export function decodeAddr(message: Message): Addr {
  return addrMessage.decode(message.payload)
}
