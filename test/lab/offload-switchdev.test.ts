// vf-offload behind vf-attach on a VF of a card in switchdev mode (simnic, from source, not hardware): where each rule
// runs, that bytes arrive from both clients, and that nothing stays behind.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { ConfigList, Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { capture } from '../support/capture.ts'
import { lab } from '../support/lab.ts'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  offloadConfig,
  pluginPath,
  staticIpam,
  testRuntime,
} from '../support/plugins.ts'
import { type Card, hardwareRules, knob, loadSimnic, setMode, unloadSimnic } from '../support/simnic.ts'
import { Baseline, diffSnapshot, snapshot } from '../support/snapshot.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  linkIsReady,
  newPod,
  ROUTER,
  type Topology,
  tearDown,
} from '../support/topology.ts'
import { ask, type Listen, type Server, serve, tryAsk } from '../support/traffic.ts'
import { expectInHardware } from '../support/transfer.ts'

const POD = { v4: '10.1.0.5', v6: 'fd00:1::5' } as const
const portMappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp' },
]
const SERVED = [
  { name: 'pod', protocol: 'tcp', port: 80 },
  { name: 'pod', protocol: 'udp', port: 53 },
] as const
/** Mapped ports and those of the pod, as tcpdump takes them. */
const OURS = 'port 8080 or port 5353 or port 80 or port 53'

let vm: Lab
let runtime: Runtime
let card: Card
let net: Topology
const host = new Baseline()
let list: ConfigList
let server: Server | undefined
let wished: readonly object[] = portMappings

beforeAll(async () => {
  vm = await lab()
  runtime = testRuntime(vm)
  ;[card] = (await loadSimnic(vm)) as [Card]
  net = await buildTopology(vm, card, 2)
  await setMode(vm, card, 'switchdev')
  await vm.must(`ip link set ${card.pf}rep0 up; ip link set ${card.pf}rep1 up`)
})
afterAll(async () => {
  await setMode(vm, card, 'legacy')
  await tearDown(vm, card)
  await unloadSimnic(vm)
})
beforeEach(async () => {
  await newPod(vm, 'pod-one')
  await host.begin(vm)
})
afterEach(async ({ task }) => {
  host.end(task.result?.state)
  await server?.stop()
  server = undefined
  await runtime.del(list, pod())
  wished = portMappings
  await deletePod(vm, 'pod-one')
  await knob(vm, card, 'profile', 'full')
  await knob(vm, card, 'max_rules', 0)
  await knob(vm, card, 'liar', '')
})

const pod = () => attachment('/run/netns/pod-one', { capabilityArgs: { portMappings: wished } })

function use(config: Record<string, unknown>): ConfigList {
  const vf = net.vfs[0]?.pci ?? ''
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]
  list = listOf(
    attachConfig(vf, { ipam: { ...staticIpam(`${POD.v4}/24`, `${POD.v6}/64`), routes } }),
    offloadConfig(vf, config),
  )
  return list
}

/** ADD, and what no rule of ours is for: the pod's questions for its neighbours, which the test answers itself. */
async function add(config: Record<string, unknown>, listen: readonly Listen[] = SERVED): Promise<void> {
  await runtime.add(use(config), pod())
  await linkIsReady(vm, 'pod-one')
  const mac = async (ns: string, dev: string) =>
    (await vm.must(`ip netns exec ${ns} cat /sys/class/net/${dev}/address`)).trim()
  const [client, router] = [await mac(CLIENT_A.namespace, 'eth0'), await mac(ROUTER.namespace, 'near')]
  await vm.must(`ip -n pod-one -b - <<END
    neigh replace ${CLIENT_A.v4} lladdr ${client} dev net1
    neigh replace ${CLIENT_A.v6} lladdr ${client} dev net1
    neigh replace ${ROUTER.v4} lladdr ${router} dev net1
    neigh replace ${ROUTER.v6} lladdr ${router} dev net1
END`)
  server = await serve(vm, 'pod-one', listen)
}

