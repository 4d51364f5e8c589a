// vf-offload behind vf-attach on a VF of a card in switchdev mode (simnic, from source, not hardware): where each rule
// runs, that bytes arrive from both clients, and that nothing stays behind.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
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
import {
  type Card,
  hardwareRules,
  knob,
  loadSimnic,
  setMode,
  setVfMacs,
  unloadSimnic,
} from '../../../hack/lab/bed/simnic.ts'
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
import { expectInHardware } from '../../support/transfer.ts'

const POD = { v4: '10.1.0.5', v6: 'fd00:1::5' } as const
const portMappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp' },
]
const SERVED = [
  { name: 'pod', protocol: 'digest', port: 80 },
  { name: 'pod', protocol: 'tcp', port: 81 },
  { name: 'pod', protocol: 'udp', port: 53 },
  { name: 'pod', protocol: 'udp', port: 54, padding: 20_000 },
] as const
/** Mapped ports and those of the pod, as tcpdump takes them. */
const OURS = 'port 8080 or port 5353 or port 80 or port 53'

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
let wished: readonly object[] = portMappings

beforeAll(async () => {
  vm = await lab()
  runtime = testRuntime(vm)
  ;[card] = (await loadSimnic(vm)) as [Card]
  net = await buildTopology(vm, card, 2)
  await setMode(vm, card, 'switchdev')
  await setVfMacs(vm, card)
  await vm.must(`ip link set ${card.pf}rep0 up; ip link set ${card.pf}rep1 up`)
  await newPod(vm, 'pod-one')
  host = await snapshot(vm)
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]
  const main = attachConfig(vf(), { ipam: { ...staticIpam(`${POD.v4}/24`, `${POD.v6}/64`), routes } })
  list = listOf(main, offloadConfig(vf()))
  attached = await runtime.add(listOf(main), pod())
  await linkIsReady(vm, 'pod-one')
  await tellNeighbours(vm, 'pod-one')
  server = await serve(vm, 'pod-one', SERVED)
  state = await lookAtState()
})
beforeEach(({ onTestFailed }) =>
  onTestFailed(async () => {
    await call('DEL')
  }),
)
afterEach(async () => {
  wished = portMappings
  await vm.must(`cd ${card.debugfs} && echo full >profile && echo 0 >max_rules && echo '' >liar`)
})
afterAll(async () => {
  await server?.stop()
  await runtime.del(list, pod())
  try {
    // After all that the tests have done.
    expect(diffSnapshot(host, await snapshot(vm))).toEqual([])
  } finally {
    await deletePod(vm, 'pod-one')
    await setMode(vm, card, 'legacy')
    await tearDown(vm, card)
    await unloadSimnic(vm)
  }
})

const vf = () => net.vfs[0]?.pci ?? ''
const pod = () => attachment('/run/netns/pod-one', { capabilityArgs: { portMappings: wished } })

/** All that port mappings change on the host and in the pod. */
const lookAtState = () => vm.must(stateScript(card.pf, [{ name: 'pod-one' }]))

/** A call of ours. */
const call = (command: string, config: Record<string, unknown> = {}) =>
  runtime.call(command, list, offloadConfig(vf(), config), pod(), { prevResult: attached })

async function add(config: Record<string, unknown>): Promise<void> {
  const { code, stdout, stderr } = await call('ADD', config)
  if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
}

/** Both clients, or some, both families, both protocols; the pod sees the clients' own addresses. */
async function mappedPortsAnswer(bytes = 60_000, clients = [CLIENT_A, CLIENT_B]): Promise<void> {
  for (const client of clients) {
    const families = ['v4', 'v6'] as const
    const answers = await ask(
      vm,
      client.namespace,
      families.flatMap((family) => [
        { protocol: 'digest', address: HOST[family], port: 8080, bytes, timeoutMs: 600_000 } as const,
        { protocol: 'udp', address: HOST[family], port: 5353 } as const,
      ]),
    )
    expect(answers.map(({ peer }) => peer.address)).toEqual(
      families.flatMap((family) => [client[family], client[family]]),
    )
  }
}

async function clean(): Promise<void> {
  await silently(call('DEL'))
  expect(stateDifferences(state, await lookAtState())).toEqual([])
}

/** The places where rules of mappings run by the record, and the number of rules. */
async function account(): Promise<{ nat: string; nic: number; host: number; refusals: string[] }> {
  const record = JSON.parse(await vm.must('cat /var/lib/cni/vf-flower/offload/*.json')) as {
    journal: { nat: string; rules: { mapping: string; where: string; refusal?: string }[] }
  }
  const { nat, rules: all } = record.journal
  const rules = all.filter(({ mapping }) => mapping.includes(' -> '))
  const on = (where: string) => rules.filter((rule) => rule.where === where).length
  const refusals = [...new Set(rules.flatMap(({ refusal }) => refusal ?? []))]
  return { nat, nic: on('nic'), host: on('host'), refusals }
}

