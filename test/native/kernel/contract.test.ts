// The contract of the fake kernel, on the real one: two namespaces stand for the host and the pod.
// needs: nft, ifb
import { beforeAll } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { ask, run, type Typed, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { kernelContract } from '../../contract/kernel.ts'
import { lab } from '../../support/lab.ts'

const [on, pod] = ['contract-host', 'contract-pod'] as const
const options = { on, netns: `/run/netns/${pod}` }
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await vm.load('ifb numifbs=0')
})

async function only<T>(step: Typed<T>): Promise<T> {
  const [result] = await tryDrive(vm, [step] as const, options)
  if (result.error !== undefined) throw Object.assign(new Error(result.error.message), result.error)
  return result.value as T
}

kernelContract(
  async () => {
    const names = { name: 'd0', ifindex: 10, podName: 'eth9', podIfindex: 12 }
    for (const namespace of [on, pod]) await newPod(vm, namespace)
    await vm.must(`
      ip -n ${on} link add ${names.name} index ${names.ifindex} type ifb
      ip -n ${pod} link add ${names.podName} index ${names.podIfindex} type ifb`)
    return {
      ...names,
      run: (op) => only(run(op)),
      ask: (question, ...args) => only(ask(question, ...(args as never))) as never,
    }
  },
  async () => {
    for (const namespace of [on, pod]) await deletePod(vm, namespace)
  },
)
