// Datagrams in fragments to mapped ports of a VF in switchdev mode (simnic, from source, not hardware), in and out, whatever
// the card makes of fragments: they arrive, or it is said that they may be lost. No fragment has the pod's address on the wire.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import {
  type AddOptions,
  type KindName,
  type Mapping,
  makeBed,
  type PortBed,
} from '../../../hack/lab/bed/port-bed.ts'
import { makeNode, type Node } from '../../../hack/lab/bed/port-node.ts'
import { type Card, hardwareRules, knob } from '../../../hack/lab/bed/simnic.ts'
import { HOST, WIRE } from '../../../hack/lab/bed/topology.ts'
import type { Ask } from '../../../hack/lab/bed/traffic.ts'
import type { ExecResult } from '../../../hack/lab/lab.ts'
import { bothFamilies, tcp, udp } from '../../scenarios/scenario.ts'
import { lab } from '../../support/lab.ts'

/** TCP, a UDP server that sends back what it gets, and one that adds 4,000 bytes. */
const MAPPINGS = [tcp(8080, 80), udp(5353, 53), udp(5400, 4000)]
const timeoutMs = 60_000

/** VF_TEST_ALL=1: every config on every card, else what tells most of each. */
const all = process.env.VF_TEST_ALL === '1'

let node: Node
let bed: PortBed
let card: Card

beforeAll(async () => {
  node = await makeNode(await lab(), 'simnic')
  card = node.card as Card
})
afterEach(async () => {
  await knob(node.lab, card, 'fragments', 'first')
  await bed.reset()
})
afterAll(async () => {
  await bed?.end()
  await node?.end()
})

async function bedOf(kind: KindName, hasSecond: boolean): Promise<void> {
  if (bed?.kind !== kind) {
    await bed?.end()
    bed = await makeBed(node, kind, { compares: false })
  }
  await node.setSecond(hasSecond)
}

const whole = (address: string): Ask[] => [
  { protocol: 'udp', address, port: 5353, timeoutMs },
  { protocol: 'tcp', address, port: 8080, timeoutMs },
]
/** In fragments there and back, or back alone. */
const large = (address: string): Ask[] =>
  [3_000, 60_000].map((bytes) => ({ protocol: 'udp', address, port: 5353, bytes, timeoutMs }))
const answers4000 = (address: string): Ask[] => [
  { protocol: 'udp', address, port: 5400, bytes: 100, padding: 4000, timeoutMs },
]

/** The record's entries about the mappings, and about rules that they share. */
async function account(): Promise<Record<string, string>> {
  const record = JSON.parse(await node.lab.must('cat /var/lib/cni/vf-flower/offload/*.json')) as {
    journal: { nat: string; rules: { mapping: string; where: string }[] }
  }
  const { nat, rules } = record.journal
  return { nat, ...Object.fromEntries(rules.map(({ mapping, where }) => [mapping, where])) }
}

/** ADD, and what it said on stderr. */
async function added(config: AddOptions['config'], mappings: readonly Mapping[] = MAPPINGS): Promise<string> {
  const ended: ExecResult = await bed.call('ADD', bed.one, mappings, config === undefined ? {} : { config })
  if (ended.code !== 0) throw new Error(`ADD: ${ended.stdout}${ended.stderr}`)
  return ended.stderr
}

async function everySizeArrives(): Promise<void> {
  for (const { agent } of node.clients) {
    const questions = bothFamilies(HOST, (address) => [
      ...whole(address),
      ...large(address),
      ...answers4000(address),
    ])
    const answers = await agent.ask(questions)
    expect(answers.map(({ server }) => server)).toEqual(
      questions.map(({ protocol, port }) => {
        return `${bed.one.name} ${protocol} ${protocol === 'tcp' ? 80 : port === 5353 ? 53 : 4000}`
      }),
    )
  }
}

const inNic = { 'tcp 8080 -> 80': 'nic', 'udp 5353 -> 53': 'nic', 'udp 5400 -> 4000': 'nic' }
const software = { 'tcp 8080 -> 80': 'host', 'udp 5353 -> 53': 'host', 'udp 5400 -> 4000': 'host' }
const fragments = { fragments: 'host' }

