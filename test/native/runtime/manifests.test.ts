// The manifests of device-plugin/deploy before a real API server, whose program VF_KUBE_APISERVER names: each folder is applied as a user applies
// it, and the server neither refuses nor warns, at its lowest level of Pod Security; it would let controllers make the pods, and it gives the
// accounts nothing.
// needs: veth
// packages: etcd-server, kubectl
// only: VF_KUBE_APISERVER
import { expect, test } from 'vitest'
import { buildTopology, vethWire } from '../../../hack/lab/bed/topology.ts'
import { startCluster } from '../../../hack/lab/kubelet/real/cluster.ts'
import { judgeManifests } from '../../../hack/lab/kubelet/real/judged.ts'
import { kubectlIn } from '../../../hack/lab/kubelet/real/kubectl.ts'
import { bootNode } from '../../../hack/lab/node.ts'

test('a real API server takes the manifests', { timeout: 600_000 }, async () => {
  const lab = await bootNode()
  const lines: string[] = []
  try {
    await buildTopology(lab, await vethWire(lab), 0)
    const cluster = await startCluster(lab, process.env.VF_KUBE_APISERVER ?? '', { isStrict: true })
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
