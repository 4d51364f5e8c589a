import { shown } from '../lib/json.ts'
import { CniError, code } from './error.ts'

/** Opens the network namespace at CNI_NETNS by the machine's own means. @throws CniError 8 with the reason */
export function openPod<N>(machine: { openNetns(path: string): N }, path: string): N {
  try {
    return machine.openNetns(path)
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    throw new CniError(code.invalidNetns, `Cannot open CNI_NETNS ${shown(path)}: ${words}`, { cause: error })
  }
}
