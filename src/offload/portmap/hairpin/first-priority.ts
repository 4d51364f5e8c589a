/**
 * Offers hairpin filters to cards that have one priority for them. Such a driver refuses every other priority with EOPNOTSUPP and
 * without a word (mlx5_chains_get_table() of mellanox/mlx5/core/lib/fs_chains.c). A priority of tc holds filters of one protocol.
 */
import { ipFamily } from '../../../lib/ip.ts'
import { ApplyError } from '../../../ops/apply.ts'
import { OffloadRefused } from '../../../ops/offload-refused.ts'
import type { Outcome } from '../../../ops/op.ts'
import { onlyPriority } from '../../state/identity.ts'
import type { RuleGroup } from '../filters.ts'

/** The NIC's answer to a group as it was offered at last. */
export interface Answer {
  readonly group: RuleGroup
  readonly result: readonly Outcome[] | ApplyError
  /** Said beside the driver's refusal. */
  readonly words?: string
}

/** The EtherType of a group's filters: those of a hairpin plan have one. */
type Lane = 'IPv4' | 'IPv6' | '802.1Q'

/** The groups of one plan, and what the driver has said of its priorities so far. */
export class FirstPriority {
  /** The EtherType with the most mappings, IPv4 among equals. */
  readonly lane: Lane
  #refusal: OffloadRefused | undefined

  constructor(groups: readonly RuleGroup[]) {
    const lanes: readonly Lane[] = ['IPv4', 'IPv6', '802.1Q']
    const count = (lane: Lane) => groups.filter((group) => laneOf(group) === lane).length
    this.lane = lanes.reduce((best, lane) => (count(lane) > count(best) ? lane : best))
  }

  /**
   * Offers the groups at their own priorities by `ask`, and those that are refused without a word at the first priority. Once the
   * driver has refused one so, nothing is offered at other priorities any more.
   */
  attempt<A extends Answer>(
    groups: readonly RuleGroup[],
    ask: (groups: readonly RuleGroup[]) => A[],
  ): (A | Answer)[] {
    const known = this.#refusal
    const first: readonly (A | Answer)[] =
      known === undefined ? ask(groups) : groups.map((group) => refused(group, known))
    const bare = first.filter(isBare)
    this.#refusal ??= bare.flatMap(({ result }) => refusalIn(result) ?? [])[0]
    if (bare.length === 0) return [...first]
    const again = ask(
      bare.filter(({ group }) => laneOf(group) === this.lane).map(({ group }) => lifted(group)),
    )
    return first.map((attempt) => {
      if (!isBare(attempt)) return attempt
      if (laneOf(attempt.group) !== this.lane)
        return {
          ...attempt,
          words: `the driver has priority ${onlyPriority} alone, which holds one protocol: ${this.lane}`,
        }
      const second = again.shift() ?? attempt
      // In software the rules have their own priority.
      return second.result instanceof ApplyError
        ? {
            ...second,
            group: attempt.group,
            words: `at priority ${onlyPriority}, the only one of the driver`,
          }
        : second
    })
  }
}

/** True for an attempt that the driver has refused with EOPNOTSUPP and without a word. */
export function isBare({ result }: Pick<Answer, 'result'>): boolean {
  const refusal = refusalIn(result)
  return refusal?.code === 'EOPNOTSUPP' && refusal.extack === undefined
}

function refusalIn(result: Answer['result']): OffloadRefused | undefined {
  return result instanceof ApplyError && result.cause instanceof OffloadRefused ? result.cause : undefined
}

function refused(group: RuleGroup, refusal: OffloadRefused): Answer {
  const [rule] = group.rules
  return {
    group,
    result:
      rule === undefined ? [] : new ApplyError({ do: 'steer.add', rule, offload: 'require' }, refusal, []),
  }
}

function laneOf({ rules }: RuleGroup): Lane {
  const [rule] = rules
  if (rule?.vlan !== undefined) return '802.1Q'
  return rule !== undefined && ipFamily(rule.address) === 6 ? 'IPv6' : 'IPv4'
}

function lifted({ mapping, rules }: RuleGroup): RuleGroup {
  return { mapping, rules: rules.map((rule) => ({ ...rule, prio: onlyPriority })) }
}
