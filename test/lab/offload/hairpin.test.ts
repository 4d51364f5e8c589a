// vf-offload on a VF in legacy mode whose PF takes filters that send frames back by their own port (simnic as mlx5_core, profile mlx5,
// from source, not hardware): traffic from outside that no stack of the host sees, a card with one priority, and lost frames.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  offloadConfig,
  pluginPath,
  silently,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { stateDifferences, stateScript } from '../../../hack/lab/bed/port-state.ts'
import { type Card, hardwareRules, knob, loadSimnic, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  linkIsReady,
  newPod,
  type Topology,
  tearDown,
  tellNeighbours,
} from '../../../hack/lab/bed/topology.ts'
import { ask, type Server, serve, tryAsk } from '../../../hack/lab/bed/traffic.ts'
import type { CniResult, ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'

const POD = { v4: '10.1.0.5', v6: 'fd00:1::5' } as const
const FAMILIES = ['v4', 'v6'] as const
const portMappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp' },
]
const TRY = { legacyOffload: 'try' } as const
const records = '/var/lib/cni/vf-flower/offload'

let vm: Lab
let runtime: Runtime
let card: Card
let net: Topology
let list: ConfigList
/** The answer of vf-attach, once for all tests: they call vf-offload alone. */
let attached: CniResult
/** The host before the pod came, and what port mappings change after. */
let host: Snapshot
let state: string
let server: Server | undefined

beforeAll(async () => {
  vm = await lab()
  runtime = testRuntime(vm)
  ;[card] = (await loadSimnic(vm, { driverName: 'mlx5_core', profile: 'mlx5' })) as [Card]
  net = await buildTopology(vm, card, 2)
  await newPod(vm, 'pod-one')
  host = await snapshot(vm)
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]
  const main = attachConfig(vf(), { ipam: { ...staticIpam(`${POD.v4}/24`, `${POD.v6}/64`), routes } })
  list = listOf(main, offloadConfig(vf()))
  attached = await runtime.add(listOf(main), pod())
  await linkIsReady(vm, 'pod-one')
  await tellNeighbours(vm, 'pod-one')
  server = await serve(vm, 'pod-one', [
    { name: 'pod', protocol: 'digest', port: 80 },
    { name: 'pod', protocol: 'udp', port: 53 },
  ])
  state = await lookAtState()
})
beforeEach(({ onTestFailed }) =>
  onTestFailed(async () => {
    await call('DEL')
  }),
)
afterEach(() =>
  vm.must(`cd ${card.debugfs} && echo 0 >prio_max && echo 0 >no_hairpin && echo 0 >hairpin_lost`),
)
afterAll(async () => {
  await server?.stop()
  await runtime.del(list, pod())
  try {
    // After all that the tests have done.
    expect(diffSnapshot(host, await snapshot(vm))).toEqual([])
  } finally {
    await deletePod(vm, 'pod-one')
    await tearDown(vm, card)
    await unloadSimnic(vm)
  }
})

const vf = () => net.vfs[0]?.pci ?? ''
const pod = () => attachment('/run/netns/pod-one', { capabilityArgs: { portMappings } })
const lookAtState = () => vm.must(stateScript(card.pf, [{ name: 'pod-one' }]))

/** A call of ours. */
const call = (command: string, config: Record<string, unknown> = {}) =>
  runtime.call(command, list, offloadConfig(vf(), config), pod(), { prevResult: attached })

async function add(config: Record<string, unknown>): Promise<void> {
  const { code, stdout, stderr } = await call('ADD', config)
  if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
}

async function clean(): Promise<void> {
  await silently(call('DEL'))
  expect(stateDifferences(state, await lookAtState())).toEqual([])
  expect(await hardwareRules(vm, card)).toEqual([])
}

interface Told {
  readonly mappings: readonly {
    readonly rules: readonly {
      readonly line: string
      readonly where: string
      readonly refusal?: string
      readonly delivery?: string
    }[]
  }[]
  readonly notes: readonly string[]
}

/** The report, and a line for each filter: its protocol and priority, its place, and what is said of it. */
async function told(): Promise<{ readonly report: Told; readonly filters: readonly string[] }> {
  const report = JSON.parse(await vm.must(`cat ${records}/*.report`)) as Told & {
    mappings: { rules: { line: string }[] }[]
  }
  const filters = report.mappings.flatMap(({ rules }) =>
    rules.map((rule) => {
      const [, place] = / (protocol \w+ prio \d+) /.exec(rule.line) ?? []
      return `${place} ${rule.where}`
    }),
  )
  return { report, filters: filters.toSorted() }
}

/** Both clients, both families, both protocols; the pod sees the clients' own addresses. */
async function mappedPortsAnswer(bytes = 60_000): Promise<void> {
  for (const client of [CLIENT_A, CLIENT_B]) {
    const questions = FAMILIES.flatMap((family) => [
      { protocol: 'digest', address: HOST[family], port: 8080, bytes, timeoutMs: 600_000 } as const,
      { protocol: 'udp', address: HOST[family], port: 5353 } as const,
    ])
    const answers = await ask(vm, client.namespace, questions)
    expect(answers.map(({ peer }) => peer.address)).toEqual(
      FAMILIES.flatMap((family) => [client[family], client[family]]),
    )
  }
}

const taken = async () => (await hardwareRules(vm, card)).reduce((sum, { packets }) => sum + packets, 0)