test.each([
  ['pod', { offload: 'require' }, { tcp: 8080, udp: 5353 }],
  ['nic', { nat: 'nic' }, { tcp: 80, udp: 53 }],
] as const)(
  'nat %s: all rules run in the card, 4 MB arrive whole, the card counts every frame and the host sees none',
  async (nat, config, inPod) => {
    await add(config)
    expect(await account()).toEqual({ nat, nic: 8, host: 0, refusals: [] })
    // From the pod's own subnet and from behind the router, over both families.
    const send = () => mappedPortsAnswer(1_000_000)
    await expectInHardware({ lab: vm, card, pod: 'pod-one', inPod, ports: OURS, bytes: 4_000_000, send })
    // Others let pass what is for the node and for the card.
    const rules = (await hardwareRules(vm, card)).filter(({ text }) => !text.endsWith(' ok'))
    expect(rules).toHaveLength(8)
    for (const { text, packets } of rules) expect({ text, busy: packets > 1 }).toEqual({ text, busy: true })
    await reported(nat)
    await silently(call('CHECK', config))
    await clean()
  },
  900_000,
)

test('offload prefer on a card that refuses has the same mappings in software, with the driver’s words', async () => {
  await knob(vm, card, 'max_rules', 3)
  await add({})
  const { nat, nic, host, refusals } = await account()
  // One mapping has four rules, both families in both directions: it is in the card whole or not at all.
  expect({ nat, nic, host }).toEqual({ nat: 'pod', nic: 0, host: 8 })
  expect(refusals).toEqual([expect.stringContaining('ENOSPC')])
  await mappedPortsAnswer()
  await clean()
})

test('a table that is full halfway has one mapping in the card and the other in software, and both answer', async () => {
  await knob(vm, card, 'max_rules', 5)
  await add({})
  expect(await account()).toMatchObject({ nic: 4, host: 4 })
  await mappedPortsAnswer(60_000, [CLIENT_B])
  await clean()
})

test('of 60 mappings in a table with room for half those are in the card, the others in software, and all answer', async () => {
  wished = Array.from({ length: 60 }, (_, at) => {
    return { hostPort: 20_000 + at, containerPort: 81, protocol: 'tcp', hostIP: HOST.v4 }
  })
  await knob(vm, card, 'max_rules', 60)
  await add({ nat: 'pod' })
  expect(await account()).toMatchObject({ nic: 60, host: 60 })
  expect(await hardwareRules(vm, card)).toHaveLength(60)
  const ports = [20_000, 20_029, 20_030, 20_059]
  const questions = ports.map((port) => ({ protocol: 'tcp', address: HOST.v4, port, bytes: 1_000 }) as const)
  for (const client of [CLIENT_A, CLIENT_B]) {
    const answers = await ask(vm, client.namespace, questions)
    expect(answers.map(({ peer }) => peer.address)).toEqual(ports.map(() => client.v4))
  }
  await silently(call('CHECK', { nat: 'pod' }))
  await clean()
}, 400_000)

test('prefer and require steer in a card of profile sfc and the pod translates; auto says why not the NIC', async () => {
  await knob(vm, card, 'profile', 'sfc')
  const config = { offload: 'require', directSubnets: ['10.9.0.0/24'] }
  const why = async () => {
    const record = await vm.must('cat /var/lib/cni/vf-flower/offload/*.json')
    return /not with nat \\"nic\\": .*/.exec(record)?.[0]
  }
  wished = portMappings.slice(0, 1)
  await add(config)
  expect(await account()).toMatchObject({ nat: 'pod', nic: 4, host: 0 })
  expect(await why()).toContain('Cannot map')
  await clean()
  wished = portMappings
  await add(config)
  expect(await account()).toMatchObject({ nat: 'pod', nic: 8, host: 0 })
  expect(await why()).toContain('in fragments')
  await mappedPortsAnswer()
  await clean()
})

test('an answer in fragments leaves by the uplink, whatever the representor is attached to', async () => {
  wished = [{ hostPort: 5400, containerPort: 54, protocol: 'udp' }]
  for (const config of [{}, { offload: 'off' }]) {
    await add(config)
    for (const client of [CLIENT_A, CLIENT_B]) {
      const questions = (['v4', 'v6'] as const).map(
        (family) =>
          ({ protocol: 'udp', address: HOST[family], port: 5400, bytes: 100, padding: 20_000 }) as const,
      )
      const answers = await ask(vm, client.namespace, questions)
      expect(answers.map(({ peer }) => peer.address)).toEqual([client.v4, client.v6])
    }
    await clean()
  }
})

