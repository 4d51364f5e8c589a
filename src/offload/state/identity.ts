/** The names by which `vf-offload` finds its own things again: tc cookies, nft tables, routing tables. Pure. */
import { cookiePrefix } from '../../ops/marks/own-cookie.ts'
import type { Op } from '../../ops/op.ts'

export { filterPriority, onlyPriority } from '../../ops/marks/own-slots.ts'

/** The owner of filters, mappings and limits. */
export interface Attachment {
  readonly network: string
  readonly containerID: string
  readonly ifname: string
}

/** True where these operations make the table by which a pod takes redirected frames in (portmap/redirect/pod-mark.ts). */
export function marksPod(ops: readonly Op[]): boolean {
  return ops.some((op) => op.do === 'nft.load' && op.family === 'netdev')
}

/** Everything of one attachment carries one of these; all follow from the attachment alone, no file is needed. */
export interface Identity {
  /** TCA_ACT_COOKIE, 16 bytes as hex: magic 0x7666 ("vf"), version, kind, hash(network), hash(containerID, ifname). */
  readonly cookie: string
  /** Name of the nftables table in the pod. */
  readonly podTable: string
  /** Routing table in the pod for replies, the network's own: 0x70000000 and above, where no administrator counts to. */
  readonly routeTable: number
  /**
   * Comment on elements of the host's port map: the cookie, then words for people. At most 127 bytes (nft's limit for
   * comments) and without the quote that would end it: an interface name may hold one.
   */
  readonly owner: string
}

export { cookiePrefix }

/** Kinds of what a cookie stands on: port mappings, rate limits. */
const [kindPorts, kindRate] = ['01', '02']

/** Priority of our `ip rule`: before main (32766), after what an administrator puts first. */
export const rulePriority = 30_000

/** The identity of an attachment. `sha256` returns hex. */
export function identityOf(attachment: Attachment, sha256: (text: string) => string): Identity {
  const { network, containerID, ifname } = attachment
  // Neither part can hold a NUL, so no two pairs give the same text.
  const ownHash = sha256(`${containerID}\0${ifname}`)
  const cookie = `${networkPrefix(network, sha256)}${ownHash.slice(0, ownerDigits)}`
  return {
    cookie,
    podTable: `vf-flower-${cookie.slice(8)}`,
    routeTable:
      firstRouteTable + Number.parseInt(sha256(`${network}\0${containerID}\0${ifname}`).slice(0, 7), 16),
    owner: `${cookie} ${containerID.slice(0, 64)}/${ifname.replaceAll('"', "'")}`,
  }
}

/** 0x70000000 and 2**28 more are ours. */
const firstRouteTable = 0x70000000

/** The table that a version before used, for all networks of a container's interface. */
export function formerRouteTable(
  { containerID, ifname }: Attachment,
  sha256: (text: string) => string,
): number {
  return firstRouteTable + Number.parseInt(sha256(`${containerID}\0${ifname}`).slice(0, 7), 16)
}

/** True for the number of a table that some attachment of ours has in a pod. */
export function isRouteTable(table: number): boolean {
  return table >= firstRouteTable && table < firstRouteTable + 2 ** 28
}

/** The names of an attachment's rate limits. */
export interface RateIdentity {
  /** As Identity has it, of a kind of its own: both features of one attachment, in one or two entries of a list, are told apart. */
  readonly cookie: string
  /** Name of the ifb, on whichever side it is: 15 bytes, the most that an interface name has. */
  readonly ifb: string
  /**
   * Its MAC address: 76:66 ("vf", locally administered) and hash(network), as cookies have it. No frame carries it. It tells
   * what the name does not, and still does when the filter that leads to the ifb has gone with a veth pair.
   */
  readonly ifbMac: string
  /** Index that the policer in the NIC gets, or the next free one: 0x70000000 and above, where nobody counts to. */
  readonly limiter: number
}

/** The identity of an attachment's rate limits. `sha256` returns hex. */
export function rateIdentityOf(attachment: Attachment, sha256: (text: string) => string): RateIdentity {
  const { network, containerID, ifname } = attachment
  const ownHash = ownerHash({ containerID, ifname }, sha256)
  return {
    cookie: `${rateNetworkPrefix(network, sha256)}${ownHash}`,
    limiter: 0x70000000 + Number.parseInt(ownHash.slice(-6), 16),
    ifbMac: ifbMacOf(network, sha256),
    ifb: ifbOf(attachment, sha256),
  }
}

/** The name of an attachment's ifb. */
export function ifbOf(
  { network, containerID, ifname }: Attachment,
  sha256: (text: string) => string,
): string {
  return `vfr${sha256(`${network}\0${containerID}\0${ifname}`).slice(0, 12)}`
}

/** Hexadecimal digits at the end of a cookie that say whose it is within its network. */
const ownerDigits = 16

/** The end of an attachment's cookies, of whatever kind. */
export function ownerHash(
  { containerID, ifname }: Pick<Attachment, 'containerID' | 'ifname'>,
  sha256: (text: string) => string,
): string {
  return sha256(`${containerID}\0${ifname}`).slice(0, ownerDigits)
}

/** The end of a cookie: as {@link ownerHash} of its attachment. */
export function ownerOf(cookie: string): string {
  return cookie.slice(-ownerDigits)
}

/** The MAC address of all ifbs of a network. */
export function ifbMacOf(network: string, sha256: (text: string) => string): string {
  return ['76', '66', ...(sha256(network).slice(0, 8).match(/../g) ?? [])].join(':')
}

/** The beginning of the cookies of the rate limits of all attachments of a network. */
export function rateNetworkPrefix(network: string, sha256: (text: string) => string): string {
  return `${cookiePrefix}${kindRate}${sha256(network).slice(0, 8)}`
}

/** The beginning of the cookies of the port mappings of all attachments of a network. */
export function networkPrefix(network: string, sha256: (text: string) => string): string {
  return `${cookiePrefix}${kindPorts}${sha256(network).slice(0, 8)}`
}
