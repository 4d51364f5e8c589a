/**
 * The interfaces of the namespace, as far as it takes to tell which messages about interfaces could change the inventory. Holds one
 * small entry for each interface.
 *
 * An interface belongs to hardware when the kernel names its parent device, or when it has no kind and is not the loopback (all kernels
 * before 5.14 name no parent), or when it is IPoIB. It stands on hardware when it belongs to hardware, is the master of an interface
 * that stands on hardware (bond, bridge, OVS), or is a VLAN on one.
 */
import { eachAttribute } from '../../../src/netlink/codec/tlv.ts'
import type { Message } from '../../../src/netlink/message.ts'
import { AF, RTM } from '../../../src/netlink/rtnl/const.ts'
import { ARPHRD, decodeLink, IFF, ifinfomsg, type Link } from '../../../src/netlink/rtnl/link.ts'
import type { Change } from './change.ts'

/** One interface. */
interface Entry {
  readonly isHardware: boolean
  readonly master: number | undefined
  /** The interface below a VLAN. */
  readonly below: number | undefined
  /** Its facts in the inventory, as text. */
  readonly shown: string
  /** A hash of all else that the last notification has said; undefined before the first one. */
  readonly rest: number | undefined
}

/** VLANs on bonds on bridges: more levels are a loop. */
const mostLevels = 8

/** See the head of this file. */
export class LinkTable {
  readonly #entries = new Map<number, Entry>()

  /** Forgets everything, and fills in the messages of a dump. */
  reset(dump: readonly Message[]): void {
    this.#entries.clear()
    for (const message of dump) {
      const link = linkOf(message)
      // Fields of a dump differ from those of a notification.
      if (link !== undefined) this.#entries.set(link.ifi_index, { ...entryOf(link), rest: undefined })
    }
  }

  /** Interfaces that are known. */
  get size(): number {
    return this.#entries.size
  }

  /** An interface that stands on hardware, or that is not known. */
  concerns(index: number): boolean {
    return !this.#entries.has(index) || this.#isOnHardware(index)
  }

  /**
   * The change that RTM_NEWLINK or RTM_DELLINK tells of; undefined when the inventory can't show it:
   * - an interface that does not stand on hardware, whatever happens to it;
   * - a message of another family than AF_UNSPEC (ports of bridges), or of wireless extensions: both lack most attributes;
   * - a difference in what the inventory lacks alone, such as MTU, queue length, features, XDP programs, or a message with IFLA_EVENT.
   *
   * A message about hardware that differs in nothing is a `vf` change: after a change of a VF attribute the kernel sends the PF's
   * message, in which VF attributes are absent (do_setlink, rtmsg_ifinfo). It is also sent when a macvlan or VLAN is made on it. The
   * kernel tells of VF attributes and altnames only while the interface is up (netdev_state_change): of an interface that is down the
   * periodic scan sees them.
   * @throws RangeError for a message that can't be decoded
   */
  take(message: Message): Change | undefined {
    const link = linkOf(message)
    if (link === undefined) return undefined
    const { ifi_index: index } = link
    const subject = link.IFLA_IFNAME ?? String(index)
    const before = this.#entries.get(index)
    if (message.type === RTM.RTM_DELLINK) {
      const matters = entryOf(link).isHardware || (before !== undefined && this.#isOnHardware(index))
      this.#entries.delete(index)
      return matters ? { kind: 'link', subject } : undefined
    }
    const rest = hashOf(message.payload)
    const now = { ...entryOf(link), rest }
    const wasOn = before !== undefined && this.#isOnHardware(index)
    this.#entries.set(index, now)
    if (!wasOn && !this.#isOnHardware(index)) return undefined
    if (before?.shown !== now.shown) return { kind: 'link', subject }
    const isSame = before.rest === undefined || before.rest === rest
    return now.isHardware && isSame && link.IFLA_EVENT === undefined ? { kind: 'vf', subject } : undefined
  }

  #isOnHardware(index: number, level = 0): boolean {
    const entry = this.#entries.get(index)
    if (level > mostLevels || entry === undefined) return false
    if (entry.isHardware) return true
    if (entry.below !== undefined && this.#isOnHardware(entry.below, level + 1)) return true
    for (const [port, { master }] of this.#entries)
      if (master === index && this.#isOnHardware(port, level + 1)) return true
    return false
  }
}

function linkOf(message: Message): Link | undefined {
  // Read before the rest, which other families fill in another way.
  if (message.payload[0] !== AF.AF_UNSPEC) return undefined
  const link = decodeLink(message)
  return link.IFLA_IFNAME === undefined || link.IFLA_WIRELESS !== undefined ? undefined : link
}

function entryOf(link: Link): Omit<Entry, 'rest'> {
  const kind = link.IFLA_LINKINFO?.IFLA_INFO_KIND
  const isHardware =
    link.IFLA_PARENT_DEV_NAME !== undefined ||
    kind === 'ipoib' ||
    (kind === undefined && link.ifi_type !== ARPHRD.ARPHRD_LOOPBACK)
  const { IFF_UP, IFF_LOWER_UP } = IFF
  const names = [link.IFLA_IFNAME, link.IFLA_PROP_LIST, link.ifi_flags & IFF_UP, link.IFLA_MASTER]
  const ports = [link.IFLA_ADDRESS, link.ifi_flags & IFF_LOWER_UP, link.IFLA_OPERSTATE]
  const ids = [hexOf(link.IFLA_PHYS_SWITCH_ID), hexOf(link.IFLA_PHYS_PORT_ID)]
  const phys = [...ids, link.IFLA_PHYS_PORT_NAME, link.IFLA_PARENT_DEV_NAME]
  return {
    isHardware,
    master: link.IFLA_MASTER,
    // A VLAN whose IFLA_LINK is in another namespace has IFLA_LINK_NETNSID.
    below: kind === 'vlan' && link.IFLA_LINK_NETNSID === undefined ? link.IFLA_LINK : undefined,
    shown: JSON.stringify(isHardware ? [...names, ...ports, ...phys] : names),
  }
}

function hexOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('hex')
}

/** Attributes of linux/if_link.h that count, and so differ from one message to the next: IFLA_STATS, IFLA_STATS64, IFLA_AF_SPEC, IFLA_CARRIER_CHANGES, IFLA_CARRIER_UP_COUNT, IFLA_CARRIER_DOWN_COUNT. */
const counting: readonly number[] = [7, 23, 26, 35, 47, 48]

/** A 32-bit FNV-1a hash of flags and attributes. An equal hash of a different message costs a needless scan. */
function hashOf(payload: Uint8Array): number {
  let hash = 0x811c9dc5
  const add = (from: number, to: number) => {
    for (let at = from; at < to; at++) hash = Math.imul(hash ^ (payload[at] as number), 0x01000193)
  }
  // ifi_flags, without ifi_change.
  add(8, 12)
  eachAttribute('IFLA', payload, ifinfomsg.size, payload.length, (type, _flags, start, stop) => {
    if (!counting.includes(type)) add(start - 4, stop)
  })
  return hash
}
