/**
 * The cost of filters of others to a DEL and a GC: `sh hack/bun.sh hack/bench-filters.ts [--lab] [--count N] [--rounds N] [--against
 * FOLDER-OF-PROGRAMS]`. Natively filters of u32, in the lab of flower. Each call is held against the same one on a node without
 * them, round by round, and against one dump of those filters that nobody decodes.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { execaSync } from 'execa'
import type { FilterSeries, FilterTimes } from './bench-filters-guest.ts'
import { pairedRatio, shownRatio } from './bench-pairs.ts'
import { median, ms, table } from './bench-table.ts'
import { bootLab } from './lab/lab.ts'

const top = join(import.meta.dirname, '..')
const { values } = parseArgs({
  options: {
    ...{ lab: { type: 'boolean', default: false }, count: { type: 'string', default: '20000' } },
    ...{ rounds: { type: 'string', default: '9' }, against: { type: 'string' } },
  },
})
const { lab: inLab, against } = values
const series: FilterSeries = {
  rounds: Number(values.rounds),
  count: Number(values.count),
  filter: inLab ? 'flower dst_ip ADDRESS action drop' : 'u32 match ip dst ADDRESS/32 flowid 1:1',
  builds: {
    'this build': `${top}/dist/vf-offload`,
    ...(against === undefined ? {} : { [against]: join(against, 'vf-offload') }),
  },
}
const times = inLab ? await measuredInLab() : measuredHere()
console.log(
  `\n${series.count} filters of others on another interface (${series.filter}), ${series.rounds} rounds`,
)
for (const what of ['clock', 'processor'] as const) {
  const raw = median(times.raw.map((took) => took[what]))
  console.log(`\nBy the ${what} (ms, medians); one dump of them takes ${ms(raw)} ms`)
  table(
    ['call', 'without them', 'with them', 'ratio, paired', 'more for 1,000', 'with them / dump'],
    Object.entries(times.crowded).map(([name, calls]) => {
      const [list, base] = [calls, times.empty[name] ?? []].map((some) => some.map((took) => took[what]))
      const [now, before] = [median(list ?? []), median(base ?? [])]
      const more = ((now - before) / (series.count / 1000)).toFixed(2)
      return [
        name,
        ms(before),
        ms(now),
        shownRatio(pairedRatio(list ?? [], base ?? [])),
        more,
        (now / raw).toFixed(2),
      ]
    }),
  )
}

function measuredHere(): FilterTimes {
  const script =
    'mount -t tmpfs -o mode=755 none /run; mkdir /run/netns; exec sh hack/bun.sh hack/bench-filters-guest.ts'
  const input = JSON.stringify(series)
  const options = { cwd: top, input, stderr: 'inherit' } as const
  const { stdout } = execaSync('unshare', ['--mount', '--net', 'sh', '-ec', script], options)
  return JSON.parse(stdout) as FilterTimes
}

async function measuredInLab(): Promise<FilterTimes> {
  const lab = await bootLab()
  try {
    const { code, stdout, stderr } = await lab.exec(['sh', 'hack/bun.sh', 'hack/bench-filters-guest.ts'], {
      cwd: top,
      stdin: JSON.stringify(series),
      timeoutMs: 3_600_000,
    })
    if (code !== 0) throw new Error(`hack/bench-filters-guest.ts: ${stderr}`)
    return JSON.parse(stdout) as FilterTimes
  } finally {
    await lab.close()
  }
}
