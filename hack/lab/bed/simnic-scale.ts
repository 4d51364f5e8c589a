// Measures how long rules take to get into the simulated hardware and out of it. In: a Lab, a card in switchdev mode with clsact on
// its PF. Out: microseconds per rule.
import type { Lab } from '../lab.ts'
import type { Card } from './simnic.ts'

/** Microseconds per filter, tc included, for each step of equally many filters in the order of the steps. */
export interface RuleTimes {
  readonly in: readonly number[]
  readonly out: readonly number[]
  /** Filters in hardware when all were in, and when all were out. */
  readonly counts: readonly [full: number, empty: number]
}

/**
 * Puts `rules` filters (a multiple of `steps`; each rewrites addresses and port and redirects to representor 0) into the card and
 * removes them again, one `tc -b` for each step, `rounds` times. Times are the best of all rounds.
 */
export async function timeRules(
  lab: Lab,
  card: Card,
  { rules = 2_000, steps = 10, rounds = 3 } = {},
): Promise<RuleTimes> {
  const perStep = Math.floor(rules / steps)
  const filter = (n: number) =>
    `filter add dev ${card.pf} ingress protocol ip prio 10 handle ${n} flower skip_sw ip_proto tcp ` +
    `dst_ip 10.${(n >> 8) & 255}.${n & 255}.1 dst_port ${n} ` +
    `action pedit ex munge eth dst set 02:00:00:00:00:05 munge ip dst set 10.1.0.5 munge tcp dport set 80 pipe ` +
    `action csum ip4h and tcp pipe action mirred egress redirect dev ${card.pf}rep0`
  const gone = (n: number) => `filter delete dev ${card.pf} ingress protocol ip prio 10 handle ${n} flower`
  const order = Array.from({ length: steps }, (_, step) => step)
  for (const step of order) {
    const numbers = Array.from({ length: perStep }, (_, index) => step * perStep + index + 1)
    await lab.writeFile(`/run/add${step}`, `${numbers.map(filter).join('\n')}\n`)
    await lab.writeFile(`/run/delete${step}`, `${numbers.map(gone).join('\n')}\n`)
  }
  const timed = async (what: string) => {
    const out = await lab.must(
      `set -e
      for step in ${order.join(' ')}; do
        begin=$(date +%s%N); tc -b /run/${what}$step; end=$(date +%s%N)
        echo $(((end - begin) / 1000 / ${perStep}))
      done`,
      { timeoutMs: 280_000 },
    )
    return out.trim().split('\n').map(Number)
  }
  const count = async () => Number((await lab.must(`head -1 ${card.debugfs}/stats`)).split(' ')[1])
  const best = (runs: readonly (readonly number[])[]) =>
    order.map((step) => Math.min(...runs.map((run) => run[step] ?? Number.POSITIVE_INFINITY)))

  const [adds, deletes]: [number[][], number[][]] = [[], []]
  let [full, empty] = [0, 0]
  for (let round = 0; round < rounds; round++) {
    adds.push(await timed('add'))
    full = await count()
    deletes.push(await timed('delete'))
    empty = await count()
  }
  await lab.must('rm /run/add[0-9]* /run/delete[0-9]*')
  return { in: best(adds), out: best(deletes), counts: [full, empty] }
}
