// The contract of the fake kernel, on the real one: two namespaces stand for the host and the pod.
// needs: nft, ifb
import { beforeAll, expect } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { ask, run, type Typed, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab, LabProcess } from '../../../hack/lab/lab.ts'
import { kernelContract } from '../../contract/kernel.ts'
import { lab } from '../../support/lab.ts'

const [on, pod] = ['contract-host', 'contract-pod'] as const
const options = { on, netns: `/run/netns/${pod}` }
let vm: Lab
let listener: LabProcess | undefined

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
    const police = 'action police rate 1mbit burst 10k drop index 7'
    const { code } = await vm.exec(['ip', 'netns', 'exec', on, 'tc', 'actions', 'add', ...police.split(' ')])
    if (code === 0) await vm.must(`ip netns exec ${on} tc actions delete action police index 7`)
    return {
      ...names,
      hasPolicers: code === 0,
      run: (op) => only(run(op)),
      listen: async (port) => {
        listener = await vm.spawn(['ip', 'netns', 'exec', on, 'socat', '-u', `TCP4-LISTEN:${port}`, '-'])
        await expect
          .poll(() => vm.must(`ip netns exec ${on} ss -Hltn 'sport = :${port}'`), { timeout: 20_000 })
          .toContain('LISTEN')
      },
      ask: (question, ...args) => only(ask(question, ...(args as never))) as never,
    }
  },
  async () => {
    listener?.kill()
    await listener?.wait()
    listener = undefined
    for (const namespace of [on, pod]) await deletePod(vm, namespace)
  },
)
