import type { Mutation } from './mutation.ts'

/** Mistakes in the names that devices get when their drivers are bound anew. */
export const attachNames: readonly Mutation[] = [
  {
    id: 'attach-name-wait',
    file: 'src/attach/restore/names.ts',
    mistake: 'DEL takes a spare name while a call of ours is about to give the own name up.',
    old: 'if (pci === undefined || withNameLock(machine, pci, () => true) === undefined) return false',
    now: 'if (pci === undefined) return false',
    test: ['attach/restore/names.test.ts', 'lasts until the driver of the other device was bound anew'],
    tier: 'quick',
    undo: true,
  },
  {
    id: 'attach-name-given',
    file: 'src/attach/restore/names.ts',
    mistake: 'A driver is bound anew, and the new interface keeps the name of another device for a while.',
    old: '    giveName(kernel, runner, journal)\n',
    now: '',
    test: ['lab/attach/races.test.ts', 'names while a driver is bound anew get their own'],
    tier: 'lab',
    undo: true,
  },
  {
    id: 'attach-name-unlocked',
    file: 'src/attach/restore/names.ts',
    mistake: 'A driver is bound anew without the name lock, so that nobody waits for the right name.',
    old: "return (withNameLock(machine, journal.device.pci ?? '', act) ?? { outcome: act() }).outcome",
    now: 'return act()',
    test: ['lab/attach/races.test.ts', 'names while a driver is bound anew get their own'],
    tier: 'lab',
    undo: true,
  },
]
