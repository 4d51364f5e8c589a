/**
 * Random configs on random hosts: whatever an ADD did, after its DEL, or after its own refusal, the host is as before. In: a
 * Lab with VFs and software interfaces, a seed. Out: how many were accepted, and what differed.
 */
import * as fc from 'fast-check'
import type { Lab } from '../../hack/lab/lab.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { runLanes } from './run.ts'
import { ipBatch, type Job, type JobAnswer, type Place } from './script.ts'
import { laneDifferences } from './state.ts'

/** A lane, and its VF if there is one, with what that is called on the host. */
export interface Field {
  readonly place: Place
  readonly vf?: { readonly netdev: string; readonly mac: string }
}

export interface PropertyReport {
  readonly runs: number
  readonly accepted: number
  /** Refusals: code and the words' end, and how many there were of each. */
  readonly refused: Readonly<Record<string, number>>
  readonly failedCases: number
  readonly failures: readonly string[]
}

/** Names of a lane's software interfaces, and the MAC of one; `peer` stays on the host. */
export const softwareOf = (lane: number) => ({
  ifb: `soaki${lane}`,
  veth: `soakv${lane}`,
  vethMac: `02:00:00:00:48:0${lane}`,
  peer: `soakw${lane}`,
})

/** Runs `count` random configs on `devices`, the same ones for the same seed. */
export async function runProperty(
  lab: Lab,
  fields: readonly Field[],
  devices: readonly Device[],
  seed: number,
  count: number,
): Promise<PropertyReport> {
  const cases = fc.sample(scenarioOn(devices), { seed, numRuns: count })
  const pods = fields.map(({ place }) => `pod-${place.network}`)
  await lab.must(pods.map((pod) => `ip netns add ${pod}`).join(' && '))
  try {
    const lanes = fields.map((field, lane) => ({
      place: field.place,
      jobs: cases.flatMap((one, index) =>
        index % fields.length === lane ? [jobOf(field, lane, index, one)] : [],
      ),
    }))
    const answers = await runLanes(lab, lanes)
    const failures: string[] = []
    const refused: Record<string, number> = {}
    let accepted = 0
    let failedCases = 0
    for (const [index, one] of cases.entries()) {
      const { place } = fields[index % fields.length] ?? {}
      const answer = answers.get(String(index))
      if (place === undefined || answer === undefined) throw new Error(`case ${index} has no answer`)
      const { code, why, lines } = judge(place, answer)
      if (lines.length > 0) failedCases++
      if (code === 0) accepted++
      else refused[why] = (refused[why] ?? 0) + 1
      failures.push(...lines.map((line) => `seed ${seed}, case ${index}: ${line}: ${JSON.stringify(one)}`))
    }
    return { runs: count, accepted, refused, failedCases, failures }
  } finally {
    await lab.must(pods.map((pod) => `ip netns del ${pod}`).join('; '))
  }
}

interface Scenario {
  readonly device: Device
  readonly ifname: string
  readonly vf: JsonObject
  readonly plain: JsonObject
  readonly ipam: (typeof ipams)[number]
  readonly cniVersion: string
  readonly host: {
    readonly up: boolean
    readonly alias: string | null
    readonly altnames: readonly string[]
    readonly txqlen: number
    readonly mtu: number
  }
}

/** Ways in which a config names a VF. */
export const vfDevices = ['deviceID', 'pciBusID', 'runtimeConfig', 'device', 'hwaddr', 'both'] as const
/** Software interfaces, and how a config names them. */
export const softwareDevices = ['ifb', 'veth', 'vethMac'] as const
/** The device of a config. */
export type Device = (typeof vfDevices)[number] | (typeof softwareDevices)[number]

const isSoftware = (device: Device) => softwareDevices.some((one) => one === device)
const ipams = ['none', 'static4', 'static6', 'host-local'] as const
const optional: { requiredKeys: never[] } = { requiredKeys: [] }

const name = fc
  .stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,14}$/)
  .filter((text) => !['lo', 'all', 'default'].includes(text))
const mac = fc
  .array(fc.integer({ min: 0, max: 255 }), { minLength: 5, maxLength: 5 })
  .map((bytes) => ['02', ...bytes.map((byte) => byte.toString(16).padStart(2, '0'))].join(':'))
const mostly = <T>(usual: T, rare: T) =>
  fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constant(rare) })

// igb has no link state and no minimum rate and knows 802.1Q only: asked for now and then.
const vlan = fc.oneof(
  fc.record({ vlan: fc.integer({ min: 0, max: 4094 }) }),
  fc.record({
    vlan: fc.integer({ min: 1, max: 4094 }),
    vlanQoS: fc.integer({ min: 0, max: 7 }),
    vlanProto: mostly('802.1q', '802.1ad'),
  }),
)
const rare = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 11, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
const scenarioOn = (devices: readonly Device[]): fc.Arbitrary<Scenario> =>
  fc.record({
    device: fc.constantFrom(...devices),
    ifname: name,
    vf: fc
      .tuple(
        fc.option(vlan, { nil: {} }),
        fc.record(
          {
            spoofchk: fc.constantFrom('on', 'off', true, false),
            trust: fc.constantFrom('on', 'off', true, false),
            max_tx_rate: fc.integer({ min: 0, max: 1000 }),
          },
          optional,
        ),
        rare(fc.constantFrom('auto', 'enable', 'disable')),
      )
      .map(
        ([tag, others, state]): JsonObject => ({
          ...tag,
          ...others,
          ...(state === undefined ? {} : { link_state: state }),
        }),
      ),
    plain: fc.record(
      {
        mac,
        mtu: fc.oneof(
          { weight: 4, arbitrary: fc.integer({ min: 1280, max: 1500 }) },
          { weight: 1, arbitrary: fc.integer({ min: 68, max: 9000 }) },
        ),
        announce: fc.record({
          count: fc.integer({ min: 0, max: 2 }),
          carrier: fc.integer({ min: 0, max: 20 }),
        }),
        dns: fc.constant({ nameservers: ['10.0.0.1'] }),
      },
      optional,
    ) as fc.Arbitrary<JsonObject>,
    ipam: fc.constantFrom(...ipams),
    cniVersion: fc.constantFrom('0.3.1', '0.4.0', '1.0.0'),
    host: fc.record({
      up: fc.boolean(),
      alias: fc.option(fc.stringMatching(/^[a-z ]{1,20}$/)),
      altnames: fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{16,30}$/), { maxLength: 2 }),
      txqlen: fc.integer({ min: 1, max: 2000 }),
      mtu: fc.integer({ min: 1280, max: 1500 }),
    }),
  })

