// An API server in a node, whose program the user brings, with etcd of the distribution, unpacked. It serves one run, and nobody outside of the
// node reaches it. In: a Lab. Out: kubeconfigs, and calls of its API.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { HOST } from '../../bed/topology.ts'
import type { Lab } from '../../lab.ts'
import { unpackedPackage } from '../../packages.ts'
import { SimulatorError } from '../api.ts'
import { NODE } from './kubelet.ts'
import { type Server, startServer } from './server.ts'
import { until } from './until.ts'

const FOLDER = '/etc/kubernetes'
const ETCD = 'http://127.0.0.1:2379'
const SERVER = 'https://127.0.0.1:6443'
/** The key that signs the tokens of accounts. */
export const ACCOUNTS_KEY = `${FOLDER}/accounts.key`

/** An object of the API. */
export type ApiObject = Readonly<Record<string, unknown>>

/** The users of a server, each with its groups, as the roles that a server makes by itself know them. */
const USERS = {
  admin: ['admin', 'system:masters'],
  node: [`system:node:${NODE}`, 'system:nodes'],
  controllers: ['system:kube-controller-manager', ''],
  scheduler: ['system:kube-scheduler', ''],
} as const
/** A user of a server. */
export type User = keyof typeof USERS

/** Wishes for a server. */
export interface ClusterOptions {
  /** A program other than the distribution's. */
  readonly etcd?: string
  /** Users have roles, pods have accounts, and a namespace without a level of Pod Security is `restricted`. Else everybody may do everything. */
  readonly isStrict?: boolean
}

/** An API server. */
export interface Cluster {
  /** The words of `kube-apiserver --version` and of `etcd --version`. */
  readonly versions: readonly [server: string, etcd: string]
  /** Path of a user's kubeconfig in the node. */
  kubeconfig(user: User): string
  /** One call; `body` is sent as JSON. A GET is asked again while the server is too slow. @throws SimulatorError with the server's words, unless the code is 2xx */
  api(method: 'GET' | 'POST' | 'DELETE', path: string, body?: ApiObject): Promise<ApiObject>
  /** Ends both. */
  end(): Promise<void>
}

/** Starts both in a node whose wire is up: the server wants an address to tell others. */
export async function startCluster(
  lab: Lab,
  program: string,
  { etcd, isStrict = false }: ClusterOptions = {},
): Promise<Cluster> {
  const database = etcd ?? `${unpackedPackage('etcd-server').folder}/usr/bin/etcd`
  const versions = [await versionOf(lab, program), await versionOf(lab, database)] as const
  const token = await writeUsers(lab)
  await lab.writeFile(ACCOUNTS_KEY, accountsKey(), 0o600)
  await lab.writeFile(ADMISSION, JSON.stringify(ADMISSION_OF_STRICT))
  const servers: Server[] = []
  const end = async () => {
    for (const one of servers.splice(0).reverse()) await one.end()
  }
  try {
    const peers = 'http://127.0.0.1:2380'
    servers.push(
      await startServer(
        lab,
        [
          ...[database, '--data-dir', '/run/etcd', '--unsafe-no-fsync', '--listen-peer-urls', peers],
          ...['--listen-client-urls', ETCD, '--advertise-client-urls', ETCD],
          ...['--initial-advertise-peer-urls', peers, '--initial-cluster', `default=${peers}`],
        ],
        `${ETCD}/health`,
      ),
    )
    servers.push(
      await startServer(
        lab,
        [program, ...serverFlags(isStrict)],
        ...['-H', `Authorization: Bearer ${token}`, `${SERVER}/readyz`],
      ),
    )
  } catch (error) {
    await end()
    throw error
  }
  return {
    ...{ versions, kubeconfig, end },
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

const kubeconfig = (user: User) => `${FOLDER}/${user}.kubeconfig`

/** Writes the server's list of users, and a kubeconfig of each. Returns the token of the one who may do everything. */
async function writeUsers(lab: Lab): Promise<string> {
  const tokens = Object.entries(USERS).map(([user, [name, group]]) => {
    const token = randomUUID()
    return { user: user as User, token, line: `${token},${name},${user},"${group}"\n` }
  })
  await lab.writeFile(`${FOLDER}/tokens.csv`, tokens.map(({ line }) => line).join(''), 0o600)
  for (const { user, token } of tokens)
    await lab.writeFile(kubeconfig(user), JSON.stringify(kubeconfigOf(token)), 0o600)
  return tokens.find(({ user }) => user === 'admin')?.token ?? ''
}

function serverFlags(isStrict: boolean): string[] {
  const flags = {
    'etcd-servers': ETCD,
    'secure-port': 6443,
    'bind-address': '127.0.0.1',
    'advertise-address': HOST.v4,
    'cert-dir': '/run/kube-apiserver',
    'service-account-key-file': ACCOUNTS_KEY,
    'service-account-signing-key-file': ACCOUNTS_KEY,
    'service-account-issuer': SERVER,
    'token-auth-file': `${FOLDER}/tokens.csv`,
    ...(isStrict ? STRICT : OPEN),
    'service-cluster-ip-range': '10.96.0.0/16',
    ...{ 'endpoint-reconciler-type': 'none', 'kubelet-preferred-address-types': 'InternalIP' },
    'allow-privileged': true,
  }
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
}

const ADMISSION = `${FOLDER}/admission.json`
/** Namespaces are as restricted as they can be, unless their labels say otherwise. */
const ADMISSION_OF_STRICT = {
  ...{ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AdmissionConfiguration' },
  plugins: [
    {
      name: 'PodSecurity',
      configuration: {
        ...{ apiVersion: 'pod-security.admission.config.k8s.io/v1', kind: 'PodSecurityConfiguration' },
        defaults: { enforce: 'restricted', audit: 'restricted', warn: 'restricted' },
      },
    },
  ],
}
const STRICT = {
  'authorization-mode': 'Node,RBAC',
  'enable-admission-plugins': 'NodeRestriction',
  'admission-control-config-file': ADMISSION,
}
// The controller that makes accounts for namespaces does not run.
const OPEN = { 'authorization-mode': 'AlwaysAllow', 'disable-admission-plugins': 'ServiceAccount' }

function accountsKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return privateKey.export({ type: 'pkcs1', format: 'pem' }) as string
}

function kubeconfigOf(token: string): ApiObject {
  return {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'node' },
    clusters: [{ name: 'node', cluster: { server: SERVER, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'user', user: { token } }],
    contexts: [{ name: 'node', context: { cluster: 'node', user: 'user' } }],
  }
}
