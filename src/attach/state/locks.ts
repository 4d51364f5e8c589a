/** The bounds of waits for locks, the lock of a PF, and the name lock of a device. The lock of a device: foreign/device-lock.ts. */
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { isOfKind } from '../../lib/error-kind.ts'
import type { Runner } from '../../ops/runner.ts'

/** A verb waits so many milliseconds for others that work on the same device or PF. */
export const lockMilliseconds = 30_000

/**
 * The machine for one device in one verb: all waits for locks together take {@link lockMilliseconds} at most. A VF has two locks, and
 * each change of its PF takes one more. The time under a lock does not count. A free lock can be had after the time is over, too.
 */
export function withPatience(machine: Machine): Machine {
  let left = lockMilliseconds
  return {
    sharedDir: machine.sharedDir,
    openKernel: (pod) => machine.openKernel(pod),
    openNetns: (path) => machine.openNetns(path),
    bootId: () => machine.bootId(),
    sha256: (text) => machine.sha256(text),
    sleep: (milliseconds) => machine.sleep(milliseconds),
    startProgram: (...program) => machine.startProgram(...program),
    withLock: (path, milliseconds, action) => {
      const began = performance.now()
      let waits = true
      const end = () => {
        if (waits) left = Math.max(0, Math.floor(left - (performance.now() - began)))
        waits = false
      }
      try {
        return machine.withLock(path, Math.min(milliseconds, left), (held) => {
          end()
          return action(held)
        })
      } finally {
        end()
      }
    },
  }
}

/**
 * The kernel with changes on a PF one at a time among all processes of the node: drivers answer EBUSY to the second of two
 * (i40e, iavf), and a refused change is taken back in several requests. The lock is held for one change, never around IPAM.
 */
export function onePfChangeAtATime(machine: Machine, kernel: Kernel, pfPci: string | undefined): Runner {
  if (pfPci === undefined) return kernel
  const path = `${machine.sharedDir}/pf-lock ${pfPci}`
  return {
    run: (op) =>
      op.do === 'vf.set' ? machine.withLock(path, lockMilliseconds, () => kernel.run(op)) : kernel.run(op),
  }
}

/**
 * Runs `action` under the name lock of a PCI function: the function's interface may have a name that is not its own. The order of locks is
 * in restore/names.ts. Undefined, and nothing is done, where the lock is not to be had in {@link lockMilliseconds}.
 */
export function withNameLock<T>(
  machine: Machine,
  pci: string,
  action: () => T,
): { readonly outcome: T } | undefined {
  let isHeld = false
  try {
    return machine.withLock(`${machine.sharedDir}/name-lock ${pci}`, lockMilliseconds, () => {
      isHeld = true
      return { outcome: action() }
    })
  } catch (error) {
    if (!isHeld && isOfKind(error, 'lock-timeout')) return undefined
    throw error
  }
}
