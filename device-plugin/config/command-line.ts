/** The command line of `vf-device-plugin`. */
import { isFolderPath } from '../../src/lib/path.ts'
import { type Flag, type Flags, parseFlags } from './flags.ts'
import { allowedPrefix, isPrefix } from './resource-name.ts'
import type { Roots, Settings } from './settings.ts'

/** A command line as it was understood. */
export type CommandLine =
  | { readonly command: 'help' | 'version' | 'schema' }
  /** A mistake, as a sentence; exit code 2. */
  | { readonly command: 'refused'; readonly problem: string }
  | { readonly command: 'check'; readonly file: string; readonly settings: Settings }
  /** A table of devices and pools; `devices` are ids, none: all. */
  | {
      readonly command: 'explain'
      readonly settings: Settings
      readonly json: boolean
      readonly devices: readonly string[]
      readonly warnings: readonly string[]
    }
  | { readonly command: 'serve'; readonly settings: Settings; readonly warnings: readonly string[] }

/** Settings of a command line without flags. */
export const defaultSettings: Settings = {
  roots: {
    sys: '/sys',
    dev: '/dev',
    kubelet: '/var/lib/kubelet',
    cdi: '/var/run/cdi',
    deviceInfo: '/var/run/k8s.cni.cncf.io/devinfo/dp',
    state: '/var/lib/cni/vf-flower',
  },
  configFile: '/etc/pcidp/config.json',
  resourcePrefix: 'intel.com',
  useCdi: false,
  cdiAnnotations: false,
  listen: undefined,
  readyFile: undefined,
  instance: '',
  logLevel: 'info',
}

interface Draft {
  settings: Settings
  command: 'help' | 'version' | 'serve'
  check: string | undefined
  json: boolean
  readonly warnings: string[]
}

const levels = ['debug', 'info', 'warning', 'error'] as const
const set = (draft: Draft, part: Partial<Settings>) => {
  draft.settings = { ...draft.settings, ...part }
  return undefined
}

function folder(root: keyof Roots, effect: string): Flag<Draft> {
  return {
    value: 'DIR',
    without: defaultSettings.roots[root],
    effect,
    take: (draft, dir) =>
      isFolderPath(dir)
        ? set(draft, { roots: { ...draft.settings.roots, [root]: dir } })
        : 'an absolute path',
  }
}

/** A flag of glog without a counterpart here. */
function idle(value: string | undefined, effect: string, isTold = true): Flag<Draft> {
  return {
    value,
    without: '',
    effect,
    take: (draft, given) => {
      if (isTold && given !== 'false') draft.warnings.push(effect)
      return undefined
    },
  }
}

/** glog counts verbosity; 10 is what the container of the SR-IOV network device plugin sets by default, and says nothing. */
function verbosity(draft: Draft, text: string): string | undefined {
  if (!/^\d{1,9}$/.test(text)) return 'a number from 0 to 999999999'
  return set(draft, { logLevel: Number(text) > 10 ? 'debug' : 'info' })
}

function logLevel(draft: Draft, text: string): string | undefined {
  const level = levels.find((one) => one === text)
  if (level !== undefined) return set(draft, { logLevel: level })
  return verbosity(draft, text) === undefined ? undefined : `one of ${levels.join(', ')}, or a number`
}

function listen(draft: Draft, text: string): string | undefined {
  const [, port = ''] = /^(?:[^\s:[\]]*|\[[0-9A-Fa-f:.]+\]):(\d{1,5})$/.exec(text) ?? []
  if (text !== '' && (port === '' || Number(port) > 65535))
    return 'HOST:PORT, with an IPv6 address in brackets; HOST may be missing, PORT is 0 to 65535'
  return set(draft, { listen: text === '' ? undefined : text })
}

