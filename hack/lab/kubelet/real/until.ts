// Waiting for a state of a node. Imports this folder.
import { SimulatorError } from '../api.ts'

/** Milliseconds within which each state must come: in emulation, on a busy machine, a server takes minutes to start. */
const PATIENCE = 600_000

/** Looks every 100 ms until there is a value. @throws SimulatorError with `what` it waits for, and why it may lack, after 10 minutes */
export async function until<T>(
  look: () => Promise<T | undefined>,
  what: () => string | Promise<string>,
): Promise<T> {
  const end = Date.now() + PATIENCE
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (Date.now() > end) throw new SimulatorError(`Not so after ${PATIENCE / 1000} s: ${await what()}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
