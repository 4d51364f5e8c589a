/** Restarts a PCI function by sysfs: unbinds and binds its driver, or resets the function. */
import { parsePciAddress } from '../../lib/pci-address.ts'
import { errorCode, SystemError } from '../../sys/errno.ts'
import { linkName, writeValue } from '../../sys/files.ts'
import { sleep } from '../../sys/sleep.ts'

/** Milliseconds to wait after each refused bind. The PF may still be busy with the reset of the VF. */
const bindPauses: readonly number[] = [20, 50, 100, 200, 400]

/** sysfs refused to unbind or bind a PCI function. `code` is the errno name of the last refusal. */
export class RebindError extends Error {
  readonly code: string

  constructor(verb: 'unbind' | 'bind', driver: string, pci: string, cause: unknown) {
    const words = verb === 'unbind' ? `unbind "${pci}" from` : `bind "${pci}" to`
    const code = errorCode(cause) ?? 'EIO'
    super(`Cannot ${words} driver "${driver}": ${code}`, { cause })
    this.name = 'RebindError'
    this.code = code
  }
}

/**
 * Unbinds the function from `driver`, if `driver` has it, and binds it again. A refused bind is tried again, up to five
 * times within 770 ms. `bus` is the folder of the PCI bus in sysfs.
 * @throws RebindError; SystemError EINVAL when `pci` is no PCI address or `driver` is no name of a driver
 */
export function rebindDriver(pci: string, driver: string, bus = '/sys/bus/pci'): void {
  if (parsePciAddress(pci) !== pci || !/^\w[\w.-]*$/.test(driver)) {
    const reason = `"${driver}" is no driver, or "${pci}" is no PCI address`
    throw new SystemError('driver.rebind', 22, `${reason}; must be as "vfio-pci" and "0000:3b:00.1"`)
  }
  const bound = () => linkName(`${bus}/devices/${pci}/driver`)
  if (bound() === driver) {
    try {
      writeValue(`${bus}/drivers/${driver}/unbind`, pci)
    } catch (error) {
      // ENODEV: another process has unbound the function meanwhile.
      if (errorCode(error) !== 'ENODEV') throw new RebindError('unbind', driver, pci, error)
    }
  }
  for (let attempt = 0; ; attempt++) {
    try {
      writeValue(`${bus}/drivers/${driver}/bind`, pci)
      return
    } catch (error) {
      if (bound() === driver) return
      const pause = bindPauses[attempt]
      if (pause === undefined) throw new RebindError('bind', driver, pci, error)
      sleep(pause)
    }
  }
}

/**
 * Resets the function by the first reset method that the function has (`reset` of sysfs,
 * Documentation/ABI/testing/sysfs-bus-pci). A VF is reset by FLR, which takes 100 ms or more. The PF sees the reset and forgets
 * the requests of the VF.
 * @throws the kernel's refusal; SystemError EINVAL when `pci` is no PCI address
 */
export function resetFunction(pci: string, bus = '/sys/bus/pci'): void {
  if (parsePciAddress(pci) !== pci)
    throw new SystemError('function.reset', 22, `"${pci}" is no PCI address; must be as "0000:3b:00.1"`)
  writeValue(`${bus}/devices/${pci}/reset`, '1')
}
