// A node of which vf-offload's removal sees filters, tables, reservations and namespaces, and nothing else.
import type { LinkFacts, ShaperFacts, SharedPolicerFacts } from '../../src/kernel/api/facts.ts'
import type { Kernel, OwnFilter } from '../../src/kernel/api/kernel.ts'
import type { Machine, OpenNetns } from '../../src/kernel/api/machine.ts'
import type { Side } from '../../src/ops/op.ts'
import { FakeReservations } from '../fakes/reservations.ts'
import { spawnInNode } from '../support/spawn.ts'

/** The numbers by which the kernel removes a filter. */
function placeOf({ ifindex, prio, handle }: OwnFilter): string {
  return [ifindex, prio, handle].join()
}

/** The state of the fake node. Removal changes it; every step is noted in `steps`. */
export class Node implements Machine {
  /** Namespaces by path. */
  readonly namespaces = new Map<string, string>()
  filters: OwnFilter[] = []
  /** NAT tables and routing tables by namespace. */
  readonly podTables = new Map<string, Set<string | number>>()
  readonly reservations = new FakeReservations()
  /** Cookies of those who have something reserved. */
  readonly ports = this.reservations.cookies
  readonly qdiscs = new Set<number>()
  /** The setting ip_local_reserved_ports. */
  readonly localPorts = new Set<number>()
  /** MAC addresses by name; their numbers count from 100. */
  readonly ifbs = new Map<string, string>()
  limiters: SharedPolicerFacts[] = []
  /** Interfaces beside the ifbs. */
  readonly interfaces: { side: Side; link: LinkFacts }[] = []
  /** Shapers of ours by the number of their interface, on whichever side, with the cookie of whose they are. */
  readonly shapers = new Map<number, ShaperFacts & { readonly cookie?: string }>()
  readonly steps: string[] = []
  /** Those of them that were made while the lock was held. */
  readonly underLock: string[] = []
  /** Dumps of the host's filters so far. */
  dumps = 0
  /** Dumps to come that lose everything. */
  blindDumps = 0
  /** Of those, dumps of all interfaces that were made while the lock was held. */
  dumpsWithLock = 0
  /** The number of holders of the lock now: never more than one. */
  locks = 0
  open = 0
  boot = 'boot-1'
  startProgram = spawnInNode
  readonly sharedDir: string

  constructor(sharedDir: string) {
    this.sharedDir = sharedDir
  }