test('offload off leaves all filters in software', async () => {
  await add({ offload: 'off' })
  expect(await account()).toEqual({ nat: 'pod', nic: 0, host: 8, refusals: [] })
  await mappedPortsAnswer(60_000, [CLIENT_A])
  await clean()
})

test('direct networks reach the pod’s own ports beside the mapped ones, in the card', async () => {
  const directSubnets = ['10.1.0.0/24', 'fd00:1::/64']
  wished = portMappings.slice(0, 1)
  await add({ directSubnets })
  expect(await account()).toMatchObject({ nat: 'nic', host: 0 })
  await clean()
  wished = portMappings
  await add({ nat: 'nic', directSubnets })
  expect(await account()).toMatchObject({ nat: 'nic', host: 0 })
  const vfMac = (await vm.must('ip netns exec pod-one cat /sys/class/net/net1/address')).trim()
  await vm.must(`ip -n client-a -b - <<END
neigh replace ${POD.v4} lladdr ${vfMac} dev eth0
neigh replace ${POD.v6} lladdr ${vfMac} dev eth0
END`)
  const families = ['v4', 'v6'] as const
  const direct = await ask(
    vm,
    CLIENT_A.namespace,
    families.flatMap((family) => [
      { protocol: 'digest', address: POD[family], port: 80, bytes: 60_000 } as const,
      { protocol: 'udp', address: POD[family], port: 53 } as const,
    ]),
  )
  expect(direct.map(({ server: name }) => name)).toEqual(['pod', 'pod', 'pod', 'pod'])
  await ask(
    vm,
    CLIENT_B.namespace,
    families.map((family) => ({ protocol: 'digest', address: HOST[family], port: 8080, bytes: 60_000 })),
  )
  await vm.must('ip -n client-a neigh flush dev eth0')
  await clean()
})

test('vfctl show tells after traffic, by counters, that a card takes filters and ignores a part of them', async () => {
  await knob(vm, card, 'liar', 'csum')
  await add({ nat: 'nic' })
  expect(await account()).toMatchObject({ nic: 8, host: 0 })
  // Two clients: each asks again after a second.
  const question = { protocol: 'digest', address: HOST.v4, port: 8080, timeoutMs: 2_500 } as const
  const answers = await tryAsk(vm, CLIENT_A.namespace, [question, question])
  expect(answers).toMatchObject([{ ok: false }, { ok: false }])
  const shown = await vm.must(`${pluginPath[0]}/vfctl show pod-one net1`)
  expect(shown).toMatch(
    /udp 5353 -> 53: in the NIC((?!not one reply).)*tcp 8080 -> 80: in the NIC.*the NIC has counted requests and not one reply/s,
  )
  await knob(vm, card, 'liar', '')
  await clean()
})

test.each([
  [{ offload: 'require' }, 'max_rules', 3, 101],
  [{ nat: 'nic' }, 'profile', 'sfc', 101],
  [{ nat: 'nic', offload: 'off' }, 'profile', 'full', 7],
] as const)('%j with %s %s leaves nothing: code %i', async (config, name, value, code) => {
  await knob(vm, card, name, value)
  const error = errorOf(await call('ADD', config))
  expect(error.code).toBe(code)
  expect(stateDifferences(state, await lookAtState())).toEqual([])
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
    readonly where: string
    readonly counters: {
      readonly hardware: { readonly packets: number }
      readonly software: { readonly packets: number }
    }
  }[]
}

const vfctl = `${pluginPath[0]}/vfctl show`

/** The counters in vfctl: hardware has counted all, as the card's own table has. */
async function shownCounters(): Promise<ShownAttachment | undefined> {
  const inCard = await hardwareRules(vm, card)
  const shown = JSON.parse(await vm.must(`${vfctl} --json pod-one net1`)) as ShownAttachment[]
  expect(shown.map(({ plugin }) => plugin).sort()).toEqual(['vf-attach', 'vf-offload'])
  const offload = shown.find(({ plugin }) => plugin === 'vf-offload')
  const counted = (offload?.rules ?? [])
    .filter(({ where }) => where === 'nic')
    .map(({ counters }) => counters)
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
  expect(await vm.must(`${vfctl} nobody`)).toBe('no attachments of "nobody"\n')
}
