// The programs that the user brings for a run with a real kubelet: words of a command line. In: arguments. Out: paths, or an error that says
// what is allowed. Imports node: modules alone.
import { accessSync, constants, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

/** A command line that does not say what to run. The message says what is allowed. */
export class ProgramsError extends Error {
  override readonly name = 'ProgramsError'
}

/** Programs to run, by absolute paths. */
export interface Programs {
  readonly kubelet: string
  /** Without it kubelet runs standalone, with static pods. */
  readonly apiserver?: string
  /** An etcd other than that of the package etcd-server. */
  readonly etcd?: string
  /** The plugin `multus` ("thin"). */
  readonly multus?: string
  /** Multus as a daemon ("thick"), in the place of the plugin alone. */
  readonly thick?: ThickPrograms
  /** These two make a cluster of server and node; then the manifests are applied. */
  readonly controllerManager?: string
  readonly scheduler?: string
  /** In the virtual machine, with VFs of a card that it emulates, instead of in namespaces. */
  readonly isLab: boolean
}

/** The programs of Multus as a daemon. */
export interface ThickPrograms {
  readonly daemon: string
  readonly shim: string
}

/** True if pods may ask for networks beside that of all pods. */
export const hasMultus = ({ multus, thick }: Programs): boolean => multus !== undefined || thick !== undefined

/** The form of the command line. */
export const USAGE = `usage: sh hack/real-kubelet.sh [--lab] [--multus FILE] [--etcd FILE] KUBELET [KUBE-APISERVER]
       sh hack/real-kubelet.sh [--etcd FILE] --multus-daemon FILE --multus-shim FILE KUBELET KUBE-APISERVER
       sh hack/real-kubelet.sh [--lab] [--etcd FILE] --multus FILE --controller-manager FILE --scheduler FILE KUBELET KUBE-APISERVER`

/** Options that name a program: its key, the options that it needs beside it, with a reason, and those that it can't stand beside. */
const WHOLE = 'the manifests need both'
const THICK = { needs: [], not: ['multus', 'controller-manager', 'scheduler', 'lab'] } as const
const NAMED = {
  etcd: { key: 'etcd', needs: [], not: [], why: '' },
  multus: { key: 'multus', needs: [], not: [], why: '' },
  'controller-manager': { key: 'controllerManager', needs: ['scheduler', 'multus'], not: [], why: WHOLE },
  scheduler: { key: 'scheduler', needs: ['controller-manager', 'multus'], not: [], why: WHOLE },
  'multus-daemon': { ...THICK, key: 'daemon', needs: ['multus-shim'], why: 'the runtime calls the shim' },
  'multus-shim': { ...THICK, key: 'shim', needs: ['multus-daemon'], why: 'the shim calls the daemon' },
} as const
type Named = keyof typeof NAMED

/** @throws ProgramsError */
export function programsOf(args: readonly string[]): Programs {
  const { values, positionals } = parsed(args)
  const [kubelet, apiserver, ...rest] = positionals
  if (kubelet === undefined) throw new ProgramsError(`KUBELET is missing: name the program.\n${USAGE}`)
  if (rest.length > 0)
    throw new ProgramsError(
      `Cannot use "${rest[0]}": at most two programs stand without an option.\n${USAGE}`,
    )
  const options = (Object.keys(NAMED) as Named[]).filter((option) => values[option] !== undefined)
  for (const option of options) {
    if (apiserver === undefined)
      throw new ProgramsError(
        `Cannot use --${option} without KUBE-APISERVER: only pods of an API server need it.`,
      )
    const lack = NAMED[option].needs.find((other) => values[other] === undefined)
    if (lack !== undefined)
      throw new ProgramsError(`Cannot use --${option} without --${lack}: ${NAMED[option].why}.`)
    const other = NAMED[option].not.find((one) => values[one] !== undefined)
    if (other !== undefined)
      throw new ProgramsError(`Cannot use --${option} with --${other}: name one or the other.`)
  }
  const { daemon, shim, ...others } = Object.fromEntries(
    options.map((option) => [NAMED[option].key, program(`--${option}`, values[option] ?? '')]),
  )
  return {
    kubelet: program('KUBELET', kubelet),
    ...(apiserver === undefined ? {} : { apiserver: program('KUBE-APISERVER', apiserver) }),
    ...others,
    ...(daemon === undefined || shim === undefined ? {} : { thick: { daemon, shim } }),
    isLab: values.lab ?? false,
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        lab: { type: 'boolean' },
        multus: { type: 'string' },
        'multus-daemon': { type: 'string' },
        'multus-shim': { type: 'string' },
        etcd: { type: 'string' },
        'controller-manager': { type: 'string' },
        scheduler: { type: 'string' },
      },
    })
  } catch (error) {
    throw new ProgramsError(`${(error as Error).message}.\n${USAGE}`)
  }
}

/** The absolute path of a program: must be a file that may be executed. */
function program(what: string, path: string): string {
  const file = resolve(path)
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat === undefined) throw new ProgramsError(`Cannot use ${what} ${path}: there is no such file.`)
  if (!stat.isFile()) throw new ProgramsError(`Cannot use ${what} ${path}: must be a file, not a folder.`)
  try {
    accessSync(file, constants.X_OK)
  } catch {
    throw new ProgramsError(`Cannot use ${what} ${path}: must be executable (chmod +x).`)
  }
  // The run has a folder of its own at these places.
  const hidden = ['/run', '/var/lib/cni', '/etc/cni', '/dev/shm'].find((folder) =>
    file.startsWith(join(folder, '/')),
  )
  if (hidden !== undefined)
    throw new ProgramsError(
      `Cannot use ${what} ${path}: the node does not see ${hidden}; must be in another folder.`,
    )
  return file
}
