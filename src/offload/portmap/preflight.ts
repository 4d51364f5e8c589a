/** Others that work on a pod's uplink: found before anything is changed, reported, and left as they are. */
import { CniError, code } from '../../cni/error.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Conflict } from '../../kernel/api/filters.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { step } from '../../lib/log/steps.ts'
import type { FlowFilter } from '../../ops/op.ts'
import type { OffloadConfig } from '../config/config.ts'
import { bareRefusalHint } from '../port/driver-words.ts'
import { traitsOf } from '../port/kinds.ts'
import type { Port } from '../port/port.ts'
import { cookiePrefix } from '../state/identity.ts'
import type { OffloadPlan } from './plan.ts'

/** Obstacles for filters of ours; undefined where there is none. */
export interface Preflight {
  /** In software they would silently do nothing: others take the frames before them, in software or for good in the NIC. */
  readonly software: string | undefined
  /** In the NIC another filter takes the frames before them. */
  readonly hardware: string | undefined
  /** Things that could be in the way, where nobody can tell. */
  readonly notes: readonly string[]
  /** A driver's refusal with what is known of its reason. */
  explain(refusal: string): string
}

/** Behind a veth pair no filter is made. */
const unhindered: Preflight = {
  software: undefined,
  hardware: undefined,
  notes: [],
  explain: (refusal) => refusal,
}

/**
 * Looks around before the first change: at who owns the uplink, and who sees frames before the rules of `plans`.
 * @throws CniError 106 where rules could only be there and do nothing, naming what stands in the way
 */
export function runPreflight(
  kernel: Kernel,
  config: Pick<OffloadConfig, 'offload'>,
  { kind, wire }: Port,
  plans: readonly OffloadPlan[],
): Preflight {
  if (wire === undefined) return unhindered
  const { uplink, representor } = wire
  refuseOccupied(kernel, uplink, traitsOf(kind).eswitch === 'legacy')
  const links = [uplink, ...(representor === undefined ? [] : [representor])] as const
  const rules = plans.flatMap(({ groups, inSoftware = [] }) =>
    [...groups, ...inSoftware].flatMap((group) => group.rules),
  )
  const preflight = step('ground', () => surveyUplink(kernel, links, rules, plans[0]?.driver))
  // Filters that can run in software only need no try.
  const isAskable = representor !== undefined || plans.some(({ way }) => way === 'hairpin')
  if (!isAskable || config.offload === 'off') refuseTaken(preflight, undefined)
  return preflight
}

/** An uplink that its owner keeps to itself, or whose mode makes every rule useless. */
function refuseOccupied(kernel: Kernel, uplink: LinkFacts, isLegacy: boolean): void {
  if (uplink.slaveKind === 'openvswitch') {
    throw new CniError(
      code.uplinkTaken,
      `Cannot map ports on "${uplink.name}": it is a port of Open vSwitch, which removes the tc filters of others`,
    )
  }
  // There a frame for a VF that the PF sends is handed to the switch outside, which does not send it back.
  if (isLegacy && kernel.isVepa(uplink.ifindex)) {
    throw new CniError(
      code.uplinkTaken,
      `Cannot map ports on "${uplink.name}": its bridge mode is VEPA, in which the PF does not reach VFs; must be VEB (bridge link set dev ${uplink.name} hwmode veb)`,
    )
  }
}

/** Looks at all interfaces that `rules` are to be on: `links`, the uplink first. `driver` is the uplink's. */
function surveyUplink(
  kernel: Kernel,
  links: readonly [LinkFacts, ...LinkFacts[]],
  rules: readonly FlowFilter[],
  driver: string | undefined,
): Preflight {
  const found = links.flatMap((link) => {
    const own = rules.filter((rule) => rule.ifindex === link.ifindex)
    return kernel.conflicts(link, own, cookiePrefix).map((conflict) => ({ link, conflict }))
  })
  const words = (wanted: (conflict: Conflict) => boolean): string | undefined => {
    const taken = found.filter(({ conflict }) => conflict.certain && wanted(conflict))
    if (taken.length === 0) return undefined
    return taken.map(({ link, conflict }) => `on "${link.name}": ${conflict.name}`).join('; ')
  }
  let off: readonly LinkFacts[] | undefined
  return {
    software: words((conflict) => conflict.software),
    hardware: words((conflict) => conflict.hardware),
    notes: found
      .filter(({ conflict }) => !conflict.certain)
      .map(({ link, conflict }) => `may take frames on "${link.name}" before our rules do: ${conflict.name}`),
    explain: (refusal) => {
      off ??= links.filter((link) => kernel.tcOffload(link.ifindex) !== 'on')
      const names = off.map((link) => `"${link.name}"`).join(' and ')
      const reasons = [
        ...(off.length === 0 ? [] : [`hw-tc-offload of ${names} is off`]),
        ...[bareRefusalHint(driver, refusal, links[0].name)].filter((hint) => hint !== undefined),
      ]
      return reasons.length === 0 ? refusal : `${refusal} (${reasons.join('; ')})`
    },
  }
}

/** @throws CniError 106: rules in software would be there and do nothing */
export function refuseTaken({ software }: Preflight, refusal: string | undefined): void {
  if (software === undefined) return
  const why = refusal === undefined ? '' : `, and the driver said "${refusal}"`
  throw new CniError(
    code.uplinkTaken,
    `Cannot map ports in software: frames are taken before our rules see them ${software}${why}`,
  )
}
