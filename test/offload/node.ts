// A node of which vf-offload's removal sees filters, tables, reservations and namespaces, and nothing else.
import type { LimiterFacts, LinkFacts, ShaperFacts } from '../../src/kernel/facts.ts'
import type { Kernel, OwnFilter } from '../../src/kernel/kernel.ts'
import type { Machine, OpenNetns } from '../../src/kernel/machine.ts'
import type { Side } from '../../src/ops/op.ts'

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
  /** The setting ip_local_reserved_ports. */
  readonly localPorts = new Set<number>()
  /** MAC addresses by name; their numbers count from 100. */
  readonly ifbs = new Map<string, string>()
  limiters: LimiterFacts[] = []
  /** Interfaces beside the ifbs. */
  readonly interfaces: { side: Side; link: LinkFacts }[] = []
  /** Shapers of ours by the number of their interface, on whichever side. */
  readonly shapers = new Map<number, ShaperFacts>()
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
        lookBeforeMove: never,
        carried: never,
        settings: never,
        settingOps: never,

        addresses: never,
        routes: never,
        sourceRules: never,
        bridgeVlans: never,
        isSwitchdev: never,
        probe: never,
        listeners: never,
        openConnections: never,
        steeredPorts: () => [],
        programWith: never,
        interfaceTo: never,
        verify: never,
        rivals: never,
        isVepa: never,
        filterCounters: never,
        linkCounters: never,
        limitCounters: never,
        openedPorts: never,
        tcOffload: never,
        missingNeeds: never,
      },
      run: (op) => {
        if (op.do !== 'localports.release') return never()
        this.steps.push('local ports')
        for (const port of op.ports) this.localPorts.delete(port)
        return {}
      },
      localPorts: () => [...this.localPorts],
      link: (side, name) => this.#links(side).find((link) => link.name === name),
      links: (side) => this.#links(side),
      rates: () => ({
        limiters: (cookie) => this.limiters.filter((one) => one.cookie.startsWith(cookie)),
        removeLimiter: (index) => {
          this.steps.push('limiter')
          this.limiters = this.limiters.filter((one) => one.index !== index)
        },
        ...{ meter: never, policerIndexes: never, portRates: never, ratesOfPort: never },
        detourDifferences: () => undefined,
        ...{ policeDifferences: () => undefined, limiterDifferences: () => [] },
        shaper: (_side, ifindex) => this.shapers.get(ifindex),
        removeShaper: (_side, ifindex) => {
          this.steps.push('shaper')
          this.shapers.delete(ifindex)
        },
        removeIfb: (_side, name) => {
          this.ifbs.delete(name)
        },
      }),
      ownFilters: (prefix, side = 'host') => {
        if (side === 'host') this.dumps++
        if (this.blindDumps-- > 0) return []
        return this.filters.filter(({ cookie }) => [prefix].flat().some((one) => cookie.startsWith(one)))
      },
      removeFilters: (filters) => {
        for (const _ of filters) this.steps.push('filter')
        this.filters = this.filters.filter((one) => !filters.includes(one))
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
      reservedBy: (prefix, cookie) => ({
        anybody: [...this.ports].some((one) => one.startsWith(prefix)),
        cookie: this.ports.has(cookie),
      }),
      hasIngress: (ifindex) => this.qdiscs.has(ifindex),
      dropEmptyClsact: (ifindex) => {
        if (!this.filters.some((one) => one.ifindex === ifindex)) this.qdiscs.delete(ifindex)
      },
      close: () => undefined,
    }
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
