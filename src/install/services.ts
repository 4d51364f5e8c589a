/** The agent as a service of systemd, where that runs. */
import { isThere } from '../sys/files.ts'
import { unitName } from './files/layout.ts'

/** Runs `systemctl` with these words; returns the reason why it failed, undefined on success. */
export type Systemctl = (words: readonly string[]) => string | undefined

/** True where systemd is the system's first process (sd_booted(3)). */
export function hasSystemd(): boolean {
  return isThere('/run/systemd/system')
}

/**
 * Has the agent of the new build run. `isFirst`: systemd was not told before to start the agent; later it is restarted if it runs. While it restarts, calls run by themselves: nothing depends on it. So a refusal is a line for
 * people and no failure. `names` is the folder of the program's name. Returns these lines.
 */
export function startAgent(
  systemctl: Systemctl | undefined,
  { isFirst, names }: { readonly isFirst: boolean; readonly names: string },
  tell: (line: string) => void,
): readonly string[] {
  if (systemctl === undefined)
    return [`no systemd runs here: start ${names}/vf-agent yourself; a new one takes over from an old one`]
  return runAll(systemctl, tell, [
    ['daemon-reload'],
    // An operator who has switched the agent off since wants it off.
    ...(isFirst
      ? [
          ['enable', unitName],
          ['restart', unitName],
        ]
      : [['try-restart', unitName]]),
  ])
}

/** Has the agent end, before its unit goes. */
export function stopAgent(systemctl: Systemctl | undefined, tell: (line: string) => void): readonly string[] {
  return systemctl === undefined ? [] : runAll(systemctl, tell, [['disable', '--now', unitName]])
}

/** Has systemd forget a unit that is gone. */
export function forgetUnit(
  systemctl: Systemctl | undefined,
  tell: (line: string) => void,
): readonly string[] {
  return systemctl === undefined ? [] : runAll(systemctl, tell, [['daemon-reload']])
}

function runAll(
  systemctl: Systemctl,
  tell: (line: string) => void,
  commands: readonly (readonly string[])[],
): readonly string[] {
  return commands.flatMap((words) => {
    tell(`systemctl ${words.join(' ')}`)
    const refusal = systemctl(words)
    return refusal === undefined
      ? []
      : [`"systemctl ${words.join(' ')}" failed: ${refusal}. Calls run without the agent then, slower`]
  })
}
