/** Pools: the devices that the config selects from a snapshot. Types alone; the functions are beside this file, and are pure. */
import type { PoolConfig, Selector } from '../config/plugin-config.ts'
import type { Device, Snapshot } from '../inventory/snapshot.ts'

/** The pools of one snapshot under one config. */
export interface Assignment {
  readonly snapshot: Snapshot
  /** In the order of the config; those without devices too. */
  readonly pools: readonly Pool[]
  /** For each device of the snapshot, by id: the pool that has it, or the reasons of each pool that does not. */
  readonly verdicts: ReadonlyMap<string, Verdict>
}

/** One pool with its devices. */
export interface Pool {
  readonly config: PoolConfig
  /** By id. */
  readonly members: readonly Member[]
}

/** A device in a pool, with the selector that matched. */
export interface Member {
  readonly device: Device
  readonly selector: Selector
}

/** The way of one device through the config. */
export interface Verdict {
  /** `PREFIX/NAME`; undefined: no pool has it. */
  readonly resource: string | undefined
  /** For each pool that was asked and did not take it, in order: one sentence, such as `vendors: has 8086, wanted 15b3`. */
  readonly rejections: readonly { readonly resource: string; readonly reason: string }[]
}
