/**
 * Reads the addresses, routes and neighbours of an interface, and restores them later. Keeps the kernel's messages with unknown
 * attributes, as `ip route save` does, so that an object comes back whole.
 */
import { fromHex, toHex } from '../../lib/hex.ts'
import { type Addr, addrMessage, IFA_F, IFAPROT, newAddr } from '../../netlink/rtnl/addr.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import { changeLink, linkMessage } from '../../netlink/rtnl/link.ts'
import { neighMessage, newNeigh } from '../../netlink/rtnl/neigh.ts'
import { putRoute, RT_SCOPE, routeMessage } from '../../netlink/rtnl/route.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { CarriedItem, CarriedOp, Outcome } from '../../ops/op.ts'
import type { CarriedFacts, LinkFacts } from '../api/facts.ts'
import { bridgeVlansOf } from '../link/bridge.ts'
import { dumpedAddresses } from '../link/dumped-addresses.ts'
import { carriedPort } from './bridge-port.ts'
import { carriedNeighbours } from './neighbours.ts'
import { carriedRoutes } from './routes.ts'
import { carriedToken } from './token.ts'

/** The IFA_F_* flags that a request can set. The kernel sets the others to report the state of an address. */
const settable =
  IFA_F.IFA_F_NODAD |
  IFA_F.IFA_F_HOMEADDRESS |
  IFA_F.IFA_F_MANAGETEMPADDR |
  IFA_F.IFA_F_NOPREFIXROUTE |
  IFA_F.IFA_F_MCAUTOJOIN
/** INFINITY_LIFE_TIME of net/addrconf.h. */
const forEver = 0xffffffff

/** Everything that an interface carries. The requests name the interface where the kernel can filter by it. */
export function carriedBy(socket: NetlinkSocket, link: LinkFacts): CarriedFacts {
  const { ifindex } = link
  const all = dumpedAddresses(socket, ifindex)
  const isV4 = ({ ifa_family }: Addr) => ifa_family === AF.AF_INET
  // The kernel shows the newest address of IPv6 first. The items must be in the order of creation.
  const lasting = [...all.filter(isV4), ...all.filter((found) => !isV4(found)).reverse()].filter(
    (found) => !isKernels(found, link),
  )
  const globals = lasting.filter(({ ifa_scope: scope }) => scope < RT_SCOPE.RT_SCOPE_LINK)
  const routes = carriedRoutes(
    socket,
    link,
    globals.flatMap((found) => addressOf(found) ?? []),
  )
  return {
    items: [
      ...carriedPort(link),
      ...carriedToken(link),
      ...lasting.map((found) => addressItem(found, link.name)),
      ...carriedNeighbours(socket, link),
      ...routes.items,
    ],
    vlans: link.slaveKind === 'bridge' ? bridgeVlansOf(socket, ifindex) : undefined,
    globals: globals.map((found) => `${addressOf(found)}/${found.ifa_prefixlen}`),
    ...{ defaults: routes.defaults, shared: routes.shared, sources: routes.sources },
  }
}

/**
 * Restores one item on the interface with `ifindex`. An item that exists already stays (`existed`). Skips an address or a route
 * whose lifetime has ended in the `age` seconds since the read.
 * @throws RangeError when the message cannot be decoded
 */
export function giveCarried(socket: NetlinkSocket, ifindex: number, op: CarriedOp): Outcome {
  const payload = fromHex(op.message)
  const request =
    op.what === 'address'
      ? addressAgain(payload, ifindex, op.age)
      : op.what === 'route'
        ? routeAgain(payload, ifindex, op.age)
        : op.what === 'port' || op.what === 'token'
          ? changeLink({ ...linkMessage.decode(payload), ifi_index: ifindex })
          : newNeigh({ ...neighMessage.decode(payload), ndm_ifindex: ifindex })
  if (request === undefined) return {}
  try {
    socket.request(request)
    return {}
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'EEXIST') return { existed: true }
    throw error
  }
}

