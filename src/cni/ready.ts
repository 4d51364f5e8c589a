import { CniError, code } from './error.ts'
import { failure } from './failure.ts'

/**
 * The part of STATUS that all plugins share: netlink must answer and records must be writable. `ask` then asks the kernel the
 * plugin's own questions.
 * @throws CniError 50 with the reason of any failure: an ADD would fail too (CNI specification 1.1.0, "STATUS")
 */
export function requireAnswers<K extends { probe(): void; close(): void }>(
  machine: { openKernel(): K },
  store: { probe(): void },
  ask: (kernel: K) => void,
): void {
  const kernel = machine.openKernel()
  try {
    kernel.probe()
    store.probe()
    ask(kernel)
  } catch (error) {
    const { message, details } = failure(error)
    throw new CniError(code.pluginNotAvailable, `Cannot serve an ADD: ${message}`, { details, cause: error })
  } finally {
    kernel.close()
  }
}
