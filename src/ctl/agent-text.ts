/** The state of the agent as people read it. */
import type { AgentStatus, VerbStatus, WorkerStatus } from '../agent/status.ts'

/** The text of `vfctl agent`. */
export function agentText(status: AgentStatus): string {
  const { state, version, build, pid, seconds, workers, waiting, verbs, settingsProblem } = status
  return [
    `vf-agent ${version} (build ${build}), process ${pid}, ${state} for ${duration(seconds)}`,
    ...(settingsProblem === undefined ? [] : [`settings: ${settingsProblem}; the ones before hold`]),
    `calls that wait: ${waiting}`,
    '',
    ...columns(['worker', 'state', 'for', 'calls', 'memory', 'call'], workers.map(workerRow)),
    '',
    ...(verbs.length === 0
      ? ['no call was served yet']
      : columns(['verb', 'answered', 'failed', 'p50', 'p95', 'p99', 'others'], verbs.map(verbRow))),
    ...reasons('not served by a worker', status.refusals),
    ...reasons('not handed to a worker', status.fallbacks),
    ...reasons('workers that ended', status.ends),
    '',
  ].join('\n')
}

function workerRow({ pid, state, seconds, calls, kilobytes, call, waits }: WorkerStatus): string[] {
  const memory = kilobytes === 0 ? '' : `${Math.round(kilobytes / 1_024)} MiB`
  const doing = call === undefined ? '' : waits === undefined ? call : `${call}, waits for ${waits}`
  return [String(pid), state, duration(seconds), String(calls), memory, doing]
}

function verbRow({ verb, outcomes, failed, p50, p95, p99 }: VerbStatus): string[] {
  const { answered = 0, ...others } = outcomes
  const rest = Object.entries(others).map(([outcome, count]) => `${count} ${outcome}`)
  return [verb, String(answered), String(failed), ...[p50, p95, p99].map(milliseconds), rest.join(', ')]
}

function milliseconds(value: number | undefined): string {
  return value === undefined ? '' : `${value.toFixed(1)} ms`
}

function reasons(title: string, counts: Readonly<Record<string, number>>): string[] {
  const rows = Object.entries(counts).sort(([, one], [, other]) => other - one)
  return rows.length === 0 ? [] : ['', `${title}:`, ...rows.map(([reason, count]) => `  ${count}  ${reason}`)]
}

/** A time in its largest whole unit. */
function duration(seconds: number): string {
  const units = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
  ] as const
  const unit = units.find(([size]) => seconds >= 2 * size)
  return unit === undefined ? `${Math.floor(seconds)} s` : `${Math.floor(seconds / unit[0])} ${unit[1]}`
}

/** Rows under their titles, in columns of equal width. */
function columns(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [titles, ...rows]
  const widths = titles.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)))
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