/** True for an address that the kernel makes by itself: the link-local address of the MAC, and temporary addresses. */
function isKernels(found: Addr, { mac }: LinkFacts): boolean {
  if (found.ifa_family === AF.AF_INET) return false
  if ((flagsOf(found) & IFA_F.IFA_F_SECONDARY) !== 0) return true
  // Kernels before 5.18 do not report the maker of an address (IFA_PROTO).
  const isLink = found.ifa_scope === RT_SCOPE.RT_SCOPE_LINK
  return found.IFA_PROTO === IFAPROT.IFAPROT_KERNEL_LL || (isLink && endsWithMac(addressOf(found), mac))
}

/** True for the link-local address whose interface identifier is made of the MAC (RFC 4291, appendix A). */
function endsWithMac(address: string | undefined, mac: string): boolean {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.split(':').map((byte) => Number.parseInt(byte, 16))
  const groups = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f]
  return address === `fe80::${groups.map((group) => group.toString(16)).join(':')}`
}

function addressItem(found: Addr, name: string): CarriedItem {
  const { IFA_CACHEINFO: life, IFA_LABEL: label, ...rest } = found
  const flags = flagsOf(found) & settable
  const own = addressOf(found)
  const peer = found.IFA_ADDRESS === own ? undefined : found.IFA_ADDRESS
  const timed = life !== undefined && life.ifa_valid !== forEver
  const message = addrMessage.encode({
    ...rest,
    ...{ ifa_index: 0, ifa_flags: flags & 0xff, IFA_FLAGS: flags },
    ...(label === undefined || label === name ? {} : { IFA_LABEL: label }),
    ...(timed ? { IFA_CACHEINFO: { ...life, cstamp: 0, tstamp: 0 } } : {}),
  })
  const words = [
    peer === undefined ? `${own}/${found.ifa_prefixlen}` : `${own} peer ${peer}/${found.ifa_prefixlen}`,
    ...(found.ifa_scope === RT_SCOPE.RT_SCOPE_UNIVERSE ? [] : [`scope ${found.ifa_scope}`]),
    ...(label === undefined || label === name ? [] : [`label ${label}`]),
    ...((flags & IFA_F.IFA_F_NOPREFIXROUTE) === 0 ? [] : ['noprefixroute']),
    ...((flags & IFA_F.IFA_F_MANAGETEMPADDR) === 0 ? [] : ['mngtmpaddr']),
    ...(found.IFA_RT_PRIORITY === undefined ? [] : [`metric ${found.IFA_RT_PRIORITY}`]),
  ]
  return { what: 'address', words: words.join(' '), message: toHex(message) }
}

function addressAgain(payload: Uint8Array, ifindex: number, age: number) {
  const found = addrMessage.decode(payload)
  const { IFA_CACHEINFO: life } = found
  if (life === undefined) return newAddr({ ...found, ifa_index: ifindex })
  if (life.ifa_valid <= age) return undefined
  const preferred = life.ifa_prefered === forEver ? forEver : Math.max(0, life.ifa_prefered - age)
  const left = { ...life, ifa_valid: life.ifa_valid - age, ifa_prefered: preferred }
  return newAddr({ ...found, ifa_index: ifindex, IFA_CACHEINFO: left })
}

function routeAgain(payload: Uint8Array, ifindex: number, age: number) {
  const found = routeMessage.decode(payload)
  const { RTA_EXPIRES: expires } = found
  if (expires !== undefined && expires <= age) return undefined
  const isOwn = found.RTA_OIF === 0
  return putRoute(
    {
      ...found,
      ...(isOwn ? { RTA_OIF: ifindex } : {}),
      ...(expires === undefined ? {} : { RTA_EXPIRES: expires - age }),
    },
    // Replace: IPv6 keeps a route without its source address when that address goes.
    !isOwn && found.rtm_family === AF.AF_INET6,
  )
}

function addressOf({ IFA_LOCAL, IFA_ADDRESS }: Addr): string | undefined {
  return IFA_LOCAL ?? IFA_ADDRESS
}

function flagsOf({ IFA_FLAGS, ifa_flags }: Addr): number {
  return IFA_FLAGS ?? ifa_flags
}