/** Both clients, both families, both protocols; the pod sees the clients' own addresses. */
async function mappedPortsAnswer(): Promise<void> {
  for (const client of [CLIENT_A, CLIENT_B]) {
    for (const family of ['v4', 'v6'] as const) {
      const answers = await ask(vm, client.namespace, [
        { protocol: 'tcp', address: HOST[family], port: 8080, bytes: 60_000 },
        { protocol: 'udp', address: HOST[family], port: 5353 },
      ])
      expect(answers.map(({ peer }) => peer.address)).toEqual([client[family], client[family]])
    }
  }
}

async function clean(): Promise<void> {
  await server?.stop()
  server = undefined
  await runtime.del(list, pod())
  expect(await host.changes(vm)).toEqual([])
}

/** Where the record says that the rules run, and how many there are. */
async function account(): Promise<{ nat: string; nic: number; host: number; refusals: string[] }> {
  const record = JSON.parse(await vm.must('cat /var/lib/cni/vf-flower/offload/*.json')) as {
    journal: { nat: string; rules: { where: string; refusal?: string }[] }
  }
  const { nat, rules } = record.journal
  const on = (where: string) => rules.filter((rule) => rule.where === where).length
  const refusals = [...new Set(rules.flatMap(({ refusal }) => refusal ?? []))]
  return { nat, nic: on('nic'), host: on('host'), refusals }
}

test.each([
  ['pod', { offload: 'require' }],
  ['nic', { nat: 'nic' }],
] as const)('nat %s: all rules run in the card, the host sees no frame', async (nat, config) => {
  await add(config)
  expect(await account()).toEqual({ nat, nic: 8, host: 0, refusals: [] })
  const atUplink = await capture(vm, null, card.pf, OURS)
  const atRepresentor = await capture(vm, null, `${card.pf}rep0`, OURS)
  await mappedPortsAnswer()
  expect(await atUplink.stop()).toEqual([])
  expect(await atRepresentor.stop()).toEqual([])
  const rules = await hardwareRules(vm, card)
  expect(rules).toHaveLength(8)
  for (const { text, packets } of rules) expect({ text, busy: packets > 1 }).toEqual({ text, busy: true })
  await reported(nat)
  await runtime.check(list, pod(), await result())
  await clean()
})

test.each([
  ['pod', { offload: 'require' }, 8080],
  ['nic', { nat: 'nic' }, 80],
] as const)(
  'nat %s: 50 MB arrive whole, the card counts every frame and the host sees none',
  async (nat, config, port) => {
    await add(config, [{ name: 'pod', protocol: 'digest', port: 80 }])
    expect(await account()).toEqual({ nat, nic: 8, host: 0, refusals: [] })
    // Half of it from the pod's own subnet, half from behind the router.
    const halves = [
      [CLIENT_A, HOST.v4],
      [CLIENT_B, HOST.v6],
    ] as const
    const bytes = 25_000_000
    const send = async () => {
      for (const [client, address] of halves) {
        const question = { protocol: 'digest', address, port: 8080, bytes, timeoutMs: 600_000 } as const
        await ask(vm, client.namespace, [question])
      }
    }
    const ends = { lab: vm, card, pod: 'pod-one', port, ports: OURS }
    await expectInHardware({ ...ends, bytes: 2 * bytes, send })
    await shownCounters()
    await clean()
  },
  900_000,
)

test('prefer on a card that refuses: the same mappings in software, with the driver’s words', async () => {
  await knob(vm, card, 'max_rules', 3)
  await add({})
  const { nat, nic, host, refusals } = await account()
  // One mapping has four rules, both families in both directions: it is in the card whole or not at all.
  expect({ nat, nic, host }).toEqual({ nat: 'pod', nic: 0, host: 8 })
  expect(refusals).toEqual([expect.stringContaining('ENOSPC')])
  await mappedPortsAnswer()
  await clean()
})

