/** The command line of `vf-flower`. Pure. */
import { plainPath } from '../lib/path.ts'

/** Names of known plugins that can be made names of ours, on request. */
export const aliasNames = ['sriov', 'host-device', 'portmap', 'bandwidth'] as const
/** One of {@link aliasNames}. */
export type Alias = (typeof aliasNames)[number]

/** The wishes of the operator. */
export interface Wishes {
  readonly command: 'install' | 'uninstall'
  /** The folder that stands for `/`, without a slash at its end; '' for the node itself. */
  readonly root: string
  /** CNI folders in the place of those that the runtimes' configs name; none: look for them. */
  readonly binDirs: readonly string[]
  readonly aliases: readonly Alias[]
  /** A file with a network config, or `example`. */
  readonly network: string | undefined
  /** The folder of the programs of services, in the place of the usual ones; none: that of the install before, or the usual ones. */
  readonly libexecDir: string | undefined
  /** Installs the unit of the agent, and has systemd start it. */
  readonly service: boolean
  readonly dryRun: boolean
  readonly force: boolean
}

/** The meaning of a command line. */
export type CommandLine =
  | { readonly kind: 'help' | 'version' }
  | { readonly kind: 'refused'; readonly problem: string }
  | { readonly kind: 'run'; readonly wishes: Wishes }

/** Options that have a value, by the command that knows them. */
const withValue: Readonly<Record<string, readonly string[]>> = {
  install: ['--root', '--bin-dir', '--libexec-dir', '--alias', '--network'],
  uninstall: ['--root'],
}
const flags: Readonly<Record<string, readonly string[]>> = {
  install: ['--dry-run', '--no-service'],
  uninstall: ['--dry-run', '--force'],
}

/** Reads the words after the program's name. */
export function readCommandLine([command = '', ...words]: readonly string[]): CommandLine {
  if (['--help', '-h'].includes(command)) return { kind: 'help' }
  if (command === '--version') return { kind: 'version' }
  if (command !== 'install' && command !== 'uninstall')
    return refused(
      `${command === '' ? 'a command is missing' : `unknown command "${command}"`}; must be install or uninstall`,
    )
  if (words.some((word) => word === '--help' || word === '-h')) return { kind: 'help' }
  const given: [option: string, value: string][] = []
  for (let at = 0; at < words.length; at++) {
    const [option = '', ...rest] = (words[at] ?? '').split('=')
    const joined = rest.length === 0 ? undefined : rest.join('=')
    if (flags[command]?.includes(option) && joined === undefined) given.push([option, ''])
    else if (withValue[command]?.includes(option)) {
      const value = joined ?? words[++at] ?? ''
      if (value === '' || (joined === undefined && value.startsWith('--')))
        return refused(`${option} needs a value`)
      given.push([option, value])
    } else return refused(`unknown argument "${words[at]}" of ${command}`)
  }
  return wishesOf(command, given)
}

function wishesOf(command: Wishes['command'], given: readonly [string, string][]): CommandLine {
  const all = (option: string) => given.flatMap(([name, value]) => (name === option ? [value] : []))
  for (const option of ['--root', '--network', '--libexec-dir'])
    if (all(option).length > 1) return refused(`${option} is given twice`)
  for (const option of ['--root', '--bin-dir', '--libexec-dir'])
    for (const path of all(option)) {
      if (!path.startsWith('/')) return refused(`${option} is "${path}"; must be an absolute path`)
      if (path.split('/').includes('..'))
        return refused(`${option} is "${path}"; must be a path without ".."`)
    }
  const names = all('--alias')
    .flatMap((value) => value.split(','))
    .filter((name) => name !== '')
  const stranger = names.find((name) => !isAlias(name))
  if (stranger !== undefined)
    return refused(`--alias has "${stranger}"; must be some of ${aliasNames.join(', ')}, with commas`)
  const [root = '/'] = all('--root')
  const libexecDir = all('--libexec-dir').map(plainPath)[0]
  if (libexecDir === '') return refused('--libexec-dir is "/"; must be a folder below it')
  return {
    kind: 'run',
    wishes: {
      ...{
        command,
        root: plainPath(root),
        binDirs: [...new Set(all('--bin-dir').map(plainPath))].filter((one) => one !== ''),
      },
      ...{ aliases: [...new Set(names.filter(isAlias))], network: all('--network')[0] },
      ...{ libexecDir, service: all('--no-service').length === 0 },
      ...{ dryRun: all('--dry-run').length > 0, force: all('--force').length > 0 },
    },
  }
}

function isAlias(name: string): name is Alias {
  return (aliasNames as readonly string[]).includes(name)
}

function refused(problem: string): CommandLine {
  return { kind: 'refused', problem }
}
