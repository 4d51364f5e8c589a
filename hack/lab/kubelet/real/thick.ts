// Multus as a daemon ("thick"), whose programs the user brings, as its manifest runs it: a privileged pod with the network and the processes of
// the node, whose root is at /hostroot, and the small program `multus-shim` in the CNI folder. Our plugins are installed by their installer. In:
// a node with kubelet and server. Out: the pod, which serves, and the end of its process.

import { PROGRAM } from '../../bed/device-plugin.ts'
import type { ConfigList } from '../../cni-runtime.ts'
import { type Containerd, IMAGE } from '../../containerd/containerd.ts'
import { BIN_DIR, configFolder } from '../../containerd/networks.ts'
import type { Lab } from '../../lab.ts'
import type { Cluster } from './cluster.ts'
import { NODE, type StaticPod } from './kubelet.ts'
import { makeKindOfNetworks } from './multus.ts'
import { podsByServer } from './pods.ts'
import type { ThickPrograms } from './programs.ts'
import { until } from './until.ts'

/** Name of the daemon's pod. */
const DAEMON = 'kube-multus'
/** The daemon's files in the node: its config, and what an account of a pod has. */
const CONFIG = '/etc/cni/multus/daemon'
const ACCOUNT = '/run/multus-account'
const HOST = '/hostroot'

/** The limits of Multus' manifest. */
const LIMITS = { cpu: '100m', memory: '50Mi' } as const

/** The daemon beside kubelet. */
export interface Thick {
  /** The words of `multus-daemon --version`. */
  readonly version: string
  /**
   * Lines of leftovers.ts that are Multus' own: 4.2.4 ends the network of all pods with a list that has no keys of its plugins
   * (github.com/k8snetworkplumbingwg/multus-cni/issues/1449), so that `bridge` refuses, and its address stays taken.
   */
  readonly leaves: RegExp
  /** Kills the daemon's process; resolves when kubelet has started another one, which serves. */
  killed(): Promise<void>
  /** The log of all processes of the daemon so far. */
  log(): Promise<string>
}

/**
 * Installs the plugins and starts the daemon in a node whose kubelet runs; `pods` is the network of all pods, which the runtime has. Resolves
 * when the runtime calls `multus-shim`. @throws SimulatorError with the reason when the daemon does not serve
 */
export async function startThick(
  lab: Lab,
  runtime: Containerd,
  cluster: Cluster,
  { daemon, shim }: ThickPrograms,
  pods: ConfigList,
): Promise<Thick> {
  const folder = configFolder(pods.name)
  // The daemon looks for plugins in its own container, which has no other folder of the node at its place: links would lead nowhere there.
  await lab.must(`set -e
    rm ${BIN_DIR}/vf-attach ${BIN_DIR}/vf-offload
    for link in ${BIN_DIR}/*; do cp --remove-destination "$(readlink -f "$link")" "$link"; done
    '${INSTALLER}' install --bin-dir ${BIN_DIR} --no-service
    cp '${shim}' ${BIN_DIR}/multus-shim
    mkdir -p ${ACCOUNT} /run/multus /run/k8s.cni.cncf.io /etc/cni/multus/net.d /var/lib/cni/multus
    cp /run/kube-apiserver/apiserver.crt ${ACCOUNT}/ca.crt`)
  await lab.writeFile(`${ACCOUNT}/token`, await tokenOf(lab, cluster), 0o600)
  await lab.writeFile(`${CONFIG}/daemon-config.json`, JSON.stringify(DAEMON_CONFIG))
  // The daemon waits for the kind before it serves, and then longer with each look.
  await makeKindOfNetworks(cluster)
  const { stdout } = await lab.exec([daemon, '-version'])
  const version = stdout.trim()
  await podsByServer(cluster).run(podOf(daemon, folder))
  const log = () => lab.must(`cat /var/log/pods/default_${DAEMON}_*/*/*.log`)
  const process = async () => (await lab.exec(['pgrep', '-x', 'multus-daemon'])).stdout.trim()
  const serves = async (former: string) => {
    await until(
      async () => {
        const pid = await process()
        const { code } = await lab.exec([
          ...['curl', '-sSf', '-m', '5', '--unix-socket', '/run/multus/multus.sock', 'http://multus/healthz'],
        ])
        return pid !== '' && pid !== former && code === 0 ? true : undefined
      },
      async () => `the daemon of Multus serves\n${await log()}`,
    )
    await until(
      async () => {
        const { info } = (await runtime.cri.call('Status', { verbose: true })) as {
          info?: Readonly<Record<string, string>>
        }
        return info?.cniconfig?.includes('multus-shim') ? true : undefined
      },
      async () => `the runtime has the config of the daemon\n${await log()}`,
    )
  }
  await serves('')
  return {
    ...{ version, log, leaves: new RegExp(`^address /var/lib/cni/networks/${pods.name}/`) },
    killed: async () => {
      const pid = await process()
      await lab.must(`kill -9 ${pid}`)
      await serves(pid)
    },
  }
}

