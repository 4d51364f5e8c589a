import type { Mutation } from './mutation.ts'

const supported = 'offload/portmap/driver/supported-plans.test.ts'
const offer = 'offload/portmap/offer.test.ts'

/** Mistakes in what is asked of a driver whose source says that it does something else. */
export const drivers: readonly Mutation[] = [
  {
    id: 'offload-priority-promised',
    file: 'src/offload/portmap/driver/supported-plans.ts',
    mistake: 'Filters that overlap are offered to a driver that drops their priorities.',
    old: 'driverFacts(driver).dropsPriorities && firstOverlap(rules)',
    now: 'driverFacts(driver).dropsPriorities && firstOverlap([])',
    test: [supported, 'auto: the pod translates, with the reason'],
    tier: 'quick',
  },
  {
    id: 'offload-overlap-of-networks',
    file: 'src/offload/portmap/driver/overlap.ts',
    mistake: 'A network in another one is taken for one beside it.',
    old: 'const prefix = Math.min(one.prefix, other.prefix)',
    now: 'const prefix = Math.max(one.prefix, other.prefix)',
    test: ['offload/portmap/driver/overlap.test.ts', 'a network in a network'],
    tier: 'quick',
  },
  {
    id: 'offload-condition-twice',
    file: 'src/offload/portmap/offer.ts',
    mistake: 'A driver that is known to refuse the condition on fragments is asked for it first.',
    old: 'const isWithout = (group: RuleGroup) => known !== undefined && mayTakeFragments(plan, group)',
    now: 'const isWithout = (_: RuleGroup) => false',
    test: [offer, 'is asked for TCP without it, once, and not for UDP'],
    tier: 'quick',
  },
  {
    id: 'offload-tags-lose-macs',
    file: 'src/offload/portmap/driver/known-refusals.ts',
    mistake: 'Filters with a tag are offered to bnxt, which loses the MAC addresses.',
    old: 'if (isTagged && losesMacsBesideTag !== undefined) {',
    now: 'if (isTagged && losesMacsBesideTag === null) {',
    test: [offer, 'bnxt is asked for nothing with a tag'],
    tier: 'quick',
  },
  {
    id: 'offload-rate-truncated',
    file: 'src/offload/port/driver-words.ts',
    mistake: 'A policer is made whose rate loses its high bits in the driver.',
    old: 'bytesPerSecond >= policeRateEnd.bytesPerSecond',
    now: 'bytesPerSecond >= 2 * policeRateEnd.bytesPerSecond',
    test: ['offload/bandwidth/plan.test.ts', 'a rate that the driver would cut to 32 bits'],
    tier: 'quick',
  },
  {
    id: 'offload-no-meters-unsaid',
    file: 'src/offload/port/driver-words.ts',
    mistake: 'Whatever a driver refuses about a policer is told as a lack of meters.',
    old: 'return isMissing ? `no flow',
    now: 'return metersOf !== undefined ? `no flow',
    test: ['offload/port/drivers.test.ts', 'a card without meters says so'],
    tier: 'quick',
  },
  {
    id: 'offload-bare-refusal-misread',
    file: 'src/offload/port/driver-words.ts',
    mistake: 'Whatever an ice says in a refusal, the LLDP agent of the firmware is named as its reason.',
    old: 'refusal !== refusesAllWhile.code',
    now: '!refusal.startsWith("E")',
    test: ['offload/portmap/preflight.test.ts', 'words of the driver are enough'],
    tier: 'quick',
  },
]
