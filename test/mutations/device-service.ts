import type { Mutation } from './mutation.ts'

/** Mistakes in what the device plugin does while something fails. */
export const deviceService: readonly Mutation[] = [
  {
    id: 'inventory-unknown-uses',
    file: 'device-plugin/inventory/known-uses.ts',
    mistake: 'A device that is new while the kernel tells no routes counts as free.',
    old: '?? [unknownUse]',
    now: '?? []',
    test: [
      'device-plugin/service/service.test.ts',
      'devices keep the uses that were known, and a new device is not offered',
    ],
    tier: 'quick',
  },
  {
    id: 'health-refused',
    file: 'device-plugin/health/next.ts',
    mistake: 'A device that was refused stays healthy, and kubelet chooses it for each next pod.',
    old: '    ...refusedOf(facts.refusal),\n',
    now: '',
    test: [
      'device-plugin/service/service.test.ts',
      'is unhealthy, so that kubelet does not choose it for the next pod',
    ],
    tier: 'quick',
  },
  {
    id: 'allocations-time-missed',
    file: 'device-plugin/allocations/keeper.ts',
    mistake:
      'A question that began a moment before the time of a device was over is followed by a long pause.',
    old: 'Math.max(settlesAt - now, 0) + 1',
    now: 'settlesAt > now ? settlesAt - now + 1 : pause',
    test: [
      'device-plugin/allocations/keeper.test.ts',
      'a question that begins before the time of a device is over, and ends after it, is followed by another one',
    ],
    tier: 'quick',
  },
  {
    id: 'allocations-long-pause',
    file: 'device-plugin/allocations/keeper.ts',
    mistake:
      'A device that no source names stays in use until the end of a long pause between two questions.',
    old: 'Math.min(pause, Math.max(settlesAt - now, 0) + 1)',
    now: 'pause',
    test: ['device-plugin/allocations/keeper.test.ts', 'free as soon as its time is over'],
    tier: 'quick',
  },
  {
    id: 'allocations-other-boot',
    file: 'device-plugin/allocations/attachments.ts',
    mistake:
      'After a boot the records of the one before make devices unhealthy, and pods are not admitted again.',
    old: 'attachment === undefined || isFromBefore(machine, owner)) continue',
    now: 'attachment === undefined) continue',
    test: ['device-plugin/allocations/attachments.test.ts', 'a record of another boot is none'],
    tier: 'quick',
  },
]
