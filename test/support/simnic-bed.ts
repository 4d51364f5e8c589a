// simnic for the tests of a file: loaded before them, unloaded behind them, and the kernel has nothing to complain of.
import { afterAll, beforeAll, expect } from 'vitest'
import {
  type Card,
  loadSimnic,
  type SimnicOptions,
  unloadSimnic,
  watchKernelLog,
} from '../../hack/lab/bed/simnic.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { lab } from './lab.ts'

/** Has `made` take machine and cards before the tests. `undo` runs behind them, before the module goes. */
export function useSimnic(
  options: SimnicOptions,
  made: (vm: Lab, cards: readonly Card[]) => Promise<void>,
  undo: () => Promise<void> = async () => undefined,
): void {
  let vm: Lab
  let trouble: () => Promise<string[]>
  beforeAll(async () => {
    vm = await lab()
    trouble = await watchKernelLog(vm)
    await made(vm, await loadSimnic(vm, options))
  })
  afterAll(async () => {
    await undo()
    await unloadSimnic(vm)
    expect(await trouble()).toEqual([])
  })
}
