/** The machine and the records that functions of shared state take as parameters. */
import type { Machine } from '../../kernel/api/machine.ts'

/** A machine, and the place of one record store on it. */
export interface StateContext {
  readonly machine: Machine
  /** A store of any name of the plugin: its folders tell the state folder. */
  readonly store: { readonly folders: readonly string[] }
}
