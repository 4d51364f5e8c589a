/**
 * The container part as one thing, for whoever answers a front end: files for runtimes and Multus that follow the pools, and the access
 * of one container to devices of one pool.
 */
import { errorText } from '../../src/lib/error-text.ts'
import type { Roots } from '../config/settings.ts'
import type { Member, Pool } from '../pools/pool.ts'
import type { ContainerAccess } from './access.ts'
import { CdiSpecs } from './cdi/store.ts'
import { type AccessOptions, accessOf } from './container-access.ts'
import { existsBelow } from './device-files.ts'
import { sweepDeviceInfo, writeDeviceInfo } from './device-info/store.ts'
import { variableNames } from './environment.ts'
import type { Exists } from './nodes.ts'
import { NotReady } from './not-ready.ts'
import { makeReady, type ReadySources } from './ready/ready.ts'

/** The places and the mode of the container part. */
export interface ContainerOptions {
  readonly roots: Pick<Roots, 'sys' | 'dev' | 'cdi' | 'deviceInfo'>
  readonly cdi: AccessOptions['cdi']
  /** procfs, `/proc`: of the node, where the programs of all pods are to be seen. */
  readonly proc?: string
  /** Milliseconds since any fixed time. */
  readonly now?: () => number
}

/** Facts about the use of devices, read when they are asked for. */
export interface Uses extends Pick<ReadySources, 'attachmentOf' | 'wasHeld' | 'restore'> {
  /** The pools as they are now. */
  pools(): readonly Pool[]
  /** Ids of the devices that pods have. */
  held(): ReadonlySet<string>
}

/** Files and answers for containers. */
export class Containers {
  readonly #options: ContainerOptions
  readonly #uses: Uses
  readonly #exists: Exists
  readonly #specs: CdiSpecs | undefined
  /** Resources that have ever been offered: the files of a pool that is gone are swept, too. */
  readonly #resources = new Set<string>()

  constructor(options: ContainerOptions, uses: Uses) {
    this.#options = options
    this.#uses = uses
    this.#exists = existsBelow(options.roots.dev)
    if (options.cdi !== 'off') {
      const now = options.now ?? (() => performance.now())
      this.#specs = new CdiSpecs({ folder: options.roots.cdi, exists: this.#exists, now })
    }
  }

  /**
   * Makes the files say what the pools have now. To be called when pools or holdings change, and now and then.
   * @throws FileError, and Node's errors of files, where a folder can't be written
   */
  update(): void {
    const pools = this.#uses.pools()
    const held = this.#uses.held()
    for (const { config } of pools) this.#resources.add(config.resource)
    try {
      this.#specs?.update(pools, held)
    } finally {
      // A folder of CDI that can't be written must not let the other one grow.
      sweepDeviceInfo(this.#options.roots.deviceInfo, [...this.#resources], held)
    }
  }

  /**
   * Looks at the devices again, makes them ready, and returns a container's access to them, in the order of `ids`. The files that the
   * answer counts on are written before.
   * @throws NotReady with one sentence for the event of the pod
   */
  async allocate(resource: string, ids: readonly string[]): Promise<ContainerAccess> {
    const { sys, dev } = this.#options.roots
    const sources = { ...bound(this.#uses), sys, dev, proc: this.#options.proc ?? '/proc' }
    const chosen = this.#membersOf(resource, ids)
    await Promise.all(chosen.members.map(({ device }) => makeReady(device, chosen.pool.config, sources)))
    // A reset takes time: pools and devices can be others now.
    const { pool, members } = this.#membersOf(resource, ids)
    const { config } = pool
    const names = variableNames(this.#uses.pools().map((one) => one.config)).get(resource)
    if (names === undefined) throw gone(resource, ids[0] ?? '')
    const access = accessOf(config, members, { names, exists: this.#exists, cdi: this.#options.cdi })
    written(ids, 'CDI spec', () =>
      this.#specs?.update(this.#uses.pools(), new Set([...this.#uses.held(), ...ids])),
    )
    written(ids, 'device information', () => writeDeviceInfo(this.#options.roots.deviceInfo, config, members))
    return access
  }

  #membersOf(
    resource: string,
    ids: readonly string[],
  ): { readonly pool: Pool; readonly members: readonly Member[] } {
    const pool = this.#uses.pools().find(({ config }) => config.resource === resource)
    if (pool === undefined) throw gone(resource, ids[0] ?? '')
    const members = ids.map((id) => {
      const member = pool.members.find(({ device }) => device.id === id)
      if (member === undefined) throw gone(resource, id)
      return member
    })
    return { pool, members }
  }
}

function gone(resource: string, id: string): NotReady {
  return new NotReady(id, `"${resource}" does not have it any more`, true)
}

/** The questions of `uses`, as functions of their own. */
function bound(uses: Uses): Pick<ReadySources, 'attachmentOf' | 'wasHeld' | 'restore'> {
  return {
    attachmentOf: (device) => uses.attachmentOf(device),
    wasHeld: (device) => uses.wasHeld(device),
    restore: async (attachment) => uses.restore?.(attachment),
  }
}

function written(ids: readonly string[], what: string, write: () => void): void {
  try {
    write()
  } catch (error) {
    if (error instanceof NotReady) throw error
    throw new NotReady(ids.join(', '), `its ${what} can not be written: ${errorText(error)}`, true)
  }
}
