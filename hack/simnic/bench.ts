// SPDX-License-Identifier: GPL-2.0
// sh hack/bun.sh hack/simnic/bench.ts [RULES]
// Puts RULES (default 2,000) rules into the simulated hardware and takes them out again, in the lab, one `tc -b`
// per tenth, three times. Prints the best time per rule of each tenth; ends with code 1 when the last is more than twice
// the first.
import { loadSimnic, setMode, setVfs } from '../lab/bed/simnic.ts'
import { timeRules } from '../lab/bed/simnic-scale.ts'
import { bootLab } from '../lab/lab.ts'

const vm = await bootLab()
try {
  const [card] = await loadSimnic(vm)
  if (card === undefined) throw new Error('Cannot load simnic: no card')
  await setVfs(vm, card, 1)
  await setMode(vm, card, 'switchdev')
  await vm.must(`tc qdisc add dev ${card.pf} clsact`)
  const times = await timeRules(vm, card, { rules: Number(process.argv[2] ?? 2_000) })
  const [full, empty] = times.counts
  console.log(`${full} rules, then ${empty}; microseconds per rule, by tenth, tc included`)
  for (const name of ['in', 'out'] as const) {
    const values = times[name]
    const ratio = (values.at(-1) ?? 0) / (values[0] ?? 1)
    console.log(`${name.padEnd(4)}${values.join(' ')}   last/first ${ratio.toFixed(2)}`)
    if (ratio > 2) process.exitCode = 1
  }
} finally {
  await vm.close()
}
