/** The text of `vf-device-plugin --help`, from the table of flags. */
import { version } from '../src/lib/version.ts'
import { flags } from './config/command-line.ts'

/** Columns of the flags' names. */
const column = 27

/** The usage, with an end of line at its end. */
export function usage(): string {
  const lines = Object.entries(flags).map(([name, { value, effect, without }]) => {
    const left = `  --${name}${value === undefined ? '' : ` ${value}`}`
    const given =
      without === '' || without === undefined || without === 'none' || without === 'false'
        ? ''
        : ` (${without})`
    return `${left.padEnd(column)} ${effect}${given}`
  })
  return `vf-device-plugin ${version}: Kubernetes device plugin for SR-IOV devices

Usage:
  vf-device-plugin [flags]                    serves kubelet until SIGTERM
  vf-device-plugin explain [flags] [DEVICE..] a table of devices: the pool of each one, or the
                                              selector that rejected it
  vf-device-plugin schema                     JSON Schema of the config, for editors
  vf-device-plugin --check FILE               checks a config

Flags (one or two dashes):
${lines.join('\n')}

Exit code: 0, 1 for a failure or a config that --check refuses, 2 for arguments that are not understood, 3 for a config
that can not be used when the service starts. SIGHUP reads the config again.
`
}