test('a table that is full halfway: one mapping in the card, the other in software, both answer', async () => {
  await knob(vm, card, 'max_rules', 5)
  await add({})
  expect(await account()).toMatchObject({ nic: 4, host: 4 })
  await mappedPortsAnswer()
  await clean()
})

test('200 mappings and room for half of them: those are in the card, the others in software, and answer', async () => {
  wished = Array.from({ length: 200 }, (_, at) => {
    return { hostPort: 20_000 + at, containerPort: 80, protocol: 'tcp', hostIP: HOST.v4 }
  })
  await knob(vm, card, 'max_rules', 200)
  await add({ nat: 'pod' })
  expect(await account()).toMatchObject({ nic: 200, host: 200 })
  expect(await hardwareRules(vm, card)).toHaveLength(200)
  const ports = [20_000, 20_099, 20_100, 20_199]
  const questions = ports.map((port) => ({ protocol: 'tcp', address: HOST.v4, port, bytes: 1_000 }) as const)
  for (const client of [CLIENT_A, CLIENT_B]) {
    const answers = await ask(vm, client.namespace, questions)
    expect(answers.map(({ peer }) => peer.address)).toEqual(ports.map(() => client.v4))
  }
  await runtime.check(list, pod(), await result())
  await clean()
})

test('steer-only: prefer and require steer in the card, the pod translates; auto says why not the NIC', async () => {
  await knob(vm, card, 'profile', 'steer-only')
  await add({ offload: 'require', directSubnets: ['10.9.0.0/24'] })
  expect(await account()).toMatchObject({ nat: 'pod', nic: 8, host: 0 })
  const record = await vm.must('cat /var/lib/cni/vf-flower/offload/*.json')
  expect(record).toContain('not with nat \\"nic\\": Cannot map')
  await mappedPortsAnswer()
  await clean()
})

test('off: all in software', async () => {
  await add({ offload: 'off' })
  expect(await account()).toEqual({ nat: 'pod', nic: 0, host: 8, refusals: [] })
  await mappedPortsAnswer()
  await clean()
})

test('direct networks reach the pod’s own ports beside the mapped ones, in the card', async () => {
  await add({ directSubnets: ['10.1.0.0/24', 'fd00:1::/64'] })
  expect(await account()).toMatchObject({ nat: 'nic', host: 0 })
  const vfMac = (await vm.must('ip netns exec pod-one cat /sys/class/net/net1/address')).trim()
  await vm.must(`ip -n client-a neigh replace ${POD.v4} lladdr ${vfMac} dev eth0
    ip -n client-a neigh replace ${POD.v6} lladdr ${vfMac} dev eth0`)
  for (const family of ['v4', 'v6'] as const) {
    const direct = await ask(vm, CLIENT_A.namespace, [
      { protocol: 'tcp', address: POD[family], port: 80, bytes: 60_000 },
      { protocol: 'udp', address: POD[family], port: 53 },
    ])
    expect(direct.map(({ server: name }) => name)).toEqual(['pod', 'pod'])
    await ask(vm, CLIENT_B.namespace, [{ protocol: 'tcp', address: HOST[family], port: 8080, bytes: 60_000 }])
  }
  await vm.must('ip -n client-a neigh flush dev eth0')
  await clean()
})

test('a card that takes rules and ignores a part of them: vfctl show tells by its counters after traffic', async () => {
  await knob(vm, card, 'liar', 'csum')
  await add({ nat: 'nic' })
  expect(await account()).toMatchObject({ nic: 8, host: 0 })
  const [answer] = await tryAsk(vm, CLIENT_A.namespace, [
    { protocol: 'tcp', address: HOST.v4, port: 8080, bytes: 1_000, timeoutMs: 12_000 },
  ])
  expect(answer).toMatchObject({ ok: false })
  const shown = await vm.must(`${pluginPath[0]}/vfctl show pod-one net1`)
  expect(shown).toMatch(
    /udp 5353 -> 53: in the NIC((?!not one reply).)*tcp 8080 -> 80: in the NIC.*the NIC has counted requests and not one reply/s,
  )
  await knob(vm, card, 'liar', '')
  await clean()
})

