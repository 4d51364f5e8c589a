// An API server in a node, whose program the user brings, with etcd of the distribution, unpacked. It serves one run: everybody with its token
// may do everything, and nobody outside of the node reaches it. In: a Lab. Out: a kubeconfig, and calls of its API.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { HOST } from '../../bed/topology.ts'
import type { Lab, LabProcess } from '../../lab.ts'
import { unpackedPackage } from '../../packages.ts'
import { SimulatorError } from '../api.ts'
import { lastLines } from './kubelet.ts'
import { until } from './until.ts'

const FOLDER = '/etc/kubernetes'
const ETCD = 'http://127.0.0.1:2379'
const SERVER = 'https://127.0.0.1:6443'

/** An object of the API. */
export type ApiObject = Readonly<Record<string, unknown>>

/** An API server. */
export interface Cluster {
  /** The words of `kube-apiserver --version` and of `etcd --version`. */
  readonly versions: readonly [server: string, etcd: string]
  /** Path of a kubeconfig in the node. */
  readonly kubeconfig: string
  /** One call; `body` is sent as JSON. A GET is asked again while the server is too slow. @throws SimulatorError with the server's words, unless the code is 2xx */
  api(method: 'GET' | 'POST' | 'DELETE', path: string, body?: ApiObject): Promise<ApiObject>
  /** Ends both. */
  end(): Promise<void>
}

/** Starts both in a node whose wire is up: the server wants an address to tell others. `etcd`: a program other than the distribution's. */
export async function startCluster(lab: Lab, program: string, etcd?: string): Promise<Cluster> {
  const database = etcd ?? `${unpackedPackage('etcd-server').folder}/usr/bin/etcd`
  const versions = [await versionOf(lab, program), await versionOf(lab, database)] as const
  const token = randomUUID()
  await lab.writeFile(`${FOLDER}/tokens.csv`, `${token},admin,admin,"system:masters"\n`, 0o600)
  await lab.writeFile(`${FOLDER}/accounts.key`, accountsKey(), 0o600)
  await lab.writeFile(`${FOLDER}/kubeconfig`, JSON.stringify(kubeconfigOf(token)), 0o600)
  const processes: LabProcess[] = []
  const started = async (argv: readonly string[], ...serves: readonly string[]) => {
    const process = await lab.spawn(argv, { timeoutMs: 0 })
    processes.push(process)
    const ended = process.wait().then(({ code }): never => {
      throw new SimulatorError(`"${argv[0]}" ended with code ${code}: ${lastLines(process.stderr())}`)
    })
    ended.catch(() => undefined)
    const serving = until(
      async () => ((await lab.exec(['curl', '-ksSf', '-m', '20', ...serves])).code === 0 ? true : undefined),
      () => `"${argv[0]}" serves\n${lastLines(process.stderr())}`,
    )
    await Promise.race([ended, serving])
  }
  const end = async () => {
    for (const one of processes.splice(0).reverse()) {
      one.kill('SIGKILL')
      await one.wait()
    }
  }
  try {
    const peers = 'http://127.0.0.1:2380'
    await started(
      [
        ...[database, '--data-dir', '/run/etcd', '--unsafe-no-fsync', '--listen-peer-urls', peers],
        ...['--listen-client-urls', ETCD, '--advertise-client-urls', ETCD],
        ...['--initial-advertise-peer-urls', peers, '--initial-cluster', `default=${peers}`],
      ],
      `${ETCD}/health`,
    )
    await started(
      [program, ...serverFlags()],
      ...['-H', `Authorization: Bearer ${token}`, `${SERVER}/readyz`],
    )
  } catch (error) {
    await end()
    throw error
  }
  return {
    ...{ versions, kubeconfig: `${FOLDER}/kubeconfig`, end },
    api: async (method, path, body) => {
      let refusal = ''
      const ask = async (): Promise<ApiObject | undefined> => {
        const { stdout } = await lab.exec(
          [
            ...['curl', '-ksS', '-m', '120', '-X', method, '-H', `Authorization: Bearer ${token}`],
            ...['-H', 'Content-Type: application/json', '-w', '\n%{http_code}'],
            ...(body === undefined ? [] : ['--data-binary', '@-']),
            `${SERVER}${path}`,
          ],
          { stdin: body === undefined ? '' : JSON.stringify(body) },
        )
        const at = stdout.lastIndexOf('\n')
        const status = stdout.slice(at + 1)
        const answer = stdout.slice(0, at)
        if (/^2/.test(status)) return JSON.parse(answer || '{}') as ApiObject
        refusal = `${method} ${path}: ${status}: ${answer.trim()}`
        // A server in emulation answers a question too late at times; a change may have been made all the same.
        if (method === 'GET' && /^(000|429|5)/.test(status)) return undefined
        throw new SimulatorError(refusal)
      }
      return until(ask, () => refusal)
    },
  }
}

/** The first line of what a program says to `--version`. @throws SimulatorError when it does not run */
export async function versionOf(lab: Lab, program: string): Promise<string> {
  const { code, stdout, stderr } = await lab.exec([program, '--version'])
  if (code !== 0) throw new SimulatorError(`"${program} --version" ended with code ${code}: ${stderr.trim()}`)
  return stdout.split('\n')[0]?.trim() ?? ''
}

function serverFlags(): string[] {
  const flags = {
    'etcd-servers': ETCD,
    'secure-port': 6443,
    'bind-address': '127.0.0.1',
    'advertise-address': HOST.v4,
    'cert-dir': '/run/kube-apiserver',
    'service-account-key-file': `${FOLDER}/accounts.key`,
    'service-account-signing-key-file': `${FOLDER}/accounts.key`,
    'service-account-issuer': SERVER,
    'token-auth-file': `${FOLDER}/tokens.csv`,
    'authorization-mode': 'AlwaysAllow',
    // The controller that makes accounts for namespaces does not run.
    'disable-admission-plugins': 'ServiceAccount',
    'service-cluster-ip-range': '10.96.0.0/16',
    'endpoint-reconciler-type': 'none',
    'allow-privileged': true,
  }
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
}

function accountsKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return privateKey.export({ type: 'pkcs1', format: 'pem' }) as string
}

function kubeconfigOf(token: string): ApiObject {
  return {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'node' },
    clusters: [{ name: 'node', cluster: { server: SERVER, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'node', context: { cluster: 'node', user: 'admin' } }],
  }
}
