/** The front end for kubelet: a gRPC server for each pool. */
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js'
import type { FolderWatch } from '../../src/sys/folder-watch.ts'
import type { Core, FrontEnd, Offer, PoolStatus } from '../front-end.ts'
import type { PluginLog } from '../log.ts'
import { type Folders, watchKubelet } from './folders.ts'
import { KubeletPool } from './pool.ts'
import { type KubeletSettings, type Timings, usualTimings } from './settings.ts'
import { removeLeftovers } from './socket-file.ts'

/**
 * Opens the front end. It offers nothing until the first offer, waits for a kubelet that is not there, and never gives up. It works for
 * kubelet 1.26 and newer: older ones send the path of the socket as `:authority`, which HTTP/2 of Node and Bun refuses.
 */
export function openKubeletFrontEnd(core: Core, settings: KubeletSettings, log: PluginLog): FrontEnd {
  // The library would write to standard error; every failure comes to our log.
  setLogVerbosity(logVerbosity.NONE)
  return new Pools(core, settings, log)
}

class Pools implements FrontEnd {
  readonly #core: Core
  readonly #settings: KubeletSettings
  readonly #timings: Timings
  readonly #log: PluginLog
  readonly #watch: FolderWatch
  #pools: ReadonlyMap<string, KubeletPool> = new Map()
  #folders: Folders | undefined
  /** Pools that are on their way out. */
  readonly #leaving = new Set<Promise<void>>()
  #isStopped = false

  constructor(core: Core, settings: KubeletSettings, log: PluginLog) {
    this.#core = core
    this.#settings = settings
    this.#timings = { ...usualTimings, ...settings.timings }
    this.#log = log
    this.#watch = watchKubelet(settings.kubelet, this.#timings, (folders) => this.#see(folders))
  }

  offer(offers: readonly Offer[]): void {
    if (this.#isStopped) return
    const before = this.#pools
    this.#pools = new Map(offers.map((offer) => [offer.resource, this.#poolOf(offer)]))
    for (const [resource, pool] of before) if (!this.#pools.has(resource)) this.#dismiss(pool)
  }

  status(): readonly PoolStatus[] {
    return [...this.#pools.values()].map((pool) => pool.status())
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#watch.close()
    for (const pool of this.#pools.values()) this.#dismiss(pool)
    this.#pools = new Map()
    await Promise.all(this.#leaving)
  }

  #poolOf(offer: Offer): KubeletPool {
    const known = this.#pools.get(offer.resource)
    if (known !== undefined) {
      known.update(offer)
      return known
    }
    const pool = new KubeletPool(offer, this.#core, this.#settings, this.#timings, this.#log)
    if (this.#folders !== undefined) pool.see(this.#folders)
    return pool
  }

  #see(folders: Folders): void {
    const before = this.#folders?.place?.folder
    this.#folders = folders
    if (folders.place !== undefined && folders.place.folder !== before) this.#tidy(folders.place.folder)
    for (const pool of this.#pools.values()) pool.see(folders)
  }

  #tidy(folder: string): void {
    try {
      removeLeftovers(folder)
    } catch (error) {
      this.#log.debug('Cannot remove sockets that killed processes have left', { folder, error })
    }
  }

  #dismiss(pool: KubeletPool): void {
    const left = pool.stop().finally(() => this.#leaving.delete(left))
    this.#leaving.add(left)
  }
}
