// kubectl in a node with an API server: that of the distribution, unpacked. In: a Lab, words. Out: what kubectl says, and the manifests as
// `kubectl apply -k` of a user applies them, strictly.
import { fileURLToPath } from 'node:url'
import type { Lab } from '../../lab.ts'
import { unpackedPackage } from '../../packages.ts'
import { SimulatorError } from '../api.ts'
import type { ApiObject, Cluster } from './cluster.ts'

/** The folder of all manifests, in a node too. */
export const DEPLOY = fileURLToPath(new URL('../../../../device-plugin/deploy', import.meta.url)).replace(
  /\/$/,
  '',
)
/** Milliseconds for a command: some wait for pods. */
const COMMAND_MS = 900_000
/** A warning of the server is a failure, and so is a field that it does not know. */
const STRICTLY = ['--warnings-as-errors', '--validate=strict'] as const

/** The end of a command. */
export interface Said {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** kubectl, as the user who may do everything. */
export interface Kubectl {
  /** Runs a command to its end, whatever its code; `stdin` is an object in JSON. */
  run(words: readonly string[], stdin?: ApiObject): Promise<Said>
  /** Runs a command that must succeed; returns its output. @throws SimulatorError with kubectl's words */
  must(words: readonly string[], stdin?: ApiObject): Promise<string>
  /** Applies a folder with a kustomization; a warning counts as a refusal. @throws SimulatorError with the server's words */
  apply(folder: string): Promise<void>
  /** One object, by the words behind `kubectl get`. @throws SimulatorError with kubectl's words */
  object(words: readonly string[]): Promise<ApiObject>
}

/** kubectl for a server in the node. */
export function kubectlIn(lab: Lab, cluster: Cluster): Kubectl {
  const program = `${unpackedPackage('kubectl').folder}/usr/bin/kubectl`
  const env = { KUBECONFIG: cluster.kubeconfig('admin'), HOME: '/run/kubectl' }
  const run = async (words: readonly string[], stdin?: ApiObject): Promise<Said> =>
    lab.exec([program, ...words], {
      ...{ env, timeoutMs: COMMAND_MS },
      ...(stdin === undefined ? {} : { stdin: JSON.stringify(stdin) }),
    })
  const must = async (words: readonly string[], stdin?: ApiObject) => {
    const { code, stdout, stderr } = await run(words, stdin)
    if (code === 0) return stdout
    throw new SimulatorError(`"kubectl ${words.join(' ')}" ended with code ${code}: ${stderr.trim()}`)
  }
  return {
    ...{ run, must },
    apply: async (folder) => void (await must(['apply', '-k', folder, ...STRICTLY])),
    object: async (words) => JSON.parse(await must(['get', ...words, '-o', 'json'])) as ApiObject,
  }
}

/** Makes a kind, and waits until the server knows it. */
export async function makeKind(kubectl: Kubectl, kind: ApiObject): Promise<void> {
  await kubectl.must(['apply', '-f', '-'], kind)
  await kubectl.must(['wait', '--for=condition=Established', '--timeout=600s', '-f', '-'], kind)
}
