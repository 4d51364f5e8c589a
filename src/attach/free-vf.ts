import { CniError, code } from '../cni/error.ts'
import type { Request } from '../cni/request.ts'
import type { Result } from '../cni/result.ts'
import type { PciAddress } from '../lib/pci-address.ts'
import { isAlive } from '../ops/owner-netns.ts'
import { addLocked } from './add.ts'
import type { AttachConfig } from './config.ts'
import { inUse } from './foreign/sriov.ts'
import { pciDevice, vfsBelow } from './select.ts'
import { type AttachSetting, withDeviceLock } from './setting.ts'

/**
 * ADD with the first free VF of a PF, for runtimes without a device plugin. A VF is free when nobody holds its lock, no
 * living attachment of ours or of sriov-cni has it, and its interface is on the host, with no address and in no bridge:
 * what a host uses is not given away. Those that a dead attachment has left come last, because they have to be restored
 * first.
 * @throws CniError 11 when none is
 */
export function addFreeVf(
  setting: AttachSetting,
  request: Request,
  config: AttachConfig,
  pf: string,
): Result {
  const vfs = vfsBelow(setting.kernel, pf)
  const recorded = new Set(setting.store.list().map(({ subject }) => subject))
  const inOrder = [...vfs.filter((vf) => !recorded.has(vf)), ...vfs.filter((vf) => recorded.has(vf))]
  for (const address of inOrder) {
    const result = tryLock(setting, config.stateDir, address, () =>
      isFree(setting, address)
        ? addLocked(setting, request, config, () => pciDevice(address, 'pf'))
        : undefined,
    )
    if (result !== undefined) return result
  }
  throw new CniError(
    code.tryAgainLater,
    `Cannot use pf "${pf}": none of its ${vfs.length} virtual functions is free`,
  )
}

/** Runs `action` if the VF's lock is free right now; undefined when somebody holds it. */
function tryLock<T>(
  { machine }: AttachSetting,
  stateDir: string,
  address: PciAddress,
  action: () => T | undefined,
): T | undefined {
  let ran = false
  try {
    const attempt = () => {
      ran = true
      return action()
    }
    return withDeviceLock(machine, stateDir, address, attempt, 0)
  } catch (error) {
    if (!ran && error instanceof Error && error.name === 'LockTimeout') return undefined
    throw error
  }
}

/** True when the VF, looked at now that its lock is held, is nobody's, or was somebody's whose namespace is gone. */
function isFree({ machine, kernel, store }: AttachSetting, address: PciAddress): boolean {
  if (inUse(machine, address) !== undefined) return false
  for (const name of store.list()) {
    if (name.subject !== address) continue
    try {
      const record = store.read(name)
      return record !== undefined && !isAlive(machine, record.owner)
    } catch {
      return false // whose it is can't be read: not for anybody who would be as happy with another
    }
  }
  const device = pciDevice(address, 'pf')
  if (device.netdevs.length !== 1) return false
  const link = kernel.link('host', device.netdevs[0] ?? '')
  if (link === undefined || link.master !== undefined) return false
  return kernel.addresses('host', link.ifindex).every(({ scope }) => scope !== 0)
}
