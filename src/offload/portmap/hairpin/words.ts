/**
 * Filters of ports without representors in the NIC. Such a filter sends a frame back by the port that it came by (a hairpin). Some
 * drivers take it; nobody has shown that a card delivers the frame, so only who asks for it by `legacyOffload` gets it. Pure.
 */
import type { OffloadConfig } from '../../config/config.ts'
import { driverFacts } from '../../port/drivers.ts'
import { traitsOf } from '../../port/kinds.ts'
import type { Port } from '../../port/port.ts'
import { eswitchWords } from '../../port/uplink.ts'

type HairpinPort = Pick<Port, 'kind' | 'name' | 'wire'>
type Wish = Pick<OffloadConfig, 'legacyOffload'>

/** True for a driver that takes filters which send frames back by their own port: for VFs of its PF, or for NICs of their own. */
export function takesHairpin(of: 'vf' | 'nic', driver: string | undefined): boolean {
  return driverFacts(driver).hairpin?.of.includes(of) === true
}

/** Why the NIC is not asked for rules of a port without a representor; undefined: it is asked. `driver` is the uplink's. */
export function unaskedWhy(
  { legacyOffload }: Wish,
  { kind, name, wire }: HairpinPort,
  driver: string | undefined,
): string | undefined {
  const manager = wire?.managedElsewhere
  if (manager !== undefined)
    return `${eswitchWords(wire?.uplink.name ?? '', manager)}, so the NIC is offered no filter`
  const { isOnUplink, isWholeNic: isNic } = traitsOf(kind)
  if (isOnUplink)
    return `"${name}" is a macvlan of "${wire?.uplink.name}", whose frames the kernel takes to the pod, so the NIC is offered no filter`
  const isKnown = takesHairpin(isNic ? 'nic' : 'vf', driver)
  const isWished = legacyOffload === 'try'
  if (isKnown && isWished) return undefined
  const what = isNic ? `"${name}" is a NIC of its own` : eswitchWords(wire?.uplink.name ?? '', undefined)
  if (isKnown)
    return `${what}, where driver "${driver}" takes a filter that sends a frame back by its own port (${driverFacts(driver).hairpin?.source}), but no card was seen to deliver such a frame: legacyOffload "try" offers such filters`
  if (isWished)
    return `${what}, and legacyOffload "try" offers nothing to its driver: ${driver === undefined ? 'none' : `"${driver}"`} is not known to take a filter that sends a frame back by its own port`
  return `${what}, where no filter is offered to the NIC: some drivers take one that sends a frame back by its own port, but no card was seen to deliver such a frame`
}

/** The note of a plan whose rules the NIC is not asked for; none where it is. */
export function hairpinNote(wish: Wish, port: HairpinPort, driver: string | undefined): string[] {
  const reason = unaskedWhy(wish, port, driver)
  return reason === undefined ? [] : [`in software: ${reason}`]
}

/** The note of filters that the NIC has taken. */
export function unprovenNote(uplink: string): string {
  return `hairpin, unproven: the NIC took filters that send frames back by "${uplink}", and no card was seen to deliver such a frame; CHECK compares what they and the pod's interface have counted`
}
