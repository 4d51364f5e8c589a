/**
 * Random configs and prevResults for vf-offload: an ADD succeeds or answers with an error object, and after its DEL, or
 * its own refusal, nothing of it is left. In: a bed, a seed. Out: how many were accepted, and what differed.
 */
import * as fc from 'fast-check'
import type { PortBed } from '../../hack/lab/bed/port-bed.ts'
import { SECOND } from '../../hack/lab/bed/port-node.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'
import type { JsonObject, JsonValue } from '../../src/lib/json.ts'
import { offloadLook, offloadPlace, textDifferences } from './offload-subject.ts'
import type { PropertyReport } from './property.ts'
import { runLanes } from './run.ts'
import type { Answer, Job, JobAnswer } from './script.ts'

/** Runs `count` random configs, the same ones for the same seed. */
export async function runOffloadFuzz(bed: PortBed, seed: number, count: number): Promise<PropertyReport> {
  const cases = fc.sample(wish, { seed, numRuns: count })
  // Each case begins with what the one before it has left.
  const jobs = [
    { id: 'before', steps: [offloadLook(bed)] },
    ...cases.map((one, index) => jobOf(bed, index, one)),
  ]
  const answers = await runLanes(bed.lab, [{ place: offloadPlace, jobs }], { plugin: 'vf-offload' })
  let before = answers.get('before')?.answers.at(-1)
  const failures: string[] = []
  const refused: Record<string, number> = {}
  let [accepted, failedCases] = [0, 0]
  for (const [index, one] of cases.entries()) {
    const answer = answers.get(String(index))
    const { code, lines } = judge(before, answer)
    before = answer?.answers.at(-1) ?? before
    if (code === 0) accepted++
    else refused[code] = (refused[code] ?? 0) + 1
    if (lines.length > 0) failedCases++
    failures.push(...lines.map((line) => `seed ${seed}, case ${index}: ${line}: ${JSON.stringify(one)}`))
  }
  return { runs: count, accepted, refused, failedCases, failures }
}

interface Wish {
  readonly mappings: JsonValue
  readonly keys: JsonObject
  readonly prevResult: (bed: PortBed) => JsonValue
  readonly cniVersion: string
}

/** Nearly always the first, sometimes anything else. */
const mostly = <T>(usual: fc.Arbitrary<T>, rare: fc.Arbitrary<T>, weight = 24): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: rare })
const junk = fc
  .oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(0, -1, 65_536, '', '80', null, 1e300))
  .map((value) => JSON.parse(JSON.stringify(value)) as JsonValue)

const port = mostly<JsonValue>(fc.integer({ min: 1, max: 65_535 }), junk, 40)
const hostIP = mostly<JsonValue>(
  fc.constantFrom(HOST.v4, HOST.v6, SECOND.v4, SECOND.v6, '0.0.0.0', '::', '', '::ffff:10.1.0.1'),
  junk,
)
const mapping: fc.Arbitrary<JsonValue> = mostly<JsonValue>(
  fc.record(
    {
      hostPort: port,
      containerPort: port,
      protocol: mostly<JsonValue>(fc.constantFrom('tcp', 'udp', 'TCP', ''), junk),
      hostIP,
      extra: junk,
    },
    { requiredKeys: ['hostPort', 'containerPort'] },
  ) as fc.Arbitrary<JsonValue>,
  junk,
  60,
)
const keys = fc.record(
  {
    offload: mostly<JsonValue>(fc.constantFrom('prefer', 'off', ''), junk),
    nat: mostly<JsonValue>(fc.constantFrom('auto', 'pod', ''), fc.constantFrom('nic', 'both')),
    directSubnets: mostly<JsonValue>(fc.constantFrom([], ['10.9.0.0/24', 'fd00:9::/64']), junk),
    snat: fc.boolean(),
    markMasqBit: fc.integer({ min: 0, max: 31 }),
    conditionsV4: fc.constantFrom([], []),
    unknownKey: junk,
  },
  { requiredKeys: [] },
) as fc.Arbitrary<JsonObject>

/** Spoils a good prevResult before it is sent. */
const prevResult: fc.Arbitrary<Wish['prevResult']> = mostly<Wish['prevResult']>(
  fc.constantFrom(
    ({ one, resultOf }) => resultOf(one) as JsonObject,
    ({ one, resultOf }) => resultOf(one, ['v4']) as JsonObject,
    ({ one, resultOf }) => resultOf(one, ['v6']) as JsonObject,
    ({ one, resultOf }) => ({ ...(resultOf(one) as JsonObject), unknown: { kept: true } }),
  ),
  fc.oneof(
    junk.map((value) => () => value),
    fc
      .record({
        address: mostly<JsonValue>(fc.constantFrom('10.1.0.5', '10.1.0.5/33', 'fd00:1::5/64'), junk, 2),
        interface: junk,
      })
      .map((ip) => ({ one, resultOf }: PortBed) => ({
        ...(resultOf(one) as JsonObject),
        ips: [ip] as JsonValue,
      })),
    junk.map((value) => ({ one, resultOf }: PortBed) => ({
      ...(resultOf(one) as JsonObject),
      interfaces: value,
    })),
  ),
  6,
)

const wish: fc.Arbitrary<Wish> = fc.record({
  mappings: mostly<JsonValue>(fc.array(mapping, { maxLength: 5 }) as fc.Arbitrary<JsonValue>, junk, 30),
  keys,
  prevResult,
  cniVersion: fc.constantFrom('0.3.1', '0.4.0', '1.0.0', '1.1.0'),
})

function jobOf(
  bed: PortBed,
  index: number,
  { mappings, keys: more, prevResult: make, cniVersion }: Wish,
): Job {
  const look = offloadLook(bed)
  const call = {
    do: 'call',
    container: `fuzz-${index}`,
    netns: bed.one.netns,
    ifname: 'net1',
    config: {
      cniVersion,
      name: offloadPlace.network,
      type: 'vf-offload',
      ...more,
      runtimeConfig: { portMappings: mappings },
      prevResult: make(bed),
    },
  } as const
  const middle = { ...look, ifRefused: true } as const
  return { id: String(index), steps: [{ ...call, verb: 'ADD' }, middle, { ...call, verb: 'DEL' }, look] }
}

/** `code` is that of the ADD's error, 0 for success. */
function judge(before: Answer | undefined, answer: JobAnswer | undefined): { code: number; lines: string[] } {
  const [add, middle, del, end] = answer?.answers ?? []
  const isWhole = before?.do === 'look' && middle?.do === 'look' && end?.do === 'look'
  if (!isWhole || add?.do !== 'call' || del?.do !== 'call') {
    return { code: -1, lines: [answer?.error ?? 'cut short'] }
  }
  const lines: string[] = []
  const code = add.code === 0 ? 0 : Number(add.object?.code ?? -1)
  // Refused by the config's check, by what is on the node or by the NIC; anything else is a defect.
  if (![0, 1, 2, 6, 7, 100, 101].includes(code)) {
    lines.push(`ADD ended with ${add.signal ?? code}: ${JSON.stringify(add.object)} ${add.stderr}`)
  }
  if (code !== 0) {
    lines.push(...textDifferences(before, middle).map((line) => `after the refusal: ${line}`))
  }
  if (del.code !== 0 || del.object !== undefined) {
    lines.push(`DEL failed: ${JSON.stringify(del.object)} ${del.stderr}`)
  }
  lines.push(...textDifferences(before, end).map((line) => `after DEL: ${line}`))
  return { code, lines }
}
