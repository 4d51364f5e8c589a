import type { Mutation } from './mutation.ts'

/** Mistakes in the pools of the device plugin, in the health of their devices, and in the explanation of both. */
export const devicePools: readonly Mutation[] = [
  {
    id: 'pools-first-entry-of-a-pf',
    file: 'device-plugin/pools/pf-condition.ts',
    mistake: 'Of several entries for one PF the last one alone counts.',
    old: 'new Map(unitePfSelectors(entries).map((entry) => [entry.pf.toLowerCase(), entry]))',
    now: 'new Map(entries.map((entry) => [entry.pf.toLowerCase(), entry]))',
    test: [
      'device-plugin/pools/selectors.test.ts',
      'of one PF in several entries are united, by whatever name',
    ],
    tier: 'quick',
  },
  {
    id: 'pools-rules-first',
    file: 'device-plugin/pools/entry.ts',
    mistake: 'Rules and the host guard are named first, and speak of devices that the pool does not want.',
    old: 'reasons.push(failed.reason(device, snapshot))\n      continue',
    now: "reasons.push([failed, ...entry.rules].findLast((one) => !one.holds(device, snapshot))?.reason(device, snapshot) ?? '')\n      continue",
    test: ['device-plugin/pools/assign.test.ts', 'are named only for devices that the selectors match'],
    tier: 'quick',
  },
  {
    id: 'pools-packed-largest',
    file: 'device-plugin/pools/groups.ts',
    mistake: 'The largest group that is enough is broken into, and small ones stay as they are.',
    old: 'const least = fitting.at(-1)?.[1].length',
    now: 'const least = fitting.at(0)?.[1].length',
    test: [
      'device-plugin/pools/preferred.test.ts',
      'takes the PF with the fewest free devices that is enough',
    ],
    tier: 'quick',
  },
  {
    id: 'health-held-twice',
    file: 'device-plugin/health/next.ts',
    mistake:
      'A device that a pod has from one resource is offered by another one after a change of the config.',
    old: 'if (other === undefined || other.resource === config.resource) own.set(device.id, device)',
    now: "if (other === undefined || other.resource !== '') own.set(device.id, device)",
    test: [
      'device-plugin/health/next.test.ts',
      'stays as it is when a new config gives it to another pool, and goes there when it is free',
    ],
    tier: 'quick',
  },
  {
    id: 'health-restart-flips',
    file: 'device-plugin/health/next.ts',
    mistake: 'A restart tells kubelet of a short loss of carrier on devices in use.',
    old: 'former?.marks ?? (held === undefined ? undefined : new Map())',
    now: 'former?.marks',
    test: [
      'device-plugin/health/next.test.ts',
      'a restart during a short loss of carrier does not touch devices in use',
    ],
    tier: 'quick',
  },
  {
    id: 'health-flaps-add-up',
    file: 'device-plugin/health/hysteresis.ts',
    mistake: 'Short losses of carrier add up to a long one.',
    old: 'if (before === undefined || !before.isTold || before.isFresh) return undefined',
    now: 'if (before === undefined || before.isFresh) return undefined\n  if (!before.isTold) return before',
    test: ['device-plugin/health/next.test.ts', 'losses shorter than badAfter are never told'],
    tier: 'quick',
  },
  {
    id: 'explain-far-misses',
    file: 'device-plugin/explain/misses.ts',
    mistake: 'Each device counts as a near miss, however many conditions it fails.',
    old: 'judged.filter(({ failed }) => failed.length === least)',
    now: 'judged.filter(({ failed }) => failed.length >= least)',
    test: ['device-plugin/explain/explain.test.ts', 'are the devices that fail the fewest conditions'],
    tier: 'quick',
  },
]
