import type { Clock } from './window.ts'

/** The clock of this process. */
export const processClock: Clock = {
  now: () => performance.now(),
  cpu: () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1_000
  },
  after: (delay, action) => {
    const timer = setTimeout(action, delay)
    return () => clearTimeout(timer)
  },
}
