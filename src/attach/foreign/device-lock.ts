import type { Machine } from '../../kernel/api/machine.ts'
import { parsePciAddress } from '../../lib/pci-address.ts'
import { readPciFunction } from '../../nic/pci.ts'
import { lockPath } from '../../records/store.ts'
import { lockMilliseconds } from '../state/locks.ts'
import { withSriovLock } from './sriov.ts'

/**
 * Runs `action` under our lock of a device, and for a VF under sriov-cni's lock too. Waits for either lock at most `milliseconds`.
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