test.each([
  ['first', {}, { nat: 'pod', ...inNic, ...fragments }],
  ['none', { offload: 'require' }, { nat: 'pod', ...inNic, ...fragments }],
  ['refuse', {}, { nat: 'pod', ...software, 'tcp 8080 -> 80': 'nic', ...fragments }],
  ...(all
    ? ([
        ['first', { offload: 'off' }, { nat: 'pod', ...software, ...fragments }],
        ['first', { directSubnets: ['10.9.0.0/24'] }, { nat: 'pod', ...inNic, ...fragments }],
      ] as const)
    : []),
] as const)(
  'a card that reads ports in fragments: %s; %j: datagrams of every size arrive',
  async (knobValue, config, becomes) => {
    await bedOf('simnic-full', true)
    await knob(node.lab, card, 'fragments', knobValue)
    const said = await added(config)
    expect(await account()).toEqual(becomes)
    if (knobValue === 'refuse') {
      expect(said).toContain('Unsupported match on control.flags')
      expect(said).toMatch(/does not take "ip_flags nofrag" .* lost for tcp 8080 -> 80$/m)
    }
    await everySizeArrives()
    await bed.check(bed.one, MAPPINGS, { config })
    // Whatever the filters match that are there: the kernel takes one with the condition beside one without.
    for (const shape of ['first', 'refuse']) {
      await knob(node.lab, card, 'fragments', shape)
      const taken = await bed.refused('ADD', bed.two, [tcp(8080, 81)], { config })
      expect(taken.msg).toContain('port 8080 is taken by')
    }
  },
  600_000,
)

test('offload "require" on a card that refuses the condition has TCP alone, and UDP is code 101 in its words', async () => {
  await bedOf('simnic-full', true)
  await knob(node.lab, card, 'fragments', 'refuse')
  const config = { offload: 'require' }
  const error = await bed.refused('ADD', bed.one, MAPPINGS, { config })
  expect(error).toMatchObject({ code: 101, msg: expect.stringMatching(/udp 5.* control\.flags/) })
  await bed.expectClean()
  await added(config, [tcp(8080, 80)])
  expect(await account()).toEqual({ nat: 'pod', 'tcp 8080 -> 80': 'nic' })
})

/** Frames of IP that the wire has from the pod's own addresses, without ICMP. */
const fromPod = () =>
  capture(
    node.lab,
    WIRE.namespace,
    WIRE.bridge,
    `( ip src host ${bed.one.v4} and not icmp ) or ( ip6 src host ${bed.one.v6} and not icmp6 )`,
  )

test.each(all ? ['first', 'none', 'refuse'] : ['first'])(
  'nat "nic", a card that reads ports in fragments: %s; what is lost is said, and nothing has the pod’s address',
  async (knobValue) => {
    await bedOf('simnic-full', false)
    await knob(node.lab, card, 'fragments', knobValue)
    const said = await added({ nat: 'nic' })
    expect(said).toContain('what the pod sends in fragments to others is dropped')
    expect(said.includes('does not take "ip_flags nofrag"')).toBe(knobValue === 'refuse')
    expect(await account()).toMatchObject({ nat: 'nic', ...inNic })
    const seen = await fromPod()
    for (const { agent } of node.clients) {
      await agent.ask(bothFamilies(HOST, whole))
      // A request in fragments comes by the host, and so does its answer.
      const requests = bothFamilies(HOST, large)
      if (knobValue !== 'refuse') await agent.ask(requests)
      const lost = bothFamilies(HOST, answers4000).map((ask) => ({ ...ask, timeoutMs: 2_500 }))
      expect((await agent.tryAsk(lost)).map(({ ok }) => ok)).toEqual([false, false])
      if (knobValue === 'refuse') {
        const short = requests.map((ask) => ({ ...ask, timeoutMs: 2_500 }))
        expect((await agent.tryAsk(short)).map(({ ok }) => ok)).toEqual(short.map(() => false))
      }
    }
    expect((await seen.stop()).map(({ text }) => text)).toEqual([])
    await bed.check(bed.one, MAPPINGS, { config: { nat: 'nic' } })
  },
  600_000,
)

test('the NIC is asked for nothing in legacy mode, which ADD says, and datagrams of every size arrive', async () => {
  await bedOf('simnic-legacy', true)
  const said = await added({})
  expect(said).toContain('is in legacy mode, where no filter is offered to the NIC')
  expect(said).not.toContain('did not take it')
  expect(await account()).toEqual({ nat: 'pod', ...software })
  expect(await hardwareRules(node.lab, card)).toEqual([])
  await everySizeArrives()
  const error = await bed.refused('ADD', bed.two, [tcp(8081, 80)], { config: { offload: 'require' } })
  expect(error).toMatchObject({ code: 101, msg: expect.stringContaining('no card was seen to deliver') })
}, 600_000)
