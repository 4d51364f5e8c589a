// A pod from end to end with a real kubelet, whose program VF_KUBELET names, with an API server too where VF_KUBE_APISERVER names one: the device
// plugin registers, the pod has one of its devices and a host port that the wire reaches; restarts, an upgrade of the device plugin, and
// nothing left behind. With VF_MULTUS_DAEMON and VF_MULTUS_SHIM, the daemon of Multus in its own container: our agent serves each call, a
// daemon that is killed comes back to a live pod, and our error is in the pod's event. Each step of hack/real-kubelet.sh fails unless it came as it must.
// needs: veth, bridge, clsact, nft, cgroup
// packages: containerd, runc, libseccomp2
// only: VF_KUBELET
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { cardOfFiles, VFS } from '../../../hack/lab/kubelet/real/node-plugin.ts'
import { programsOf } from '../../../hack/lab/kubelet/real/programs.ts'
import { openStage } from '../../../hack/lab/kubelet/real/stage.ts'
import { allSteps } from '../../../hack/lab/kubelet/real/thick-run.ts'
import { bootNode } from '../../../hack/lab/node.ts'

const {
  VF_KUBELET = '',
  VF_KUBE_APISERVER = '',
  VF_MULTUS = '',
  VF_MULTUS_DAEMON = '',
  VF_MULTUS_SHIM = '',
} = process.env
const servers = [VF_KUBELET, VF_KUBE_APISERVER]
const daemon = ['--multus-daemon', VF_MULTUS_DAEMON, '--multus-shim', VF_MULTUS_SHIM]
const kinds: readonly (readonly [string, readonly string[]])[] = [
  ['standalone', [VF_KUBELET]] as const,
  ['with an API server', servers] as const,
  ['with Multus', ['--multus', VF_MULTUS, ...servers]] as const,
  ['with Multus as a daemon', [...daemon, ...servers]] as const,
].filter(([, words]) => !words.includes(''))

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
        await allSteps(stage, programs, (line) => void lines.push(line))
      } finally {
        await stage.end()
      }
    } finally {
      console.log(lines.join('\n'))
      await lab.close()
      card.remove()
    }
    expect(lines).toContain('the pod was deleted: its device is free, and nothing of it is left on the node')
    if (words.includes('--multus-daemon'))
      expect(lines.at(-1)).toContain('an event of the pod has the whole error')
  },
  600_000,
)
