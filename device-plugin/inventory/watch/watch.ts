/**
 * Watches the node: uevents, rtnetlink and devlink. Many notifications become few calls of onChange, each of which is one scan. A
 * notification is a hint to look, so that a wrong one costs a scan and a lost one is made up for by the periodic scan.
 *
 * Uevents of interfaces go to the namespace of the interface; those of PCI functions, drivers and other devices without a namespace go
 * to every network namespace of the first user namespace (kobject_uevent_net_broadcast). A device plugin runs in the host's namespace
 * (`hostNetwork`), and gets all of them there. In a namespace of another user namespace it would hear nothing of PCI.
 */
import { devlinkFamily, devlinkGroup } from '../../../src/netlink/genl/devlink.ts'
import {
  decodeFamily,
  GENL_ID_CTRL,
  type GenericFamily,
  getFamily,
  NETLINK_GENERIC,
} from '../../../src/netlink/genl/genl.ts'
import { type Message, parseDatagram } from '../../../src/netlink/message.ts'
import { RTM, RTNLGRP } from '../../../src/netlink/rtnl/const.ts'
import { dumpLinks } from '../../../src/netlink/rtnl/link.ts'
import { NetlinkError, NetlinkSocket } from '../../../src/netlink/socket.ts'
import { NETLINK_KOBJECT_UEVENT, parseUevents, ueventGroups } from '../../../src/netlink/uevent.ts'
import { virtualNetworkFilter } from '../../../src/netlink/uevent-filter.ts'
import type { Change } from './change.ts'
import { changeOfDevlink } from './devlink.ts'
import { HostTable } from './host.ts'
import { LinkTable } from './links.ts'
import { Source, type Subscription, type WatchPort } from './source.ts'
import { changeOfUevent } from './uevents.ts'
import { type WindowOptions, Windows } from './window.ts'

const NETLINK_ROUTE = 0
/** Milliseconds between two calls of onLost. */
const lossPeriod = 60_000

/** Options of {@link watchNode}. */
export interface WatchOptions extends WindowOptions {
  readonly port: WatchPort
  /** A socket was lost or could not be opened, or a message could not be decoded. For the log: called at most once a minute. */
  readonly onLost?: (error: unknown) => void
}

/** Counters since the start. */
export interface WatchStats {
  /** Uevents and messages that came; uevents of interfaces without a device are dropped by the kernel. */
  readonly received: number
  /** Those of them that were changes. */
  readonly changes: number
  /** Times that notifications were lost: overruns, sockets that could not be opened, messages that could not be decoded. */
  readonly lost: number
  /** Calls of onChange, and those that threw. */
  readonly runs: number
  readonly failures: number
  /** Milliseconds from one scan to the next without a change. */
  readonly period: number
  /** Sockets that are open, of three. */
  readonly sockets: number
}

/** A watch that goes on. */
export interface Watch {
  /** Asks for a scan by a reason of the caller's own, in a window as all others. */
  touch(subject: string): void
  stats(): WatchStats
  /** Closes the sockets. onChange is not called any more; a call that is at work goes on. */
  close(): void
}

/**
 * Watches the node until close(). Throws nothing: a socket that can't be opened is tried again, and the periodic scan goes on. Call it
 * before the first scan, which then misses nothing.
 */
export function watchNode(options: WatchOptions): Watch {
  const { port, clock, onLost } = options
  const windows = new Windows(options)
  const links = new LinkTable()
  const host = new HostTable(links)
  let received = 0
  let changes = 0
  let lost = 0
  let toldAt = Number.NEGATIVE_INFINITY

  const note = (change: Change | undefined) => {
    received++
    if (change === undefined) return
    changes++
    windows.add(change)
  }
  const source = (subject: string, protocol: number, groups: readonly number[], rest: Handlers) =>
    new Source({
      ...{ port, clock, protocol, groups, ...rest },
      lost: (error) => {
        lost++
        windows.add({ kind: 'lost', subject })
        if (error === undefined || clock.now() - toldAt < lossPeriod) return
        toldAt = clock.now()
        onLost?.(error)
      },
    })

  const uevents = source('uevents', NETLINK_KOBJECT_UEVENT, ueventGroups, {
    filter: virtualNetworkFilter(),
    take: (datagrams) => {
      for (const event of parseUevents(datagrams)) note(changeOfUevent(event))
    },
  })
  const routes = source('rtnetlink', NETLINK_ROUTE, Object.values(RTNLGRP), {
    take: (datagrams) => {
      for (const message of parseDatagram(datagrams)) {
        const isLink = message.type === RTM.RTM_NEWLINK || message.type === RTM.RTM_DELLINK
        const change = (isLink ? links : host).take(message)
        if (isLink && change !== undefined) host.forget()
        note(change)
      }
    },
    opened: () => {
      links.reset(answersOf(port, NETLINK_ROUTE, (socket) => socket.dump(dumpLinks())))
      host.forget()
    },
  })
  let devlink: GenericFamily | undefined
  let generic: Subscription | undefined
  const useFamily = (family: GenericFamily | undefined) => {
    const group = family?.groups.get(devlinkGroup)
    if (family?.name !== devlinkFamily || group === undefined) return
    devlink = family
    generic?.join(group)
  }
  const devlinks = source('devlink', NETLINK_GENERIC, [GENL_ID_CTRL], {
    take: (datagrams) => {
      for (const message of parseDatagram(datagrams)) {
        // The module of devlink may be loaded, or loaded again, at any time: its family tells so.
        if (message.type === GENL_ID_CTRL) useFamily(decodeFamily(message))
        note(message.type === devlink?.id ? changeOfDevlink(message) : undefined)
      }
    },
    opened: (subscription) => {
      generic = subscription
      useFamily(familyOf(port, devlinkFamily))
    },
  })

  const sources = [uevents, routes, devlinks]
  return {
    touch: (subject) => windows.add({ kind: 'asked', subject }),
    stats: () => ({
      ...{ received, changes, lost, ...windows.stats },
      sockets: sources.filter(({ isOpen }) => isOpen).length,
    }),
    close: () => {
      windows.close()
      for (const one of sources) one.close()
    },
  }
}

/** The part of a source that differs. */
interface Handlers {
  readonly filter?: Uint8Array
  take(datagrams: Uint8Array): void
  opened?(subscription: Subscription): void
}

function answersOf<T>(port: WatchPort, protocol: number, ask: (socket: NetlinkSocket) => T): T {
  const socket = new NetlinkSocket(port.connect(protocol))
  try {
    return ask(socket)
  } finally {
    socket.close()
  }
}

/** The family of that name; undefined when the kernel has none yet. */
function familyOf(port: WatchPort, name: string): GenericFamily | undefined {
  try {
    const messages: readonly Message[] = answersOf(
      port,
      NETLINK_GENERIC,
      (socket) => socket.request(getFamily(name)).messages,
    )
    return messages.map(decodeFamily).find((family) => family !== undefined)
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENOENT') return undefined
    throw error
  }
}
