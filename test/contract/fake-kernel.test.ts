// The fake kernel of the tests meets the contract that the real one meets.
import type { Questions } from '../../hack/lab/driver/steps.ts'
import { FakeKernel } from '../fakes/kernel.ts'
import { type Asked, kernelContract } from './kernel.ts'

kernelContract(
  async () => {
    const kernel = new FakeKernel()
    const names = { name: 'd0', ifindex: 10, podName: 'eth0', podIfindex: 12 }
    kernel.interfaces.add('host', names.name, names.ifindex)
    kernel.interfaces.add('pod', names.podName, names.podIfindex)
    return {
      ...names,
      hasPolicers: true,
      run: async (op) => kernel.run(op),
      listen: async (port) => {
        kernel.listeners.push({ proto: 'tcp', address: '0.0.0.0', port, v6only: false, inode: port })
      },
      ask: async <K extends Asked>(question: K, ...args: Parameters<Questions[K]>) => {
        const answer = kernel.questions[question] as (
          ...args: Parameters<Questions[K]>
        ) => ReturnType<Questions[K]>
        return answer(...args)
      },
    }
  },
  async () => undefined,
)
