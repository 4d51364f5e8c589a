import type { Mutation } from './mutation.ts'

/** Mistakes in how the device plugin stays small. */
export const deviceWeight: readonly Mutation[] = [
  {
    id: 'device-no-pause',
    file: 'device-plugin/tidy.ts',
    mistake: 'Memory is given back after each work, however often work comes.',
    old: 'Math.max(delay, this.#doneAt + pause - this.#clock.now())',
    now: 'Math.max(delay, this.#doneAt - this.#clock.now() - pause)',
    test: ['device-plugin/tidy.test.ts', 'makes neither more often than its pause allows'],
    tier: 'quick',
  },
  {
    id: 'inventory-former-device',
    file: 'device-plugin/inventory/share.ts',
    mistake: 'A device keeps the facts that it had when it was first seen.',
    old: 'former !== undefined && isDeepStrictEqual(next, former) ? former : next',
    now: 'former !== undefined && isDeepStrictEqual(former, former) ? former : next',
    test: ['device-plugin/inventory/share.test.ts', 'a device with another driver is new'],
    tier: 'quick',
  },
  {
    id: 'sys-relocated-pages',
    file: 'src/sys/memory/mappings.ts',
    mistake: 'Pages that the linker has written to are given back, and lost.',
    old: '/^Anonymous: +0 kB$/.test(line)',
    now: '/^Anonymous:/.test(line)',
    test: ['sys/memory/memory.test.ts', 'only mappings of the executable that nobody can or could write to'],
    tier: 'quick',
  },
]
