// The manifests of device-plugin/deploy before a real API server, whose program VF_KUBE_APISERVER names: each folder is applied as a user applies
// it, and the server, whose default level of Pod Security is `restricted`, neither refuses nor warns; it would let controllers make the pods, and it gives the
// accounts nothing. With the programs of a whole cluster they are rolled out: installer, agent and device plugin on a node, the examples' pods
// with their ports, an upgrade beside them, and the removal. This machine is as before then.
// needs: veth, bridge, clsact, nft, cgroup
// packages: etcd-server, kubectl, containerd, runc, libseccomp2, libc6, base-files
// only: VF_KUBE_APISERVER
import { tmpdir } from 'node:os'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { buildTopology, vethWire } from '../../../hack/lab/bed/topology.ts'
import { startCluster } from '../../../hack/lab/kubelet/real/cluster.ts'
import { judgeManifests } from '../../../hack/lab/kubelet/real/judged.ts'
import { kubectlIn } from '../../../hack/lab/kubelet/real/kubectl.ts'
import { cardOfFiles, VFS } from '../../../hack/lab/kubelet/real/node-plugin.ts'
import { programsOf } from '../../../hack/lab/kubelet/real/programs.ts'
import { rollout } from '../../../hack/lab/kubelet/real/rollout.ts'
import { openWhole, PF } from '../../../hack/lab/kubelet/real/whole.ts'
import { bootNode } from '../../../hack/lab/node.ts'

const {
  VF_KUBE_APISERVER = '',
  VF_KUBELET = '',
  VF_KUBE_CONTROLLER_MANAGER = '',
  VF_KUBE_SCHEDULER = '',
  VF_MULTUS = '',
} = process.env
const controllers = ['--controller-manager', VF_KUBE_CONTROLLER_MANAGER, '--scheduler', VF_KUBE_SCHEDULER]
const words = [...controllers, '--multus', VF_MULTUS, VF_KUBELET, VF_KUBE_APISERVER]

test('a real API server takes the manifests', { timeout: 600_000 }, async () => {
  const lab = await bootNode()
  const lines: string[] = []
  try {
    await buildTopology(lab, await vethWire(lab), 0)
    const cluster = await startCluster(lab, VF_KUBE_APISERVER, { isStrict: true })
    try {
      await judgeManifests(cluster, kubectlIn(lab, cluster), lab, (line) => void lines.push(line))
    } finally {
      await cluster.end()
    }
  } finally {
    console.log(lines.join('\n'))
    await lab.close()
  }
  expect(lines.at(-1)).toContain('may use the security context constraints')
})

/** Paths and rules of this machine that an install in the wrong place would change. */
async function machine(): Promise<string> {
  const folders = [
    ...['bin', 'sbin', 'libexec', 'lib/systemd'].map((name) => `/usr/local/${name}`),
    ...['cni', 'containerd', 'kubernetes', 'systemd', 'vf-flower'].map((name) => `/etc/${name}`),
    ...['cni', 'containerd', 'kubelet', 'vf-flower'].map((name) => `/var/lib/${name}`),
    ...['/opt', '/run/containerd', '/run/vf-flower', '/run/vf-flower-image', '/run/etcd', '/run/deploy'],
  ]
  // Most of them are not there.
  const { stdout: paths } = await execa('find', folders, { reject: false })
  const { stdout: network } = await execa('sh', ['-c', 'nft list ruleset; ip -brief link'])
  return `${paths.split('\n').sort().join('\n')}\n${network}`
}

// Without the programs there is no such test, as for a kubelet alone.
const wholes = words.includes('') ? [] : [['one node']]
test.each(wholes)('a cluster of %s, from the install to the removal', { timeout: 900_000 }, async () => {
  const before = await machine()
  const card = cardOfFiles(tmpdir(), VFS, PF)
  const lab = await bootNode()
  const lines: string[] = []
  try {
    const whole = await openWhole(lab, programsOf(words), card)
    try {
      await rollout(whole, (line) => void lines.push(line))
    } finally {
      await whole.end()
    }
  } finally {
    console.log(lines.join('\n'))
    await lab.close()
    card.remove()
  }
  expect(lines.at(-1)).toBe('overlays/remove was applied and deleted: no file of vf-flower is on the node')
  expect(await machine()).toBe(before)
})
