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
  /** These two make a cluster of server and node; then the manifests are applied. */
  readonly controllerManager?: string
  readonly scheduler?: string
  /** In the virtual machine, with VFs of a card that it emulates, instead of in namespaces. */
  readonly isLab: boolean
}

/** The form of the command line. */
export const USAGE = `usage: sh hack/real-kubelet.sh [--lab] [--multus FILE] [--etcd FILE] KUBELET [KUBE-APISERVER]
       sh hack/real-kubelet.sh [--lab] [--etcd FILE] --multus FILE --controller-manager FILE --scheduler FILE KUBELET KUBE-APISERVER`

/** Options that name a program: its key, and the option that it needs beside it. */
const NAMED = {
  etcd: { key: 'etcd', needs: [] },
  multus: { key: 'multus', needs: [] },
  'controller-manager': { key: 'controllerManager', needs: ['scheduler', 'multus'] },
  scheduler: { key: 'scheduler', needs: ['controller-manager', 'multus'] },
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
      throw new ProgramsError(`Cannot use --${option} without --${lack}: the manifests need both.`)
  }
  return {
    kubelet: program('KUBELET', kubelet),
    ...(apiserver === undefined ? {} : { apiserver: program('KUBE-APISERVER', apiserver) }),
    ...Object.fromEntries(
      options.map((option) => [NAMED[option].key, program(`--${option}`, values[option] ?? '')]),
    ),
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
