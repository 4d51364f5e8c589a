/**
 * The real kernel: operations become netlink requests here, one case each; `link.move` has a file of its own because
 * it is the one that can stop half-way between two namespaces.
 */
import { notice } from '../lib/log/notice.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import type { Announce, FlowFilterOp, Op, Outcome, Side } from '../ops/op.ts'
import { SystemError } from '../sys/errno.ts'
import { readText, writeValue } from '../sys/files.ts'
import { withNetns } from '../sys/namespaces.ts'
import { openNetlink } from '../sys/netlink.ts'
import { sendFrames } from '../sys/packet.ts'
import { sleep } from '../sys/sleep.ts'
import type { Kernel } from './api/kernel.ts'
import type { OpenNetns } from './api/machine.ts'
import {
  addressesOn,
  allRoutes,
  changeAddress,
  changeRoute,
  hasDefaultRoute,
  interfaceTo,
  routesOfTable,
  settledAddresses,
  useNeighbour,
} from './ip/addressing.ts'
import { announcements } from './ip/announce.ts'
import { bridgeVlansOf, changeBridgeVlan, isVepa } from './link/bridge.ts'
import { rebindDriver, resetFunction } from './link/driver-rebind.ts'
import { isSwitchdev } from './link/eswitch-mode.ts'
import { allLinks, changeAltname, findLink, mustFindLink, setLinkAttributes } from './link/links.ts'
import { moveLink } from './link/move.ts'
import { lowerNetnsOf, otherEndOf } from './link/other-end.ts'
import { lookBeforeMove } from './link/preflight.ts'
import { settingOps, settingsOf } from './link/settings.ts'
import { setVf } from './link/vfs.ts'
import type { NftResult, RunNft } from './nftables/nft-program.ts'
import type { Sides } from './tc/rate-operations.ts'

/** Half of what lies below the plugins: loaded by calls that touch filters or rates, not by those that attach. */
const offload = () => require('./lazy-tc.ts') as typeof import('./lazy-tc.ts')

/** What port mappings need beside: the whole of it for a pod behind a veth. */
const tables = () => require('./lazy-nftables.ts') as typeof import('./lazy-nftables.ts')

/** The qdisc that filters hang on. */
const clsact = () => require('./tc/clsact.ts') as typeof import('./tc/clsact.ts')

/** The guard of an interface by which programs at 127.0.0.1 reach a pod. */
const guard = () => require('./tc/loopback-guard.ts') as typeof import('./tc/loopback-guard.ts')

/** The other end of a pod's veth pair. */
const pair = () => require('./link/veth-peer.ts') as typeof import('./link/veth-peer.ts')

/** What port mappings on a wire need beside, to keep the node's own connections. */
const keeping = () => require('./lazy-own-connections.ts') as typeof import('./lazy-own-connections.ts')

/** What a pod may have left on an interface. */
const residue = () => require('./link/residue.ts') as typeof import('./link/residue.ts')

/** What only CHECK, STATUS and vfctl ask for. */
const looks = () => require('./lazy-inspect.ts') as typeof import('./lazy-inspect.ts')

/** What of it only an interface needs that carries something. */
const carried = () => require('./carried/carried.ts') as typeof import('./carried/carried.ts')

const NETLINK_ROUTE = 0
const NETLINK_GENERIC = 16

/** How often to look for a carrier, in milliseconds. */
const carrierPoll = 5