function jobOf(field: Field, lane: number, index: number, one: Scenario): Job {
  const { place } = field
  const software = softwareOf(lane)
  const soft = one.device === 'ifb' ? software.ifb : software.veth
  const target = isSoftware(one.device) ? soft : vfOf(field).netdev
  const { up, alias, altnames, txqlen, mtu } = one.host
  const dress = [
    ...altnames.map((altname) => `link property add dev ${target} altname ${altname}`),
    `link set dev ${target} alias '${alias ?? ''}' txqueuelen ${txqlen} mtu ${mtu} ${up ? 'up' : 'down'}`,
  ]
  const undress = altnames.map((altname) => `link property del dev ${target} altname ${altname}`)
  const pod = `pod-${place.network}`
  const call = {
    do: 'call',
    container: `case-${index}`,
    netns: `/run/netns/${pod}`,
    ifname: one.ifname,
    config: configOf(field, lane, one),
  } as const
  const look = { do: 'look', pods: [] } as const
  return {
    id: String(index),
    steps: [
      { do: 'sh', script: ipBatch(dress) },
      look,
      { ...call, verb: 'ADD' },
      look,
      { ...call, verb: 'DEL' },
      look,
      { do: 'sh', script: ipBatch(undress) },
    ],
  }
}

function vfOf({ vf, place }: Field): NonNullable<Field['vf']> {
  if (vf === undefined) throw new Error(`${place.network} has no VF`)
  return vf
}

function selectorOf(field: Field, lane: number, device: Device): JsonObject {
  const { ifb, veth, vethMac } = softwareOf(lane)
  if (device === 'ifb') return { device: ifb }
  if (device === 'veth') return { device: veth }
  if (device === 'vethMac') return { hwaddr: vethMac }
  const pci = field.place.vfs[0]?.pci ?? ''
  const { netdev, mac: ownMac } = vfOf(field)
  return {
    deviceID: { deviceID: pci },
    pciBusID: { pciBusID: pci },
    runtimeConfig: { capabilities: { deviceID: true }, runtimeConfig: { deviceID: pci } },
    device: { device: netdev },
    hwaddr: { hwaddr: ownMac },
    both: { deviceID: pci, device: netdev },
  }[device]
}

function configOf(field: Field, lane: number, one: Scenario): JsonObject {
  const ipam = {
    none: undefined,
    static4: {
      type: 'static',
      addresses: [{ address: `10.88.${lane}.5/24` }],
      routes: [{ dst: '10.3.0.0/16' }],
    },
    static6: { type: 'static', addresses: [{ address: `fd00:88:${lane}::5/64` }] },
    'host-local': {
      type: 'host-local',
      ranges: [[{ subnet: `10.77.${lane}.0/24` }], [{ subnet: `fd00:77:${lane}::/64` }]],
      routes: [{ dst: '10.2.0.0/16' }],
    },
  }[one.ipam]
  return {
    cniVersion: one.cniVersion,
    name: field.place.network,
    type: 'vf-attach',
    ...selectorOf(field, lane, one.device),
    ...(isSoftware(one.device) ? {} : one.vf),
    ...one.plain,
    ...(ipam === undefined ? {} : { ipam }),
  }
}

/** `code` is that of the ADD's error, 0 for success. */
function judge(place: Place, { answers, error }: JobAnswer): { code: number; why: string; lines: string[] } {
  if (error !== undefined) return { code: -1, why: error, lines: [error] }
  const [before, middle, end] = answers.filter((one) => one.do === 'look')
  const [add, del] = answers.filter((one) => one.do === 'call')
  if (
    before === undefined ||
    middle === undefined ||
    end === undefined ||
    add === undefined ||
    del === undefined
  ) {
    return { code: -1, why: '', lines: ['cut short'] }
  }
  const lines: string[] = []
  const code = add.code === 0 ? 0 : Number(add.object?.code ?? -1)
  if (code !== 0) {
    // Refused by the config's check (7) or by the kernel (102), in an error object.
    if (code !== 7 && code !== 102)
      lines.push(`ADD failed otherwise: ${JSON.stringify(add.object)} ${add.stderr}`)
    lines.push(...laneDifferences(place, before, middle).map((line) => `after the refusal: ${line}`))
  }
  if (del.code !== 0) lines.push(`DEL failed: ${JSON.stringify(del.object)} ${del.stderr}`)
  lines.push(...laneDifferences(place, before, end).map((line) => `after DEL: ${line}`))
  // Names of interfaces and addresses are left out, so that equal reasons are counted together.
  const why = `${code} ${String(add.object?.msg).replace(/^.*: (?=.)/, '')}`
  return { code, why, lines }
}
