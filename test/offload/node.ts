// A node of which vf-offload's removal sees filters, tables, reservations and namespaces, and nothing else.
import type { LimiterFacts, LinkFacts } from '../../src/kernel/facts.ts'
import type { Kernel, OwnFilter } from '../../src/kernel/kernel.ts'
import type { Machine, OpenNetns } from '../../src/kernel/machine.ts'

/** What is there. Removal changes it; every step is noted in `steps`. */
export class Node implements Machine {
  /** Namespaces by path. */
  readonly namespaces = new Map<string, string>()
  filters: OwnFilter[] = []
  /** NAT tables and routing tables by namespace. */
  readonly podTables = new Map<string, Set<string | number>>()
  /** Reservations by cookie. */
  readonly ports = new Set<string>()
  readonly qdiscs = new Set<number>()
  /** Names; their numbers count from 100. */
  readonly ifbs = new Set<string>()
  /** Numbers of the ifbs to which filters send frames, by cookie. */
  readonly detours = new Map<string, number>()
  limiters: LimiterFacts[] = []
  readonly steps: string[] = []
  /** Dumps of the host's filters so far. */
  dumps = 0
  /** Dumps to come that lose everything. */
  blindDumps = 0
  open = 0
  boot = 'boot-1'
  readonly sharedDir: string

  constructor(sharedDir: string) {
    this.sharedDir = sharedDir
  }

  openKernel(pod?: OpenNetns): Kernel {
    const tables = this.podTables.get(pod?.id ?? '') ?? new Set()
    const never = (): never => {
      throw new TypeError('no removal asks for this')
    }
    return {
      ...{
        run: never,

        addresses: never,
        routes: never,
        sourceRules: never,
        bridgeVlans: never,
        isSwitchdev: never,
        probe: never,
        listeners: never,
        programWith: never,
        interfaceTo: never,
        verify: never,
        rivals: never,
        isVepa: never,
        filterCounters: never,
        linkCounters: never,
        tcOffload: never,
        missingNeeds: never,
      },
      link: () => undefined,
      links: () => [...this.ifbs].map((name, at) => ({ ifindex: 100 + at, name, kind: 'ifb' }) as LinkFacts),
      rates: () => ({
        limiters: (cookie) => this.limiters.filter((one) => one.cookie.startsWith(cookie)),
        removeLimiter: (index) => {
          this.steps.push('limiter')
          this.limiters = this.limiters.filter((one) => one.index !== index)
        },
        catchAll: (_side, ifindex, cookie) =>
          this.filters.flatMap((one) =>
            one.kind === 'matchall' && one.ifindex === ifindex && one.cookie === cookie
              ? [{ prio: one.prio, through: this.detours.get(cookie), police: undefined, inHw: false }]
              : [],
          ),
        ...{ shaper: never, meter: never, policerIndexes: never },
        ...{ portRates: never, ratesOfPort: never, removeShaper: () => undefined },
        removeIfb: (_side, name) => {
          this.ifbs.delete(name)
        },
      }),
      ownFilters: (prefix, side = 'host') => {
        if (side === 'host') this.dumps++
        if (this.blindDumps-- > 0) return []
        return this.filters.filter(({ cookie }) => [prefix].flat().some((one) => cookie.startsWith(one)))
      },
      removeFilter: (filter) => {
        this.steps.push('filter')
        this.filters = this.filters.filter((one) => one !== filter)
      },
      removeTable: (table) => {
        this.steps.push('routes')
        tables.delete(table)
      },
      dropPodNat: (table) => {
        this.steps.push('nat')
        tables.delete(table)
      },
      releasePorts: (cookie) => {
        this.steps.push('ports')
        this.ports.delete(cookie)
        return []
      },
      forgetConnections: () => undefined,
      sysctl: () => undefined,
      reservedCookies: (prefix) => [...this.ports].filter((cookie) => cookie.startsWith(prefix)),
      hasIngress: (ifindex) => this.qdiscs.has(ifindex),
      dropEmptyClsact: (ifindex) => {
        if (!this.filters.some((one) => one.ifindex === ifindex)) this.qdiscs.delete(ifindex)
      },
      close: () => undefined,
    }
  }

  openNetns(path: string): OpenNetns {
    const id = this.namespaces.get(path)
    if (id === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
    this.open++
    return { fd: 0, id, path, close: () => this.open-- }
  }

  withLock<T>(_path: string, _milliseconds: number, action: () => T): T {
    return action()
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
