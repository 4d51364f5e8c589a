/** The driver of a port, and in words what it ignores. */
import { parsePciAddress } from '../../lib/pci-address.ts'
import { driverOf as boundDriver } from '../../nic/pci.ts'
import { driverFacts } from './drivers.ts'
import type { Port } from './port.ts'

/** The driver that is asked to take a port's rules: that of its uplink. Undefined where the port has none, or none on a PCI bus. */
export function driverOf({ vf, wire }: Port): string | undefined {
  const address = vf?.pf ?? parsePciAddress(wire?.uplink.parent ?? '')
  return address === undefined ? undefined : boundDriver(address)
}

/** That a driver accepts an action of this kind and ignores it, in words; undefined when nothing such is known of it. */
export function ignoredBy(driver: string | undefined, kind: string): string | undefined {
  return driverFacts(driver).ignores?.kinds.includes(kind) === true ? words(driver, kind) : undefined
}

/** The kinds of actions that a driver accepts and ignores, with the sentence that says so of some of them. */
export function ignoredActionsOf(driver: string | undefined):
  | {
      readonly ignores: readonly string[]
      words(kinds: readonly string[]): string
    }
  | undefined {
  const { ignores } = driverFacts(driver)
  return ignores && { ignores: ignores.kinds, words: (kinds) => words(driver, kinds.join(', ')) }
}

function words(driver: string | undefined, kinds: string): string {
  return `driver "${driver}" accepts and ignores action ${kinds} (${driverFacts(driver).ignores?.source})`
}
