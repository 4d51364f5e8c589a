/** A plugin with what it works on, as the fault table takes it. */
import type { RunOptions } from './run.ts'
import type { Call as CallStep, LookAnswer, Place, Step } from './script.ts'

/** A plugin, as far as the table must know it. */
export interface Subject extends RunOptions {
  /** Scripts that prepare a place, and take that back. */
  dressUp(place: Place): string
  undress(place: Place): string
  call(place: Place, verb: CallStep['verb'], more?: Partial<CallStep>): CallStep
  look(place: Place): Step & { readonly do: 'look' }
  /** The namespace dies, and another one takes its name. */
  kill(place: Place): Step
  revive(place: Place): Step
  /** Lines that say what is not as before; after GC nothing is said about the namespace, which died. */
  differences(place: Place, before: LookAnswer, now: LookAnswer, by: 'DEL' | 'GC'): string[]
}
