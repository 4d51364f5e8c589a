/**
 * The service: puts inventory, config, allocations and health together, and offers the outcome to a front end. Everything that
 * happens leads to one of two steps: a scan (`look`), or a judgement of the last scan (`judge`), of which each ends with an offer.
 */
import type { Attachment } from './allocations/attachment.ts'
import type { Allocations } from './allocations/holding.ts'
import type { FileRead } from './config/config-file.ts'
import { ConfigKeeper } from './config-state.ts'
import type { FrontEnd, Offer } from './front-end.ts'
import { type HealthState, nextHealth } from './health/next.ts'
import { isSameNode, shared } from './inventory/share.ts'
import type { Snapshot } from './inventory/snapshot.ts'
import type { View, ViewedPool } from './observe/view.ts'
import { assignPools } from './pools/assign.ts'
import { isGuardReason } from './pools/entry.ts'
import type { State } from './state.ts'

/** The log, as far as the service uses it. */
export interface ServiceLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}

/** The surroundings of the service. */
export interface ServiceOptions {
  readonly resourcePrefix: string
  /** Looks at the node; `number` counts the scans. */
  readonly scan: (number: number) => Snapshot
  /** The attachments of vf-attach by device, read now. */
  readonly attachments: () => ReadonlyMap<string, Attachment>
  readonly allocations: () => Allocations
  /** Takes attachments that were read, before allocations are asked for. */
  readonly lookAtAttachments: (attachments: ReadonlyMap<string, Attachment>) => void
  /** Called with each new state, before it is offered. */
  readonly beforeOffer?: (state: State) => void
  /** Called with each snapshot. */
  readonly afterScan?: (snapshot: Snapshot) => void
  readonly log: ServiceLog
}

/** See the head of this file. */
export class Service {
  readonly #options: ServiceOptions
  readonly #config: ConfigKeeper
  #frontEnd: FrontEnd | undefined
  #snapshot: Snapshot | undefined
  #scans = 0
  #state: State | undefined
  #health: HealthState | undefined
  #timer: NodeJS.Timeout | undefined
  /** Sentences that the log has, so that each is written when it begins to be true. */
  #said: ReadonlySet<string> = new Set()
  #isStopped = false

  constructor(options: ServiceOptions) {
    this.#options = options
    this.#config = new ConfigKeeper(options.resourcePrefix)
  }

  /** The last finished look; undefined before the first one. */
  get state(): State | undefined {
    return this.#state
  }

  /** Offers go to this front end from now on. */
  serve(frontEnd: FrontEnd): void {
    this.#frontEnd = frontEnd
    this.#offer()
  }

  /**
   * Takes a content of the config file. The former config stays where the content has a mistake.
   * @returns false for a content that can't be used
   */
  configure(read: FileRead): boolean {
    const { log } = this.#options
    const isNew = this.#config.take(read)
    const { problems, generation } = this.#config.state
    if (problems.length > 0) {
      const stays = generation === 0 ? 'there is no config yet' : 'the former config stays in use'
      log.error(`${problems.join('\n')}\n${stays}`)
    }
    if (!isNew) return false
    const { config } = this.#config
    for (const warning of config.warnings) log.warn(`config: ${warning}`)
    log.info(`The config is in use: ${config.pools.length} pools`, {
      generation,
      pools: config.pools.map(({ resource }) => resource),
    })
    this.judge()
    return true
  }

  /** Scans the node, and judges. */
  look(): void {
    if (this.#isStopped) return
    this.#snapshot = shared(this.#options.scan(++this.#scans), this.#snapshot)
    this.#options.afterScan?.(this.#snapshot)
    this.judge()
  }

  /** Judges the last scan anew: config, allocations, attachments or time have changed. */
  judge(): void {
    const snapshot = this.#snapshot
    if (this.#isStopped || snapshot === undefined) return
    const { config } = this.#config
    const attachments = this.#options.attachments()
    this.#options.lookAtAttachments(attachments)
    const allocations = this.#options.allocations()
    const former = this.#state
    const assignment =
      former?.config === config && isSameNode(former.snapshot, snapshot)
        ? { ...former.assignment, snapshot }
        : assignPools(config, snapshot)
    const { view, state } = nextHealth(
      { assignment, held: allocations.held, attachments: [...attachments.values()], now: performance.now() },
      this.#health,
    )
    this.#health = state
    this.#state = { config, snapshot, assignment, health: view, allocations, attachments }
    this.#plan(view.dueAt)
    this.#tell(this.#state)
    this.#options.beforeOffer?.(this.#state)
    this.#offer()
  }

  /** The state as metrics and probes show it. */
  view(): View {
    const state = this.#state
    return {
      snapshot: state?.snapshot,
      pools: state === undefined ? [] : viewedPools(state),
      status: this.#frontEnd?.status() ?? [],
      allocations: this.#options.allocations(),
      attachments: state?.attachments ?? new Map(),
      config: this.#config.state,
    }
  }

  /** Ends all that goes on by itself. The front end is stopped by the caller. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #offer(): void {
    if (this.#state === undefined || this.#isStopped) return
    this.#frontEnd?.offer(this.#state.health.pools satisfies readonly Offer[])
  }

  #plan(dueAt: number | undefined): void {
    clearTimeout(this.#timer)
    if (dueAt === undefined) return
    this.#timer = setTimeout(() => this.judge(), Math.max(1, dueAt - performance.now()))
    this.#timer.unref()
  }

  /** Writes what has begun to be true: devices that are bad, skipped by the guard, or withheld. */
  #tell({ health, assignment, snapshot }: State): void {
    const said = new Map<string, () => void>()
    const { log } = this.#options
    for (const { resource, devices } of health.pools)
      for (const { id, health: one } of devices)
        for (const { reason, text } of one.reasons)
          said.set(`${id} ${reason} ${text}`, () =>
            log.warn(`${id} of ${resource} is unhealthy: ${text}`, { device: id, resource, reason }),
          )
    for (const { id, resource, text } of health.withheld)
      said.set(`${id} withheld ${text}`, () =>
        log.warn(`${id} is not offered as ${resource}: ${text}`, { device: id, resource }),
      )
    for (const { id, hostUses } of snapshot.devices) {
      const verdict = assignment.verdicts.get(id)
      if (hostUses.length === 0 || verdict === undefined || verdict.resource !== undefined) continue
      // Devices that no pool would want are no news, whoever uses them.
      const guarded = verdict.rejections.find(({ reason }) => isGuardReason(reason))
      if (guarded !== undefined)
        said.set(`${id} guarded ${guarded.reason}`, () =>
          log.warn(`${id} is not offered as ${guarded.resource}: ${guarded.reason}`, {
            device: id,
            ...guarded,
          }),
        )
    }
    for (const text of snapshot.unanswered)
      said.set(`unanswered ${text}`, () => log.warn(`A question to the kernel had no answer: ${text}`))
    for (const [key, write] of said) if (!this.#said.has(key)) write()
    this.#said = new Set(said.keys())
  }
}

function viewedPools({ health, snapshot }: State): readonly ViewedPool[] {
  const devices = new Map(snapshot.devices.map((one) => [one.id, one]))
  return health.pools.map((pool) => ({
    resource: pool.resource,
    devices: pool.devices.map(({ id, health: one }) => ({ id, device: devices.get(id), health: one })),
  }))
}
