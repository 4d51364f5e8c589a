/**
 * The service: puts inventory, config, allocations and health together, and offers the outcome to a front end. Everything that
 * happens leads to one of two steps: a scan (`look`), or a judgement of the last scan (`judge`), of which each ends with an offer.
 */
import { errorText } from '../src/lib/error-text.ts'
import type { Attachment } from './allocations/attachment.ts'
import type { Allocations } from './allocations/holding.ts'
import type { FileRead } from './config/config-file.ts'
import { ConfigKeeper } from './config-state.ts'
import type { FrontEnd, Offer } from './front-end.ts'
import { type HealthState, nextHealth } from './health/next.ts'
import { Refusals } from './health/refusals.ts'
import { KnownUses } from './inventory/known-uses.ts'
import { isSameNode, shared } from './inventory/share.ts'
import type { Device, Snapshot } from './inventory/snapshot.ts'
import type { PluginLog } from './log.ts'
import type { View, ViewedPool } from './observe/view.ts'
import { assignPools } from './pools/assign.ts'
import { guardedOf } from './pools/guarded.ts'
import type { State } from './state.ts'

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
  /** A judgement has failed: the node is to be looked at again, later and later while that goes on. */
  readonly onFailure?: () => void
  readonly log: PluginLog
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
  readonly #uses = new KnownUses()
  readonly #refusals = new Refusals()
  /** The reason why the last look failed, while that lasts. */
  #failure: string | undefined
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
      const stays = generation === 0 ? 'there is no config yet' : 'the former one stays in use'
      log.error(`Cannot use the config, ${stays}: ${problems.join('; ')}`)
    }
    if (!isNew) return false
    const { config } = this.#config
    for (const warning of config.warnings) log.warn(`config: ${warning}`)
    log.info(`The config is in use; pools: ${config.pools.length}`, {
      generation,
      pools: config.pools.map(({ resource }) => resource),
    })
    this.judge()
    return true
  }

  /**
   * Scans the node, and judges. Throws what the scan throws, and defects of this program: the last offer stays then, and the service is
   * not ready until a look succeeds.
   */
  look(): void {
    if (this.#isStopped) return
    try {
      const snapshot = this.#options.scan(++this.#scans)
      if (this.#isBlind(snapshot)) throw new NodeNotSeen()
      this.#snapshot = shared(this.#uses.complete(snapshot), this.#snapshot)
      this.#options.afterScan?.(this.#snapshot)
      this.#judge(this.#snapshot)
      this.#failure = undefined
    } catch (error) {
      this.#failure = errorText(error)
      throw error
    }
  }

  /**
   * Judges the last scan anew: config, allocations, attachments or time have changed. Never throws, because timers call it: one device
   * that this program stumbles over must not end the offers of all others.
   */
  judge(): void {
    if (this.#snapshot === undefined) return
    try {
      this.#judge(this.#snapshot)
    } catch (error) {
      this.#failure = errorText(error)
      this.#options.log.error(`Cannot judge the devices, and the last offer stays: ${this.#failure}`)
      this.#options.onFailure?.()
    }
  }

  /** Allocate has refused a device: it is not offered as healthy for a while, or until something about it changes. */
  refuse(device: string, resource: string, reason: string): void {
    const sign = this.#state && signs(this.#state.snapshot, this.#options.attachments())(device)
    // A device that a pod has is in no list for another one already.
    if (sign === undefined || this.#options.allocations().held.has(device)) return
    this.#refusals.add(device, resource, `it was refused to a pod: ${reason}`, sign, performance.now())
    this.judge()
  }

  /** Devices were given to a container: refusals of before say nothing any more. */
  gave(devices: readonly string[]): void {
    for (const device of devices) this.#refusals.forget(device)
  }

  /** Without interfaces no PF has a name, and no pool that selects by one would have a device. A former snapshot is truer. */
  #isBlind({ unanswered }: Snapshot): boolean {
    const isBlind = (sentences: readonly string[] = []) =>
      sentences.some((one) => /^(network|interfaces): /.test(one))
    return this.#snapshot !== undefined && isBlind(unanswered) && !isBlind(this.#snapshot.unanswered)
  }

  #judge(snapshot: Snapshot): void {
    if (this.#isStopped) return
    const { config } = this.#config
    const attachments = this.#options.attachments()
    this.#options.lookAtAttachments(attachments)
    const allocations = this.#options.allocations()
    const former = this.#state
    const assignment =
      former?.config === config && isSameNode(former.snapshot, snapshot)
        ? { ...former.assignment, snapshot }
        : assignPools(config, snapshot)
    const now = performance.now()
    const refused = this.#refusals.at(now, signs(snapshot, attachments))
    const { view, state } = nextHealth(
      { assignment, held: allocations.held, attachments: [...attachments.values()], refused, now },
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
      // Read now: the name of a pod comes with the report of vf-offload, which no judgement may have seen yet.
      attachments: this.#options.attachments(),
      config: this.#config.state,
      failure: this.#failure,
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

  /** Writes what has begun to be true: devices that are bad, kept back by the host guard, or withheld. */
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
    // A later pool may allow the use by the host.
    for (const { id, resource, reason } of guardedOf(assignment))
      if (assignment.verdicts.get(id)?.resource === undefined)
        said.set(`${id} guarded ${resource} ${reason}`, () =>
          log.warn(`${id} is not offered as ${resource}: ${reason}`, { device: id, resource }),
        )
    for (const text of snapshot.unanswered)
      said.set(`unanswered ${text}`, () => log.warn(`A question to the kernel had no answer: ${text}`))
    for (const [key, write] of said) if (!this.#said.has(key)) write()
    this.#said = new Set(said.keys())
  }
}

/** The kernel told of no interfaces, and did at the scan before. */
export class NodeNotSeen extends Error {
  override readonly name = 'NodeNotSeen'

  constructor() {
    super('the kernel does not tell of interfaces now; the devices of the scan before stay')
  }
}

/** A function that gives the facts which a refusal may hang on, as a text; undefined for a device that is not there. */
function signs(
  { devices }: Snapshot,
  attachments: ReadonlyMap<string, Attachment>,
): (id: string) => string | undefined {
  // Refusals are rare: the map is made for the first one.
  let byId: ReadonlyMap<string, Device> | undefined
  return (id) => {
    byId ??= new Map(devices.map((device) => [device.id, device]))
    const device = byId.get(id)
    return device && JSON.stringify([device, attachments.get(id)])
  }
}

function viewedPools({ health, snapshot }: State): readonly ViewedPool[] {
  const devices = new Map(snapshot.devices.map((one) => [one.id, one]))
  return health.pools.map((pool) => ({
    resource: pool.resource,
    devices: pool.devices.map(({ id, health: one }) => ({ id, device: devices.get(id), health: one })),
  }))
}
