// Waiting for a state of a node with a real kubelet.
import * as waiting from '../../until.ts'

/** In emulation, on a busy machine, a server takes minutes to start; each look runs a program. */
const patience = { patience: 600_000, pause: 100 }

/** Looks every 100 ms until there is a value that is no false and no undefined. @throws NotInTime after 10 minutes */
export function until<T>(look: () => T | Promise<T>, what: () => string | Promise<string>) {
  return waiting.until(look, what, patience)
}