test('require: 4 MB arrive by filters in the card, which count every request; the host sees none', async () => {
  const config = { ...TRY, offload: 'require' }
  await add(config)
  const { report, filters } = await told()
  expect(filters).toEqual(
    [10, 10, 11, 11].map((prio) => `protocol ${prio === 10 ? 'ip' : 'ipv6'} prio ${prio} nic`),
  )
  const deliveries = report.mappings.flatMap(({ rules }) => rules.map(({ delivery }) => delivery))
  expect(deliveries).toEqual(Array(4).fill('hairpin, unproven'))
  expect(report.notes).toContainEqual(expect.stringMatching(/^hairpin, unproven: /))
  const atHost = await capture(vm, null, card.pf, 'dst port 8080 or dst port 5353')
  const inPod = await capture(vm, 'pod-one', 'net1', 'dst port 8080 or dst port 5353')
  await mappedPortsAnswer(1_000_000)
  expect(await atHost.stop()).toEqual([])
  const rules = await hardwareRules(vm, card)
  for (const { text, packets } of rules) expect({ text, busy: packets > 1 }).toEqual({ text, busy: true })
  // The pod's interface may join frames of one connection before a capture sees them.
  expect((await inPod.stop()).length).toBeLessThanOrEqual(await taken())
  expect(await taken()).toBeGreaterThan(4_000_000 / 1_460)
  expect(await vm.must(`${pluginPath[0]}/vfctl show`)).toContain('(hairpin, unproven)')
  await silently(call('CHECK', config))
  await clean()
}, 900_000)

test('a card with priority 1 alone: IPv4 there, IPv6 in software with the reason; a DEL without a record finds it', async () => {
  await knob(vm, card, 'prio_max', 1)
  await add(TRY)
  const { report, filters } = await told()
  expect(filters).toEqual([
    ...['protocol ip prio 1 nic', 'protocol ip prio 1 nic'],
    ...['protocol ipv6 prio 11 host', 'protocol ipv6 prio 11 host'],
  ])
  const refusals = report.mappings.flatMap(({ rules }) => rules.flatMap(({ refusal }) => refusal ?? []))
  expect(new Set(refusals)).toEqual(
    new Set([expect.stringMatching(/^EOPNOTSUPP \(.* priority 1 alone, which holds one protocol: IPv4\)$/)]),
  )
  const before = await taken()
  await mappedPortsAnswer()
  expect(await taken()).toBeGreaterThan(before + 80)
  await silently(call('CHECK', TRY))
  // The file of the record goes, with everything beside it.
  await vm.must(`rm -r ${records}`)
  await silently(call('DEL'))
  expect(await hardwareRules(vm, card)).toEqual([])
  await clean()
}, 300_000)

test('priority 1 has another protocol of somebody else: software, in the words of the kernel', async () => {
  await knob(vm, card, 'prio_max', 1)
  await vm.must(`tc qdisc add dev ${card.pf} clsact
    tc filter add dev ${card.pf} ingress protocol arp prio 1 flower skip_hw action pass`)
  try {
    const error = errorOf(await call('ADD', { ...TRY, offload: 'require' }))
    expect(error).toMatchObject({ code: 101, msg: expect.stringContaining('at priority 1, the only one') })
    await add(TRY)
    expect((await told()).filters.filter((one) => !one.endsWith('host'))).toEqual([])
    await mappedPortsAnswer()
    await silently(call('DEL'))
  } finally {
    await vm.must(`tc qdisc del dev ${card.pf} clsact`)
  }
  await clean()
}, 300_000)

test('a card that takes frames and does not deliver them: CHECK says how many', async () => {
  await add(TRY)
  await knob(vm, card, 'hairpin_lost', 1)
  const lost = (port: number) => ({ protocol: 'udp', address: HOST.v4, port, timeoutMs: 300 }) as const
  const outcomes = await tryAsk(
    vm,
    CLIENT_A.namespace,
    Array.from({ length: 30 }, () => lost(5353)),
  )
  expect(outcomes.map(({ ok }) => ok)).not.toContain(true)
  const error = errorOf(await call('CHECK', TRY))
  expect(error.code).toBe(104)
  expect(error.msg).toMatch(
    /filters in the NIC have taken (\d+) frames since ADD and VF 0 of "simpf0" has received \d+: the card does not deliver .*legacyOffload "off"/,
  )
  await clean()
}, 300_000)

test.each([
  ['no capability, in the driver’s words', 'no_hairpin', TRY, /"EOPNOTSUPP: hairpin is not supported"/],
  ['nobody asks for it', undefined, {}, /driver "mlx5_core" takes .*legacyOffload "try" offers such filters/],
] as const)('%s: software, which the note says, and require is code 101', async (_, name, config, words) => {
  if (name !== undefined) await knob(vm, card, name, 1)
  expect(errorOf(await call('ADD', { ...config, offload: 'require' }))).toMatchObject({
    code: 101,
    msg: expect.stringMatching(words),
  })
  const { code, stderr } = await call('ADD', config)
  expect(code).toBe(0)
  expect(stderr).toMatch(words)
  expect(await hardwareRules(vm, card)).toEqual([])
  const record = await vm.must(`cat ${records}/*.json`)
  expect(record.includes('"received"')).toBe(false)
  await mappedPortsAnswer()
  await clean()
})
