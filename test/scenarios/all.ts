/** All scenarios, and which of them a test run shows where. */
import { type KindName, type Nat, portOf } from '../../hack/lab/bed/port-bed.ts'
import type { Nic } from '../../hack/lab/bed/port-node.ts'
import { type Cell, cells } from './cells.ts'
import { configScenarios } from './config.ts'
import { nodeScenarios } from './node.ts'
import { ownerScenarios } from './owner.ts'
import { podScenarios } from './pod.ts'
import type { Place, Scenario } from './scenario.ts'
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

/** Every kind of port with every place of translation that it can have. */
const places: readonly Place[] = kinds.flatMap((kind): Place[] =>
  kind === 'simnic-full'
    ? [
        { kind, nat: 'pod' },
        { kind, nat: 'nic' },
      ]
    : [{ kind, nat: 'pod' }],
)

/** The scenarios that are run for a kind of port. */
export interface Program {
  readonly scenes: readonly { readonly scenario: Scenario; readonly nat: Nat }[]
  readonly cells: readonly Cell[]
}

/**
 * The scenarios of a kind in `all`, the long program: everything that holds there. In the short program a bridge, which costs
 * least, has every scenario that holds there and needs nothing that a kernel may lack; other kinds have those that name
 * them. Cells are taken by turns by kinds with a card, and each by every kind without one.
 */
export function programOf(kind: KindName, all: boolean): Program {
  const isVeth = portOf[kind] === 'veth'
  const scenes = scenarios.flatMap((scenario) => {
    const fit = places.filter((place) => place.kind === kind && (scenario.holds?.(kind, place.nat) ?? true))
    const isShown = ({ nat }: Place) =>
      (kind === 'bridge' && scenario.sctp !== true) ||
      scenario.shown?.some((place) => place.kind === kind && place.nat === nat) === true
    return fit.filter((place) => all || isShown(place)).map(({ nat }) => ({ scenario, nat }))
  })
  const chosen = cells.filter(({ kinds: of }, index) =>
    all || isVeth ? of.includes(kind) : of[index % of.length] === kind,
  )
  return { scenes, cells: chosen }
}

/** A node that scenarios are run on: its uplink, how many more NICs for pods, which kinds of port its pods get in turn. */
export interface NodeOfKinds {
  readonly nic: Nic
  readonly others?: number
  readonly kinds: readonly KindName[]
}

/** By test file. Pods behind a bridge and ptp are on the node with simnic for what the machine's own kernel may lack. */
export const nodes = {
  'test/lab/offload/scenarios-igb': { nic: 'igb', kinds: ['igb'] },
  'test/lab/offload/scenarios-simnic': {
    nic: 'simnic',
    others: 3,
    kinds: ['simnic-legacy', 'host-nic', 'simnic-full', 'simnic-sfc', 'bridge', 'ptp'],
  },
  'test/native/offload/scenarios-bridge': { nic: 'veth', kinds: ['bridge'] },
  'test/native/offload/scenarios-ptp': { nic: 'veth', kinds: ['ptp'] },
} as const satisfies Readonly<Record<string, NodeOfKinds>>

/** The part of the program of a kind that a node has. */
export function shareOf({ nic }: NodeOfKinds, kind: KindName, all: boolean): Program {
  const { scenes, cells: chosen } = programOf(kind, all)
  if (portOf[kind] !== 'veth') return { scenes, cells: chosen }
  const isHere = ({ sctp }: Scenario) => (sctp === true) === (nic !== 'veth')
  return {
    scenes: scenes.filter(({ scenario }) => isHere(scenario)),
    cells: nic === 'veth' ? chosen : [],
  }
}

/** The name of a scenario in a place, for lists of tests. */
export function sceneName({ id, title }: Scenario, kind: KindName, nat: Nat): string {
  return portOf[kind] === 'representor' ? `${id} with nat ${nat}: ${title}` : `${id}: ${title}`
}
