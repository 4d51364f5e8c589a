/** Signals that would end an installer in the middle of its work. */

const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Runs `action`, which is short and waits for nobody but systemd, to its end, whatever of these signals comes. */
export function uninterrupted<T>(action: () => T): T {
  const ignore = () => undefined
  for (const name of names) process.on(name, ignore)
  try {
    return action()
  } finally {
    for (const name of names) process.off(name, ignore)
  }
}
