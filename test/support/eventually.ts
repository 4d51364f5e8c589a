// Waiting for a condition beside other tests on a busy machine. In: an action that fails until the condition is there. Out: its value.
import { vi } from 'vitest'

/** Repeats `action` until it no longer throws; fails with its last error after 30 s. */
export function eventually<T>(action: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(action, { timeout: 30_000 })
}