test.each([
  [{ offload: 'require' }, 'max_rules', 3, 101],
  [{ nat: 'nic' }, 'profile', 'steer-only', 101],
  [{ nat: 'nic', offload: 'off' }, 'profile', 'full', 7],
] as const)('%j with %s %s leaves nothing: code %i', async (config, name, value, code) => {
  await knob(vm, card, name, value)
  const [attach, offload] = use(config).plugins
  if (attach === undefined || offload === undefined) throw new Error('no plugins')
  const prevResult = await runtime.add({ ...list, plugins: [attach] }, pod())
  const attached = await snapshot(vm)
  const error = errorOf(await runtime.call('ADD', list, offload, pod(), { prevResult }))
  expect(error.code).toBe(code)
  expect(diffSnapshot(attached, await snapshot(vm))).toEqual([])
  expect(await hardwareRules(vm, card)).toEqual([])
})

interface ShownAttachment {
  readonly plugin: string
  readonly report?: {
    readonly nat: string
    readonly mappings: readonly { readonly mapping: string; readonly where: string }[]
    readonly others: readonly { readonly where: string; readonly line: string }[]
  }
  readonly traffic: { readonly received: { readonly packets: number } }
  readonly rules: readonly {
    readonly counters: {
      readonly hardware: { readonly packets: number }
      readonly software: { readonly packets: number }
    }
  }[]
}

const vfctl = `${pluginPath[0]}/vfctl show`

/** What vfctl shows of ours: hardware has counted all, as the card's own table has. */
async function shownCounters(): Promise<ShownAttachment | undefined> {
  const inCard = await hardwareRules(vm, card)
  const shown = JSON.parse(await vm.must(`${vfctl} --json pod-one net1`)) as ShownAttachment[]
  expect(shown.map(({ plugin }) => plugin).sort()).toEqual(['vf-attach', 'vf-offload'])
  const offload = shown.find(({ plugin }) => plugin === 'vf-offload')
  const counted = (offload?.rules ?? []).map(({ counters }) => counters)
  expect(counted.map(({ software }) => software.packets)).toEqual(inCard.map(() => 0))
  const sorted = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)
  expect(sorted(counted.map(({ hardware }) => hardware.packets))).toEqual(
    sorted(inCard.map(({ packets }) => packets)),
  )
  return offload
}

/** The report beside the record, and what vfctl makes of it. */
async function reported(nat: string): Promise<void> {
  const offload = await shownCounters()
  expect(offload?.traffic.received.packets).toBeGreaterThan(1)
  expect(offload?.report).toMatchObject({
    nat,
    mappings: [
      { mapping: 'udp 5353 -> 53', where: 'nic' },
      { mapping: 'tcp 8080 -> 80', where: 'nic' },
    ],
  })
  const inPod = offload?.report?.others.filter(({ where }) => where === 'pod').map(({ line }) => line)
  expect(inPod?.some((line) => line.includes('dnat ip to'))).toBe(nat === 'pod')
  const text = await vm.must(`${vfctl} pod-o`)
  expect(text).toMatch(/^pod-one net1, network lab-net, by vf-attach\n {2}device .*\n/)
  expect(text).toMatch(/ {2}tcp 8080 -> 80: in the NIC\n {4}tc filter .*\n {6}hardware \d+ packets/)
  expect(await vm.must(`${vfctl} nobody`)).toBe('no attachments\n')
}

/** prevResult for a CHECK. */
async function result() {
  const mac = (await vm.must('ip netns exec pod-one cat /sys/class/net/net1/address')).trim()
  return {
    cniVersion: '1.0.0',
    interfaces: [{ name: 'net1', mac, sandbox: '/run/netns/pod-one' }],
    ips: [
      { address: `${POD.v4}/24`, gateway: ROUTER.v4, interface: 0 },
      { address: `${POD.v6}/64`, gateway: ROUTER.v6, interface: 0 },
    ],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
  }
}
