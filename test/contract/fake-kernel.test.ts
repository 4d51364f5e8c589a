// The fake kernel of the tests meets the contract that the real one meets.
import type { Kernel } from '../../src/kernel/api/kernel.ts'
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
      run: async (op) => kernel.run(op),
      ask: async <K extends Asked>(question: K, ...args: Parameters<Kernel[K]>) => {
        const answer = kernel.questions[question] as (...args: Parameters<Kernel[K]>) => ReturnType<Kernel[K]>
        return answer(...args)
      },
    }
  },
  async () => undefined,
)
