// A pod from end to end with a real kubelet, whose program VF_KUBELET names, with an API server too where VF_KUBE_APISERVER names one: the device
// plugin registers, the pod has one of its devices and a host port that the wire reaches; restarts, an upgrade of the device plugin, and
// nothing left behind. Each step of hack/real-kubelet.sh fails unless it came as it must.
// needs: veth, bridge, clsact, nft, cgroup
// packages: containerd, runc, libseccomp2
// only: VF_KUBELET
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { cardOfFiles, VFS } from '../../../hack/lab/kubelet/real/node-plugin.ts'
import { programsOf } from '../../../hack/lab/kubelet/real/programs.ts'
import { realRun } from '../../../hack/lab/kubelet/real/run.ts'
import { openStage } from '../../../hack/lab/kubelet/real/stage.ts'
import { bootNode } from '../../../hack/lab/node.ts'

const { VF_KUBELET = '', VF_KUBE_APISERVER = '', VF_MULTUS = '' } = process.env
const kinds: readonly (readonly [string, readonly string[]])[] = [
  ['standalone', [VF_KUBELET]],
  ...(VF_KUBE_APISERVER === '' ? [] : [['with an API server', [VF_KUBELET, VF_KUBE_APISERVER]] as const]),
  ...(VF_KUBE_APISERVER === '' || VF_MULTUS === ''
    ? []
    : [['with Multus', ['--multus', VF_MULTUS, VF_KUBELET, VF_KUBE_APISERVER]] as const]),
]

test.each(kinds)(
  'a pod from end to end, %s',
  async (_, words) => {
    const card = cardOfFiles(tmpdir(), VFS)
    // Each has a node of its own, since kubelet leaves much on it.
    const lab = await bootNode()
    const lines: string[] = []
    try {
      const programs = programsOf(words)
      const stage = await openStage(lab, programs, card)
      try {
        await realRun(stage, programs.multus !== undefined, (line) => void lines.push(line))
      } finally {
        await stage.end()
      }
    } finally {
      console.log(lines.join('\n'))
      await lab.close()
      card.remove()
    }
    expect(lines.at(-1)).toBe(
      'the pod was deleted: its device is free, and nothing of it is left on the node',
    )
  },
  600_000,
)