  openKernel(pod?: OpenNetns): Kernel {
    const tables = this.podTables.get(pod?.id ?? '') ?? new Set()
    // Nobody else translates.
    const nobody = {
      kubeProxy: undefined,
      taker: () => undefined,
      losses: () => ({ all: undefined, some: [] }),
      unread: () => [],
    }
    const never = (): never => {
      throw new TypeError('no removal asks for this')
    }
    return {
      ...{
        lookBeforeMove: never,
        residue: never,
        tuning: never,
        tuningOps: never,
        podUppers: never,
        carried: never,
        otherEnd: never,
        lowerNetns: never,
        settings: never,
        settingOps: never,

        addresses: never,
        nodeAddresses: never,
        eswitchPorts: never,
        routes: never,
        sourceRules: never,
        hasDefaultRoute: never,
        bridgeVlans: never,
        eswitch: never,
        isSwitchdev: never,
        probe: never,
        listeners: never,
        foreignNat: () => nobody,
        openConnections: never,
        steeredPorts: () => [],
        loopbackPorts: () => [],
        programWith: never,
        interfaceTo: () => undefined,
        verify: never,
        isVepa: never,
        filterCounters: never,
        linkCounters: never,
        vfCounters: never,
        measure: never,
        openedPorts: never,
        everyOpenedPort: never,
        tcOffload: never,
        missingNeeds: never,
        guardFacts: never,
      },
      run: (op) => {
        if (op.do !== 'localports.release') return never()
        this.#step('local ports')
        for (const port of op.ports) this.localPorts.delete(port)
        return {}
      },
      localPorts: () => [...this.localPorts],
      link: (side, by) => this.#links(side).find((link) => link.name === by || link.ifindex === by),
      peer: (link) =>
        this.#links('host').find((one) => one.ifindex === link.lower && one.lower === link.ifindex),
      links: (side) => this.#links(side),
      linksAt: (ifindexes) => this.#links('host').filter(({ ifindex }) => ifindexes.includes(ifindex)),
      linksOfKind: (kind) => this.#links('host').filter((one) => one.kind === kind),
      rates: () => ({
        limiters: (cookie) => this.limiters.filter((one) => one.cookie.startsWith(cookie)),
        removeSharedPolicer: (index) => {
          this.#step('limiter')
          this.limiters = this.limiters.filter((one) => one.index !== index)
        },
        ...{ takenPolicers: never, portRates: never, ratesOfPort: never },
        shapedBy: (_side, ifindex) => (this.shapers.has(ifindex) ? 0x76660000 : undefined),
        removeShaper: (_side, ifindex, cookie) => {
          if (!this.shapers.has(ifindex) || this.shapers.get(ifindex)?.cookie !== cookie) return
          this.#step('shaper')
          this.shapers.delete(ifindex)
        },
        limitersAt: (indexes, cookie) =>
          this.limiters.filter((one) => indexes.includes(one.index) && one.cookie === cookie),
        removeIfb: (_side, name) => {
          this.ifbs.delete(name)
        },
      }),
      ownFilters: (prefix, side = 'host', places) => {
        if (side === 'host') this.dumps++
        if (places === undefined && this.locks > 0) this.dumpsWithLock++
        if (this.blindDumps-- > 0) return []
        const isIn = ({ ifindex, prio }: OwnFilter) =>
          places?.some((one) => one.ifindex === ifindex && one.priorities?.includes(prio) !== false) !== false
        return this.filters
          .filter(isIn)
          .filter(({ cookie }) => [prefix].flat().some((one) => cookie.startsWith(one)))
      },
      placedFilters: (placed) =>
        this.filters.filter((one) =>
          placed.some(({ ifindex, prio, handle, cookie }) => {
            const isThere = one.ifindex === ifindex && one.prio === prio && one.handle === handle
            return isThere && one.cookie === cookie
          }),
        ),
      removeFilters: (filters) => {
        for (const _ of filters) this.#step('filter')
        const places = filters.map(placeOf)
        this.filters = this.filters.filter((one) => !places.includes(placeOf(one)))
      },
      removeReplies: (rules, routes) => {
        this.#step('replies')
        for (const { table } of [...rules, ...routes]) if (table !== undefined) tables.delete(table)
      },
      removeTable: (table) => {
        this.#step('routes')
        tables.delete(table)
      },
      dropPodTable: (table, family) => {
        this.#step(family === undefined ? 'nat' : 'mark')
        tables.delete(table)
      },
      releasePorts: (...asked) => {
        this.#step('ports')
        return this.reservations.releasePorts(...asked)
      },
      portTable: () => this.reservations.portTable(),
      reservePorts: never,
      completeTable: (wanted) => {
        for (const one of wanted) this.reservations.reserve(one)
        return { table: this.reservations.portTable(), restored: [], refused: [] }
      },
      conflicts: () => [],
      forgetConnections: () => undefined,
      sysctl: () => undefined,
      reservedCookies: (prefix) => this.reservations.reservedCookies(prefix),
      hasReservation: (cookie) => this.reservations.hasReservation(cookie),
      hasIngress: (ifindex) => this.qdiscs.has(ifindex),
      dropEmptyClsact: (ifindex) => {
        if (!this.filters.some((one) => one.ifindex === ifindex)) this.qdiscs.delete(ifindex)
        return !this.qdiscs.has(ifindex)
      },
      close: () => undefined,
    }
  }

  #step(name: string): void {
    this.steps.push(name)
    if (this.locks > 0) this.underLock.push(name)
  }

  /** The ifbs are on the host. */
  #links(side: Side): LinkFacts[] {
    const ifbs = [...this.ifbs].map(
      ([name, mac], at) => ({ ifindex: 100 + at, name, mac, kind: 'ifb' }) as LinkFacts,
    )
    const others = this.interfaces.filter((one) => one.side === side).map(({ link }) => link)
    return side === 'host' ? [...ifbs, ...others] : others
  }

  openNetns(path: string): OpenNetns {
    const id = this.namespaces.get(path)
    if (id === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
    this.open++
    return { fd: 0, id, path, close: () => this.open-- }
  }

  withLock<T>(_path: string, _milliseconds: number, action: () => T): T {
    this.locks++
    try {
      return action()
    } finally {
      this.locks--
    }
  }

  bootId(): string {
    return this.boot
  }

  /** Not SHA-256, but as unlike for unlike texts as these tests need, and as long. */
  sha256(text: string): string {
    return Buffer.from(text.padEnd(32, '.')).toString('hex').slice(-64)
  }

  sleep(): void {}
}
