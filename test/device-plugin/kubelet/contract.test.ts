// The kubelet simulator passes the tests that real kubelets pass in test/native/runtime/kubelet.test.ts.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import { RecordingPlugin } from '../../../hack/lab/kubelet/recorder.ts'
import { KubeletSimulator } from '../../../hack/lab/kubelet/simulator.ts'
import { textAt } from '../../support/device-plugin/program.ts'
import { kubeletContract } from '../../support/kubelet/contract.ts'

const root = mkdtempSync(join(tmpdir(), 'kubelet-'))
const kubelet = new KubeletSimulator({ root })
const pod = (name: string) => ({ uid: name, namespace: 'default', name })

beforeAll(() => kubelet.start())
afterAll(async () => {
  await kubelet.stop()
  rmSync(root, { recursive: true, force: true })
})

describe('the simulator', () => {
  kubeletContract(() => ({
    ...{ root, suffix: '/' },
    plugin: async () => new RecordingPlugin(),
    restart: () => kubelet.restart(),
    run: ({ name, containers }) => kubelet.run(pod(name), containers),
    end: (name) => kubelet.endPod(name),
    file: async (name) => textAt(join(root, name)),
    removeSockets: (folder) => kubelet.removeSockets(folder),
  }))
})
