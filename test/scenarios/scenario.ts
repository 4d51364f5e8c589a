/**
 * Scenarios of port mappings: what users of such plugins expect, each with traffic. In: a bed with two attached pods.
 * all.ts says where `npm test` shows each; the soak tests run all in every kind of port and place of translation.
 */
import { expect } from 'vitest'
import type { Agent } from '../../hack/lab/bed/agent.ts'
import { type KindName, type Mapping, type Nat, type PortBed, portOf } from '../../hack/lab/bed/port-bed.ts'
import { FAMILIES, type Family } from '../../hack/lab/bed/port-node.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'
import type { Ask, Outcome } from '../../hack/lab/bed/traffic.ts'

/** A bed, and where the translation is to run. */
export interface Scene extends PortBed {
  readonly nat: Nat
  /** Keys of the config that ask for `nat`. */
  readonly natConfig: Readonly<Record<string, unknown>>
}

/** A kind of port, and where its translation is. */
export interface Place {
  readonly kind: KindName
  readonly nat: Nat
}

/** A place by name. */
export const at = (kind: KindName, nat: Nat = 'pod'): Place => ({ kind, nat })

export interface Scenario {
  /** `P6` */
  readonly id: string
  readonly title: string
  /** The kinds of port for which it holds; all if absent. */
  readonly holds?: (kind: KindName, nat: Nat) => boolean
  /** The node has its second addresses also where the NIC translates; the scenario names those that it means. */
  readonly namesAddresses?: true
  /**
   * The kind for which the short program shows it beside `bridge`, which has all that hold there: the kind of port that tells most of
   * what only filters, a NIC or the translation in a pod can show, and ptp where that is another way than by a bridge.
   */
  readonly shown?: readonly Place[]
  /** The pods need SCTP of the kernel, which the machine's own may not have: in the virtual machine only. */
  readonly sctp?: true
  readonly run: (scene: Scene) => Promise<void>
}

/** Runs a scenario; the bed is reset afterwards by whoever calls. */
export async function play(scenario: Scenario, bed: PortBed, nat: Nat): Promise<void> {
  await bed.node.setSecond(nat === 'pod' || scenario.namesAddresses === true)
  await scenario.run(sceneOf(bed, nat))
}

/** The scene of a bed. A veth's translation is the host's, which is nobody's choice. */
export function sceneOf(bed: PortBed, nat: Nat): Scene {
  return { ...bed, nat, natConfig: nat === 'nic' ? { nat } : portOf[bed.kind] === 'veth' ? {} : { nat } }
}

/** Not where the NIC translates: it has no connections. */
export const tracked = (_kind: KindName, nat: Nat): boolean => nat === 'pod'

/** One TCP mapping. */
export function tcp(hostPort: number, containerPort: number, more: Mapping = {}): Mapping {
  return { hostPort, containerPort, protocol: 'tcp', ...more }
}

/** One UDP mapping. */
export function udp(hostPort: number, containerPort: number, more: Mapping = {}): Mapping {
  return { hostPort, containerPort, protocol: 'udp', ...more }
}

/** The mappings of most scenarios: to port 80 and port 53 of the pod. */
export const USUAL: readonly Mapping[] = [tcp(8080, 80), udp(5353, 53)]

/** Questions for the mappings of {@link USUAL} at an address of the node. */
export function usual(address: string = HOST.v4, more: Partial<Ask> = {}): Ask[] {
  return [
    { protocol: 'tcp', address, port: 8080, bytes: 20_000, ...more },
    { protocol: 'udp', address, port: 5353, ...more },
  ]
}

/** One address of `of` in each of the families. */
export function bothFamilies(
  of: Readonly<Record<Family, string>>,
  ask: (address: string, family: Family) => readonly Ask[],
  families: readonly Family[] = FAMILIES,
): Ask[] {
  return families.flatMap((family) => ask(of[family], family))
}

/** Asks, and fails unless every answer comes from these servers, in this order (or all from one). */
export async function expectServer(
  agent: Agent,
  questions: readonly Ask[],
  servers: string | readonly string[],
): Promise<void> {
  const answers = await agent.ask(questions)
  const names = answers.map(({ server }) => server)
  expect(names).toEqual(typeof servers === 'string' ? names.map(() => servers) : servers)
}

/** Servers of a pod for {@link usual} questions, so often as asked. */
export function usualServers({ name }: { readonly name: string }, times = 1): string[] {
  return Array.from({ length: times }, () => [`${name} tcp 80`, `${name} udp 53`]).flat()
}

/** Both clients, both families, TCP and UDP get the pod at the node's address, and the pod sees them as they are. */
export async function expectUsual(
  { node }: PortBed,
  pod: { readonly name: string },
  of: Readonly<Record<Family, string>> = HOST,
  families: readonly Family[] = FAMILIES,
): Promise<void> {
  for (const client of node.clients) {
    const answers = await client.agent.ask(bothFamilies(of, (address) => usual(address), families))
    expect(answers.map(({ server }) => server)).toEqual(usualServers(pod, families.length))
    const seen = families.flatMap((family) => [client[family], client[family]])
    expect(answers.map(({ peer }) => peer.address)).toEqual(seen)
  }
}

/** No question gets an answer; says which one did. */
export async function expectNobody(agent: Agent, questions: readonly Ask[]): Promise<void> {
  const outcomes = await agent.tryAsk(questions.map((question) => ({ timeoutMs: 1_500, ...question })))
  const answered = outcomes.flatMap((outcome: Outcome, index) =>
    outcome.ok ? [`${JSON.stringify(questions[index])} was answered by ${outcome.server}`] : [],
  )
  expect(answered).toEqual([])
}