/** Opens the kernel. Sockets are made when first used; `close` closes them. */
export function openLinuxKernel(pod?: OpenNetns): Kernel {
  const sockets = new Map<string, NetlinkSocket>()
  const podNetns = (): OpenNetns => {
    if (pod !== undefined) return pod
    throw new Error('Cannot reach the pod: no namespace was given')
  }
  const open = (side: Side, protocol: number): NetlinkSocket =>
    new NetlinkSocket(openNetlink(protocol, side === 'pod' ? podNetns() : undefined))
  const socket = (side: Side, protocol = NETLINK_ROUTE): NetlinkSocket => {
    const key = `${side} ${protocol}`
    const known = sockets.get(key)
    if (known !== undefined) return known
    const opened = open(side, protocol)
    sockets.set(key, opened)
    return opened
  }
  /** One that its user closes. */
  const openRoute = (side: Side): NetlinkSocket => open(side, NETLINK_ROUTE)
  const inside = <T>(side: Side, action: () => T): T =>
    side === 'pod' && pod !== undefined ? withNetns(pod, action) : action()
  const nft =
    (side: Side): RunNft =>
    (args, input) =>
      inside(side, () => runNft(args, input, side === 'pod' ? podPatience : undefined))
  /** What a kernel without netfilter's netlink has is what `action` would find nowhere. */
  const netfilter = <T>(side: Side, action: (socket: NetlinkSocket) => T, nothing: T): T => {
    let opened: NetlinkSocket
    try {
      opened = socket(side, tables().NETLINK_NETFILTER)
    } catch (error) {
      if (error instanceof SystemError && error.code === 'EPROTONOSUPPORT') return nothing
      throw error
    }
    return action(opened)
  }
  // Numbers of interfaces that were looked at, by side and name: an operation needs no second look.
  const known = new Map<string, number>()
  const indexOf = (side: Side, name: string): number => {
    const key = `${side} ${name}`
    const ifindex = known.get(key) ?? mustFindLink(socket(side), name).ifindex
    known.set(key, ifindex)
    return ifindex
  }
  /** Runs what may give a name to another interface. */
  const renaming = (action: () => void): void => {
    try {
      action()
    } finally {
      known.clear()
    }
  }

  const sides: Sides = {
    route: socket,
    generic: () => socket('host', NETLINK_GENERIC),
    indexOf,
    forget: () => known.clear(),
  }

  const runAll = (ops: readonly FlowFilterOp[]): (Outcome | Error)[] => {
    const steers = ops.map(({ rule, ...op }) => {
      return { ...op, ifindex: rule.ifindex ?? indexOf('host', rule.link), spec: rule }
    })
    const { addFlowFilters, removeFlowFilters } = offload()
    return (ops[0]?.do === 'steer.add' ? addFlowFilters : removeFlowFilters)(socket('host'), steers)
  }

  const run = (op: Op): Outcome => {
    switch (op.do) {
      case 'vf.set':
        setVf(socket('host'), indexOf('host', op.pf), op.vf, op.set, op.was)
        return {}
      case 'link.move':
        renaming(() => moveLink(socket, pod, op))
        return {}
      case 'link.set':
        setLinkAttributes(socket(op.side), op, (name) => indexOf(op.side, name))
        return {}
      case 'altname.add':
      case 'altname.del': {
        const ifindex = op.ifindex ?? indexOf(op.side, op.name)
        renaming(() => changeAltname(socket(op.side), op.do === 'altname.add', ifindex, op.altname))
        return {}
      }
      case 'addr.add':
      case 'addr.del':
        changeAddress(socket(op.side), verb(op.do), op.ifindex ?? indexOf(op.side, op.link), op.address)
        return {}
      case 'route.add':
      case 'route.del':
        return changeRoute(
          socket(op.side),
          verb(op.do),
          op.route.ifindex ?? indexOf(op.side, op.route.link),
          op.route,
        )
      case 'carried.give':
        return carried().giveCarried(socket('host'), op.ifindex, op)
      case 'rule.add':
      case 'rule.del':
        return offload().changeRule(socket(op.side), verb(op.do), op.rule)
      case 'sysctl.set':
        inside(op.side, () => setSysctl(op))
        return {}
      case 'bridge.vlan.add':
      case 'bridge.vlan.del':
        changeBridgeVlan(socket(op.side), verb(op.do), indexOf(op.side, op.link), op.vlan)
        return {}
      case 'program.detach':
      case 'link.del':
      case 'link.flick':
      case 'ethtool.set':
      case 'netdev.set':
        residue().clean(socket('side' in op ? op.side : 'host'), op)
        return {}
      case 'driver.rebind':
        renaming(() => rebindDriver(op.pci, op.driver))
        return {}
      case 'function.reset':
        resetFunction(op.pci)
        return {}
      case 'clsact.add':
        return clsact().addClsact(socket(op.side), op.ifindex ?? indexOf(op.side, op.link))
      case 'clsact.del':
        clsact().dropEmptyClsact(() => openRoute(op.side), op.ifindex ?? indexOf(op.side, op.link))
        return {}
      case 'steer.add':
      case 'steer.del': {
        const [result] = runAll([op])
        if (result instanceof Error) throw result
        return result ?? {}
      }
      case 'shaper.add':
      case 'shaper.del':
      case 'ifb.add':
      case 'ifb.del':
      case 'detour.add':
      case 'detour.del':
      case 'police.add':
      case 'police.del':
      case 'meter.add':
      case 'meter.del':
      case 'limiter.add':
      case 'limiter.del':
      case 'devlink.rate.set':
        return offload().runRateOp(sides, op)
      case 'guard.add':
        return guard().addGuard(socket('host'), op.ifindex, op.isBridge)
      case 'guard.del':
        guard().removeGuard(socket('host'), op.ifindex)
        return {}
      case 'ports.reserve':
        tables().reservePorts(socket('host', tables().NETLINK_NETFILTER), op)
        return {}
      case 'ports.release':
        tables().releasePorts(
          socket('host', tables().NETLINK_NETFILTER),
          op.owner.split(' ')[0] ?? op.owner,
          op,
        )
        return {}
      case 'localports.reserve':
        keeping().reserveLocalPorts(op.ports)
        return {}
      case 'localports.release':
        keeping().releaseLocalPorts(op.ports.filter((port) => !op.were.includes(port)))
        return {}
      case 'nft.load':
        tables().loadTable(nft(op.side), op.text)
        return {}
      case 'nft.drop':
        tables().dropTable(socket(op.side, tables().NETLINK_NETFILTER), op.table)
        return {}
      case 'neigh.use':
        useNeighbour(socket(op.side), op.ifindex ?? indexOf(op.side, op.link), op.address)
        return {}
      case 'announce':
        announce(socket('pod'), op.ifindex ?? indexOf('pod', op.link), pod, op)
        return {}
    }
  }

  const link: Kernel['link'] = (side, by, options) => {
    const found = findLink(socket(side), by, options?.vfs === true)
    if (found !== undefined) known.set(`${side} ${typeof by === 'number' ? found.name : by}`, found.ifindex)
    else if (typeof by === 'string') known.delete(`${side} ${by}`)
    return found
  }
  const rates = () => offload().rateKernel(sides)

  return {
    run,
    runAll,
    link,
    peer: (link) => pair().peerOnHost(socket('host'), podNetns(), link),
    otherEnd: (place) => otherEndOf(socket('host'), pod, place),
    lowerNetns: (link) => lowerNetnsOf(socket('pod'), link),
    links: (side) => allLinks(socket(side)),
    addresses: (side, ifindex) => addressesOn(socket(side), ifindex),
    lookBeforeMove: (link) => lookBeforeMove(socket('host'), () => socket('pod'), podNetns(), link),
    carried: (link) => carried().carriedBy(socket('host'), link),
    residue: (link) => residue().residueOf(socket('host'), link),
    tuning: (name, files) => residue().tuningOf(name, files),
    tuningOps: (name, was, now) => residue().tuningOps(name, was, now),
    podUppers: (side, ifindex) => residue().podUppers(socket('pod'), side, ifindex),
    settings: (link) => settingsOf(link),
    settingOps: (link, was) => settingOps(link.name, was, settingsOf(link)),
    bridgeVlans: (side, ifindex) => bridgeVlansOf(socket(side), ifindex),
    routes: (side, table) =>
      table === undefined ? allRoutes(socket(side)) : routesOfTable(() => openRoute(side), table),
    hasDefaultRoute: (side, family, ifindex) => hasDefaultRoute(() => openRoute(side), family, ifindex),
    sourceRules: (side, family) => offload().sourceRules(() => openRoute(side), family),
    rates,
    ownFilters: (prefix, side = 'host', places) =>
      offload().findOwnFilters(() => openRoute(side), prefix, places, side === 'pod' ? podSlot : undefined),
    placedFilters: (filters) => offload().findPlaced(socket('host'), filters),
    removeFilters: (filters, side = 'host') => offload().deleteOwnFilters(socket(side), filters),
    removeReplies: (rules, routes) => offload().removeReplies(socket('pod'), rules, routes),
    removeTable: (table, priority) => offload().removeTable(() => openRoute('pod'), table, priority),
    dropPodNat: (table) => netfilter('pod', (opened) => tables().dropTable(opened, table), undefined),
    releasePorts: (cookie, known, table) =>
      netfilter('host', (opened) => tables().releasePorts(opened, cookie, known, table), {
        keys: [],
        tableGone: false,
      }),
    portTable: () => netfilter('host', (opened) => tables().portTable(opened), undefined),
    reservePorts: (reservation, table) =>
      tables().reservePorts(socket('host', tables().NETLINK_NETFILTER), reservation, table),
    completeTable: (wanted) =>
      netfilter('host', (opened) => tables().completeTable(opened, wanted), {
        ...{ table: undefined, restored: [], refused: [] },
      }),
    forgetConnections: (keys) => {
      if (keys.some(({ proto }) => proto === 'udp'))
        netfilter('host', (opened) => tables().forgetConnections(opened, keys), undefined)
    },
    listeners: (proto) => tables().listenersOf(socket('host', tables().NETLINK_SOCK_DIAG), proto),
    foreignNat: (keys) =>
      tables().foreignNat(
        {
          netfilter: netfilter<NetlinkSocket | undefined>('host', (opened) => opened, undefined),
          generic: () => socket('host', NETLINK_GENERIC),
          hasLink: (name) => findLink(socket('host'), name) !== undefined,
        },
        keys,
      ),
    programWith: (inode) => tables().programWith(inode),
    openConnections: (keys) =>
      keeping().openConnections(
        socket('host', tables().NETLINK_SOCK_DIAG),
        (action) => netfilter('host', action, []),
        keys,
      ),
    localPorts: () => [...keeping().reservedLocalPorts()],
    steeredPorts: () => netfilter('host', (opened) => keeping().steeredPorts(opened), []),
    loopbackPorts: () => netfilter('host', (opened) => tables().loopbackPorts(opened), []),
    interfaceTo: (address) => interfaceTo(socket('host'), address),
    sysctl: (side, key) => inside(side, () => readText(`/proc/sys/${key}`)?.trim()),
    hasIngress: (ifindex, side = 'host') => clsact().hasIngress(socket(side), ifindex),
    dropEmptyClsact: (ifindex) => clsact().dropEmptyClsact(() => openRoute('host'), ifindex),
    guardFacts: (ifindex) => guard().guardFacts(socket('host'), ifindex),
    reservedCookies: (prefix) => netfilter('host', (opened) => tables().reservedCookies(opened, prefix), []),
    hasReservation: (cookie) => netfilter('host', (opened) => tables().hasReservation(opened, cookie), false),
    isSwitchdev: (pci) => isSwitchdev(socket('host', NETLINK_GENERIC), pci),
    conflicts: (link, specs, ownPrefix) => offload().conflictsOf(socket('host'), link, specs, ownPrefix),
    isVepa: (ifindex) => isVepa(socket('host'), ifindex),
    filterCounters: (rules) => looks().filterCounters(socket('host'), rules, (name) => indexOf('host', name)),
    limitCounters: (op) => looks().limitCounters(sides, op),
    openedPorts: (cookie, expected) =>
      netfilter('host', (opened) => looks().openedPorts(opened, cookie, expected), []),
    linkCounters: (side, name) => looks().linkCounters(socket(side), name),
    tcOffload: (ifindex) => looks().tcOffloadOf(socket('host', NETLINK_GENERIC), ifindex),
    missingNeeds: (wanted) => looks().missingNeeds(wanted, runNft),
    verify: (done) => {
      const guardOf = (ifindex: number, isBridge: boolean) =>
        guard().guardDifferences(socket('host'), ifindex, isBridge)
      const netfilterSocket = () => socket('host', tables().NETLINK_NETFILTER)
      return looks().verify(
        { socket, open: openRoute, netfilter: netfilterSocket, nft, inside, guard: guardOf, link, rates },
        done,
      )
    },
    probe: (what) => {
      mustFindLink(socket('host'), 'lo')
      if (what.nft) tables().probeNft(nft('host'))
    },
    close: () => {
      for (const opened of sockets.values()) opened.close()
      sockets.clear()
    },
  }
}

