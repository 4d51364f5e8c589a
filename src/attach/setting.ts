import type { Kernel } from '../kernel/api/kernel.ts'
import type { Machine, OpenNetns } from '../kernel/api/machine.ts'
import { parsePciAddress } from '../lib/pci-address.ts'
import { readPciFunction } from '../nic/pci.ts'
import type { Runner } from '../ops/runner.ts'
import type { AttachJournal } from '../records/attach.ts'
import { lockPath, type RecordStore } from '../records/store.ts'
import { withSriovLock } from './foreign/sriov.ts'

/** What an ADD works with. */
export interface AttachContext {
  readonly machine: Machine
  readonly kernel: Kernel
  readonly pod: OpenNetns
  readonly store: RecordStore<AttachJournal>
}

/** How the names of notes begin that a VF's MAC is administrative (device/userspace.ts); its PCI address follows. */
export const macNotePrefix = 'administrative-mac '

/** How long a verb waits for others that work on the same device or PF, in milliseconds. */
const lockMilliseconds = 30_000

/**
 * The machine for one device in one verb: its waits for locks take {@link lockMilliseconds} at most together, though a VF has
 * two and each change of its PF another one. What is done under a lock does not count. A lock that is free can be had
 * when the time is over, too.
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
 * Runs `action` under our lock of a device, and for a VF under sriov-cni's too. Waits for either at most `milliseconds`.
 * @throws LockTimeout
 */
export function withDeviceLock<T>(
  machine: Machine,
  stateDir: string,
  id: string,
  action: () => T,
  milliseconds = lockMilliseconds,
): T {
  return machine.withLock(lockPath(stateDir, id), milliseconds, () => {
    const pci = parsePciAddress(id)
    const isVf = pci !== undefined && readPciFunction(pci)?.vf !== undefined
    return isVf ? withSriovLock(machine, pci, milliseconds, action) : action()
  })
}

/**
 * The kernel with changes on a PF serialised among all processes of the node: drivers answer EBUSY to the second of two
 * (i40e, iavf), and a refused one is taken back in several requests. Held for one change, never around IPAM.
 */
export function onePfChangeAtATime(machine: Machine, kernel: Kernel, pfPci: string | undefined): Runner {
  if (pfPci === undefined) return kernel
  const path = `${machine.sharedDir}/pf-lock ${pfPci}`
  return {
    run: (op) =>
      op.do === 'vf.set' ? machine.withLock(path, lockMilliseconds, () => kernel.run(op)) : kernel.run(op),
  }
}
