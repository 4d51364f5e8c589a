/** What starts a PCI function anew, by sysfs: a driver that lets go of it and takes it again, and a reset. */
import { parsePciAddress } from '../../lib/pci-address.ts'
import { errorCode, SystemError } from '../../sys/errno.ts'
import { linkName, writeValue } from '../../sys/files.ts'
import { sleep } from '../../sys/sleep.ts'

/** Milliseconds to wait after each refused try to bind but the last: a VF's PF may still be busy with its reset. */
const bindPauses: readonly number[] = [20, 50, 100, 200, 400]

/** A function could not be taken from its driver or given back. `code` is the errno name of the last refusal. */
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
 * Unbinds the function from `driver`, if it is bound to it, and binds it again. A refused bind is tried a few times, for
 * less than a second in all. `bus` is where sysfs has the PCI bus. Throws RebindError, and SystemError EINVAL for what is
 * no address or no driver's name.
 */
export function rebindDriver(pci: string, driver: string, bus = '/sys/bus/pci'): void {
  if (parsePciAddress(pci) !== pci || !/^\w[\w.-]*$/.test(driver)) {
    throw new SystemError('driver.rebind', 22, `"${driver}" is no driver, or "${pci}" no PCI address`)
  }
  const bound = () => linkName(`${bus}/devices/${pci}/driver`)
  if (bound() === driver) {
    try {
      writeValue(`${bus}/drivers/${driver}/unbind`, pci)
    } catch (error) {
      // ENODEV: somebody else was faster.
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
 * Resets the function by the first of the ways that it has (`reset` of sysfs, Documentation/ABI/testing/sysfs-bus-pci): a VF
 * by FLR, which takes a tenth of a second or more. Its PF sees that and forgets what the VF has told it. Throws the
 * kernel's refusal, and SystemError EINVAL for what is no address.
 */
export function resetFunction(pci: string, bus = '/sys/bus/pci'): void {
  if (parsePciAddress(pci) !== pci) throw new SystemError('function.reset', 22, `"${pci}" is no PCI address`)
  writeValue(`${bus}/devices/${pci}/reset`, '1')
}
