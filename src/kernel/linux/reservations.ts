import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { ReservationOp } from '../../ops/op.ts'
import type { ReservationKernel } from '../api/reservations.ts'
import { inspect, nftables, ownConnections } from './lazy.ts'
import type { OpenSides } from './open-sides.ts'
import { done, type Runs } from './runs.ts'

/** Host ports that an attachment takes, and tables of nftables. */
export const reservationRuns: Runs<ReservationOp['do']> = {
  'ports.reserve': (sides, op) => {
    nftables().reservePorts(hostNetfilter(sides), op)
    return done
  },
  'ports.release': (sides, op) => {
    nftables().releasePorts(hostNetfilter(sides), op.owner.split(' ')[0] ?? op.owner, op)
    return done
  },
  'localports.reserve': (_, op) => {
    ownConnections().reserveLocalPorts(op.ports)
    return done
  },
  'localports.release': (_, { ports, were }) => {
    ownConnections().releaseLocalPorts(ports.filter((port) => !were.includes(port)))
    return done
  },
  'nft.load': ({ nft }, op) => {
    nftables().loadTable(nft(op.side), op.text)
    return done
  },
  'nft.drop': ({ socket }, op) => {
    nftables().dropTable(socket(op.side, nftables().NETLINK_NETFILTER), op.table, op.family)
    return done
  },
}

/** Questions about reservations. */
export function reservationKernel(sides: OpenSides): ReservationKernel {
  const { netfilter } = sides
  return {
    portTable: () => netfilter('host', (opened) => nftables().portTable(opened), undefined),
    reservePorts: (reservation, table) => nftables().reservePorts(hostNetfilter(sides), reservation, table),
    releasePorts: (cookie, known, table) =>
      netfilter('host', (opened) => nftables().releasePorts(opened, cookie, known, table), {
        keys: [],
        tableGone: false,
      }),
    completeTable: (wanted) =>
      netfilter('host', (opened) => nftables().completeTable(opened, wanted), {
        ...{ table: undefined, restored: [], refused: [] },
      }),
    hasReservation: (cookie) =>
      netfilter('host', (opened) => nftables().hasReservation(opened, cookie), false),
    reservedCookies: (prefix) =>
      netfilter('host', (opened) => nftables().reservedCookies(opened, prefix), []),
    openedPorts: (cookie, keys) =>
      netfilter('host', (opened) => inspect().openedPorts(opened, cookie, keys), []),
    everyOpenedPort: () => netfilter('host', (opened) => inspect().everyOpenedPort(opened), []),
    steeredPorts: () => netfilter('host', (opened) => ownConnections().steeredPorts(opened), []),
    loopbackPorts: () => netfilter('host', (opened) => nftables().loopbackPorts(opened), []),
    localPorts: () => [...ownConnections().reservedLocalPorts()],
    forgetConnections: (keys) => {
      if (keys.some(({ proto }) => proto === 'udp'))
        netfilter('host', (opened) => nftables().forgetConnections(opened, keys), undefined)
    },
    dropPodTable: (table, family) =>
      netfilter('pod', (opened) => nftables().dropTable(opened, table, family), undefined),
  }
}

/** Throws EPROTONOSUPPORT for a kernel without netfilter's netlink: nothing can be reserved there. */
function hostNetfilter({ socket }: OpenSides): NetlinkSocket {
  return socket('host', nftables().NETLINK_NETFILTER)
}