function verb(name: string): 'add' | 'del' {
  return name.endsWith('.add') ? 'add' : 'del'
}

/**
 * IPv6 addresses still under duplicate address detection are left to the kernel (sysctl ndisc_notify): a NIC that hands
 * a VF its own multicast back would make the address a duplicate of itself (ndisc_recv_na), and RFC 4862, 5.4 has such
 * an address not yet assigned.
 */
function announce(socket: NetlinkSocket, ifindex: number, pod: OpenNetns | undefined, op: Announce): void {
  if (pod === undefined || op.count <= 0) return
  const addresses = settledAddresses(socket, ifindex, op.addresses)
  if (addresses.length === 0) return
  const look = () => findLink(socket, ifindex)
  let link = look()
  for (let waited = 0; link?.carrier === false && waited < op.carrierMs; waited += carrierPoll) {
    sleep(carrierPoll)
    link = look()
  }
  // Without carrier the frames would be dropped; neighbours learn the address from the pod's first own frame then.
  if (link?.carrier !== true) return
  const frames = announcements(op.mac, addresses)
  try {
    for (let sent = 0; sent < op.count; sent++) {
      if (sent > 0) sleep(op.intervalMs)
      sendFrames(pod, link.ifindex, frames)
    }
  } catch (error) {
    // A courtesy to neighbours: a carrier that goes just now is no reason to fail an ADD.
    notice(`vf-attach: Cannot announce ${addresses.join(', ')}: ${String(error)}`)
  }
}

/** Writes a sysctl; one that this kernel does not have is passed over if the operation may fail. */
function setSysctl(op: Extract<Op, { do: 'sysctl.set' }>): void {
  try {
    writeValue(`/proc/sys/${op.key}`, op.value)
  } catch (error) {
    if (op.mayFail !== true) throw error
  }
}

/** So many datagrams are read of a slot of filters in a pod, of up to 32 KiB each: some ten thousand filters. */
const podSlot = 128

/** What `nft` may take in a pod, in milliseconds: it reads what is there, and a pod can have as much as it likes, while others wait. */
const podPatience = 10_000

function runNft(args: readonly string[], input: string, timeout?: number): NftResult {
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  // A clean environment: nothing of the runtime's reaches a program that runs as root.
  const env = { PATH: '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' }
  const ended = spawnSync('nft', [...args], {
    ...{ input, env, encoding: 'utf8', maxBuffer: 64 << 20, killSignal: 'SIGKILL' },
    ...(timeout === undefined ? {} : { timeout }),
  })
  return { status: ended.status, stdout: ended.stdout ?? '', stderr: ended.stderr ?? '', error: ended.error }
}