/** All flags. */
export const flags: Flags<Draft> = {
  'config-file': {
    value: 'FILE',
    without: defaultSettings.configFile,
    effect: 'the config; the process follows its changes',
    take: (draft, configFile) => (configFile === '' ? 'a path' : set(draft, { configFile })),
  },
  'resource-prefix': {
    value: 'PREFIX',
    without: defaultSettings.resourcePrefix,
    effect: 'prefix of pools that name none',
    take: (draft, text) => {
      // The container's script passes an empty value on as none.
      if (text !== '' && !isPrefix(text)) return allowedPrefix
      return set(draft, { resourcePrefix: text || defaultSettings.resourcePrefix })
    },
  },
  'use-cdi': {
    value: undefined,
    without: 'false',
    effect: 'containers get their device files by CDI names',
    take: (draft, text) => set(draft, { useCdi: text === 'true' }),
  },
  'cdi-annotations': {
    value: undefined,
    without: 'false',
    effect: 'with `--use-cdi`: the names go into annotations, for kubelets before 1.29',
    take: (draft, text) => set(draft, { cdiAnnotations: text === 'true' }),
  },
  listen: {
    value: 'HOST:PORT',
    without: 'none',
    effect: 'serves /metrics, /healthz and /readyz',
    take: listen,
  },
  'ready-file': {
    value: 'FILE',
    without: 'none',
    effect:
      'a file that is there while `/readyz` would say 200, for probes that must not ask a process beside this one',
    take: (draft, text) => (isFolderPath(text) ? set(draft, { readyFile: text }) : 'an absolute path'),
  },
  instance: {
    value: 'NAME',
    without: 'none',
    effect: 'tells the sockets of two processes on one node apart, in an upgrade; they share CDI files',
    take: (draft, instance) =>
      // The uid of a pod has 36 characters.
      /^[a-z0-9-]{0,36}$/.test(instance)
        ? set(draft, { instance })
        : 'at most 36 lower-case letters, digits and -',
  },
  'sys-root': folder('sys', 'sysfs'),
  'dev-root': folder('dev', 'device files as this process sees them'),
  'kubelet-dir': folder('kubelet', "kubelet's folder: sockets, podresources, checkpoint"),
  'cdi-dir': folder('cdi', 'CDI specs'),
  'device-info-dir': folder('deviceInfo', 'device information for Multus'),
  'state-dir': folder('state', 'records of vf-attach and vf-offload'),
  'log-level': {
    value: 'LEVEL',
    without: defaultSettings.logLevel,
    effect: 'debug, info, warning or error; a number counts as `-v`',
    take: logLevel,
  },
  v: {
    value: 'N',
    without: '',
    effect: 'verbosity of glog: above 10 is `--log-level debug`, 0 to 10 is info',
    take: verbosity,
  },
  vmodule: idle('PATTERN=N', 'flag vmodule has no effect: there are no levels for single files'),
  'log-dir': idle('DIR', 'flag log-dir has no effect: log lines go to stderr alone'),
  stderrthreshold: idle('LEVEL', 'flag stderrthreshold has no effect: log lines go to stderr alone'),
  'log-backtrace-at': idle('FILE:N', 'flag log-backtrace-at has no effect'),
  logtostderr: idle(undefined, 'taken: log lines go to stderr anyway', false),
  alsologtostderr: idle(undefined, 'taken: log lines go to stderr anyway', false),
  check: {
    value: 'FILE',
    without: '',
    effect: 'checks a config, prints each finding with line and key, and ends with code 0 or 1',
    take: (draft, file) => {
      if (file === '') return 'a path'
      draft.check = file
      return undefined
    },
  },
  json: {
    value: undefined,
    without: 'false',
    effect: 'for `explain`: JSON instead of a table',
    take: (draft, text) => {
      draft.json = text === 'true'
      return undefined
    },
  },
  help: command('help', 'this text'),
  h: command('help', 'this text'),
  version: command('version', 'the version'),
}

function command(name: 'help' | 'version', effect: string): Flag<Draft> {
  return {
    value: undefined,
    without: '',
    effect,
    take: (draft) => {
      draft.command = name
      return undefined
    },
  }
}

/**
 * Reads the arguments behind the name of the program: `[explain] [flags] [devices]`, or `schema`. Flags of the SR-IOV network device plugin, of
 * glog, and of the script of its container are taken.
 */
export function readCommandLine(argv: readonly string[]): CommandLine {
  if (argv.length === 1 && argv[0] === 'schema') return { command: 'schema' }
  const isExplain = argv[0] === 'explain'
  const draft: Draft = {
    settings: defaultSettings,
    command: 'serve',
    check: undefined,
    json: false,
    warnings: [],
  }
  const parsed = parseFlags(isExplain ? argv.slice(1) : argv, flags, draft)
  if ('problem' in parsed) return { command: 'refused', problem: parsed.problem }
  const { settings, warnings, json } = draft
  const [first] = parsed.rest
  if (draft.command !== 'serve') return { command: draft.command }
  if (isExplain && draft.check !== undefined)
    return { command: 'refused', problem: 'Cannot use --check with explain: must be one of the two' }
  if (isExplain) return { command: 'explain', settings, json, devices: parsed.rest, warnings }
  if (first !== undefined)
    return {
      command: 'refused',
      problem: `Cannot use argument "${first}": must be a flag, or "explain" or "schema" as the first word`,
    }
  if (json) return { command: 'refused', problem: 'Cannot use --json: it belongs to explain' }
  if (draft.check !== undefined) return { command: 'check', file: draft.check, settings }
  return { command: 'serve', settings, warnings }
}