/** The program that installs itself, of the build whose device plugin runs. */
const INSTALLER = PROGRAM.replace(/[^/]*$/, 'vf-flower')

/** The config of Multus' manifest. */
const DAEMON_CONFIG = {
  ...{ chrootDir: HOST, cniVersion: '0.3.1', logLevel: 'verbose', logToStderr: true },
  ...{ cniConfigDir: '/host/etc/cni/net.d', multusAutoconfigDir: '/host/etc/cni/net.d' },
  ...{ multusConfigFile: 'auto', socketDir: '/host/run/multus/' },
}

/** The token of the user who may do everything: no controller makes accounts here. */
async function tokenOf(lab: Lab, cluster: Cluster): Promise<string> {
  const { users } = JSON.parse(await lab.must(`cat ${cluster.kubeconfig('admin')}`)) as {
    users: readonly { user: { token: string } }[]
  }
  return users[0]?.user.token ?? ''
}

/** A folder or file of the node, at another place in the container, or at the same. */
interface Mount {
  readonly from: string
  readonly at?: string
  /** Mounts that the node makes later are seen too. */
  readonly isSlave?: boolean
}

/** The pod of Multus' manifest, in the node's default namespace, with an image that has none of its programs. */
function podOf(daemon: string, folder: string): StaticPod {
  const program = '/usr/src/multus-cni/bin/multus-daemon'
  const mounts: readonly Mount[] = [
    { from: daemon, at: program },
    { from: ACCOUNT, at: '/var/run/secrets/kubernetes.io/serviceaccount' },
    { from: CONFIG, at: '/etc/cni/net.d/multus.d' },
    { from: folder, at: '/host/etc/cni/net.d' },
    { from: '/run', at: '/host/run' },
    ...[BIN_DIR, '/var/lib/cni/multus', '/run/k8s.cni.cncf.io', '/etc/cni/multus/net.d'].map((from) => ({
      from,
    })),
    ...['/var/lib/kubelet', '/run/netns'].map((from) => ({ from, isSlave: true })),
    // Multus' image has a link /var/run to /run.
    { from: '/run/netns', at: '/var/run/netns', isSlave: true },
    { from: '/', at: HOST, isSlave: true },
  ]
  return {
    metadata: { name: DAEMON, labels: { app: 'multus' } },
    spec: {
      ...{ nodeName: NODE, hostNetwork: true, hostPID: true, terminationGracePeriodSeconds: 10 },
      ...{ automountServiceAccountToken: false, enableServiceLinks: false, dnsPolicy: 'Default' },
      tolerations: [{ operator: 'Exists' }],
      containers: [
        {
          ...{ name: DAEMON, image: IMAGE, imagePullPolicy: 'Never', command: [program] },
          securityContext: { privileged: true },
          env: [
            { name: 'MULTUS_NODE_NAME', value: NODE },
            // No kube-proxy gives the address of the service a meaning.
            { name: 'KUBERNETES_SERVICE_HOST', value: '127.0.0.1' },
            { name: 'KUBERNETES_SERVICE_PORT', value: '6443' },
          ],
          resources: { limits: LIMITS },
          volumeMounts: mounts.map(({ from, at = from, isSlave = false }, index) => ({
            ...{ name: `v${index}`, mountPath: at },
            ...(isSlave ? { mountPropagation: 'HostToContainer' } : {}),
          })),
        },
      ],
      volumes: mounts.map(({ from }, index) => ({ name: `v${index}`, hostPath: { path: from } })),
    },
  }
}
