/** The machine that a table was measured on, and its load at that time. */
import { readFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'

/** One line: processors, memory, kernel, and the load before the measurement. */
export function machineLine(): string {
  const processors = cpus()
  const kernel = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()
  const gib = (totalmem() / 2 ** 30).toFixed(0)
  return `${processors.length} x ${processors[0]?.model.trim()}, ${gib} GiB, Linux ${kernel}; ${loadLine()}`
}

/** The load average of the last minute, and whether that is the load of this benchmark alone (at most one busy processor). */
export function loadLine(): string {
  const load = Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0])
  return `load average ${load.toFixed(2)}: ${load <= 1.2 ? 'idle but for this' : 'BUSY, the times do not count'}`
}
