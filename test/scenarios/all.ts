/** All scenarios, and which of them every test run holds where. */
import type { KindName, Nat } from '../support/port-bed.ts'
import { portOf } from '../support/port-bed.ts'
import { type Cell, cells } from './cells.ts'
import { configScenarios } from './config.ts'
import { nodeScenarios } from './node.ts'
import { ownerScenarios } from './owner.ts'
import { podScenarios } from './pod.ts'
import type { Scenario } from './scenario.ts'
import { trafficScenarios } from './traffic.ts'

const kinds = Object.keys(portOf) as KindName[]
const order = 'PKN'
const numberOf = ({ id }: Scenario) => 100 * order.indexOf(id.charAt(0)) + Number(id.slice(1))

/** By number. */
export const scenarios: readonly Scenario[] = [
  ...configScenarios,
  ...trafficScenarios,
  ...nodeScenarios,
  ...ownerScenarios,
  ...podScenarios,
].sort((a, b) => numberOf(a) - numberOf(b))

interface Place {
  readonly kind: KindName
  readonly nat: Nat
}

/** Every kind of port with every place of translation that it can have. */
const places: readonly Place[] = kinds.flatMap((kind): Place[] =>
  kind === 'simnic-full'
    ? [
        { kind, nat: 'pod' },
        { kind, nat: 'nic' },
      ]
    : [{ kind, nat: 'pod' }],
)

/** Turns begin so that igb, the only driver of real hardware, gets scenarios with traffic. */
const firstTurn = 2

/** What is run for a kind: in `all` everything that holds there, else each scenario and cell in one place, by turns. */
export function programOf(
  kind: KindName,
  all: boolean,
): { readonly scenes: readonly { scenario: Scenario; nat: Nat }[]; readonly cells: readonly Cell[] } {
  const scenes = scenarios.flatMap((scenario, index) => {
    const fit = places.filter((place) => scenario.holds?.(place.kind, place.nat) ?? true)
    const { shortOn } = scenario
    const turn =
      shortOn === undefined
        ? fit[(index + firstTurn) % fit.length]
        : fit.find((place) => place.kind === shortOn)
    const wanted = all ? fit : fit.filter((place) => place === turn)
    return wanted.filter((place) => place.kind === kind).map(({ nat }) => ({ scenario, nat }))
  })
  const chosen = cells.filter(({ kinds: of }, index) =>
    all ? of.includes(kind) : of[index % of.length] === kind,
  )
  return { scenes, cells: chosen }
}

/** The name of a scenario in a place, for lists of tests. */
export function sceneName({ id, title }: Scenario, kind: KindName, nat: Nat): string {
  return portOf[kind] === 'representor' ? `${id} with nat ${nat}: ${title}` : `${id}: ${title}`
}
