// vf-offload on a card that rewrites no frame (simnic, profile ice, from source, not hardware): redirects alone carry mapped and direct
// traffic, all of it in the card; the rest is in software with the driver's words; nothing stays behind.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
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
  tellNeighbours,
} from '../../../hack/lab/bed/topology.ts'
import { ask, type Server, serve } from '../../../hack/lab/bed/traffic.ts'
import type { CallExtra, CniResult, ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'
import { expectInHardware } from '../../support/transfer.ts'

const POD = { v4: '10.1.0.5', v6: 'fd00:1::5' } as const
const tcp = { hostPort: 8080, containerPort: 80, protocol: 'tcp' } as const
const udp = { hostPort: 5353, containerPort: 53, protocol: 'udp' } as const
const SERVED = [
  { name: 'pod', protocol: 'digest', port: 80 },
  { name: 'pod', protocol: 'udp', port: 53 },
] as const
const families = ['v4', 'v6'] as const
const timeoutMs = 60_000

let vm: Lab
let runtime: Runtime
let card: Card
let net: Topology
let list: ConfigList
let attached: CniResult
/** The node and the pod without mapped ports. */
let state: string
let server: Server

/** A card of this driver with a VF in a pod. */
async function start(driverName: string): Promise<void> {
  vm = await lab()
  runtime = testRuntime(vm)
  ;[card] = (await loadSimnic(vm, { driverName })) as [Card]
  net = await buildTopology(vm, card, 1)
  await setMode(vm, card, 'switchdev')
  await setVfMacs(vm, card)
  // Such a card changes its mode only while it has no VF.
  await knob(vm, card, 'profile', 'ice')
  await vm.must(`ethtool -K ${card.pf} hw-tc-offload on
    ip link set ${card.pf}rep0 up; ethtool -K ${card.pf}rep0 hw-tc-offload on`)
  await newPod(vm, 'pod-one')
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]
  const main = attachConfig(vf(), { ipam: { ...staticIpam(`${POD.v4}/24`, `${POD.v6}/64`), routes } })
  list = listOf(main, offloadConfig(vf()))
  attached = await runtime.add(listOf(main), attachment('/run/netns/pod-one'))
  await linkIsReady(vm, 'pod-one')
  await tellNeighbours(vm, 'pod-one')
  server = await serve(vm, 'pod-one', SERVED)
  state = await lookAtState()
}

async function end(): Promise<void> {
  await server?.stop()
  await runtime.del(list, attachment('/run/netns/pod-one'))
  await deletePod(vm, 'pod-one')
  await knob(vm, card, 'profile', 'full')
  await setMode(vm, card, 'legacy')
  await tearDown(vm, card)
  await unloadSimnic(vm)
}

const vf = () => net.vfs[0]?.pci ?? ''
const lookAtState = () => vm.must(stateScript(card.pf, [{ name: 'pod-one' }]))
const inPod = (command: string) => vm.must(`ip netns exec pod-one ${command}`)

interface Wish {
  readonly mappings?: readonly object[]
  readonly config?: Record<string, unknown>
  readonly env?: CallExtra['env']
}

function call(command: string, { mappings = [tcp], config = {}, env = {} }: Wish = {}) {
  const pod = attachment('/run/netns/pod-one', { capabilityArgs: { portMappings: mappings } })
  return runtime.call(command, list, offloadConfig(vf(), config), pod, {
    prevResult: attached,
    env,
    standalone: true,
  })
}

/** ADD, and what it said on stderr. */
async function add(wish?: Wish): Promise<string> {
  const { code, stdout, stderr } = await call('ADD', wish)
  if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
  return stderr
}

async function clean(): Promise<void> {
  await silently(call('DEL'))
  await isAsBefore()
}

async function isAsBefore(): Promise<void> {
  expect(stateDifferences(state, await lookAtState())).toEqual([])
  expect(await hardwareRules(vm, card)).toEqual([])
}

/** Rules of the record: `tcp 8080 -> 80 nic`, and how many of each. */
async function account(): Promise<Record<string, number>> {
  const record = JSON.parse(await vm.must('cat /var/lib/cni/vf-flower/offload/*.json')) as {
    journal: { rules: { mapping: string; where: string }[] }
  }
  const counts: Record<string, number> = {}
  for (const { mapping, where } of record.journal.rules) {
    const name = `${mapping} ${where}`
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

/** Both families from these clients, whose own addresses the pod sees. */
async function answers(
  protocol: 'digest' | 'udp',
  port: number,
  bytes: number,
  clients = [CLIENT_A, CLIENT_B],
) {
  for (const client of clients) {
    const found = await ask(
      vm,
      client.namespace,
      families.map((family) => ({ protocol, address: HOST[family], port, bytes, timeoutMs })),
    )
    expect(found.map(({ peer }) => peer.address)).toEqual([client.v4, client.v6])
  }
}

/** 400 kB by TCP, both families and clients: the card counts each frame at the pod, and the host's stack sees none. */
const mappedIsInHardware = () =>
  expectInHardware({
    ...{ lab: vm, card, pod: 'pod-one', inPod: { tcp: 8080, udp: 5353 }, ports: 'port 8080 or port 80' },
    bytes: 400_000,
    send: () => answers('digest', 8080, 100_000),
  })

const software = 'udp 5353 -> 53 host'

describe('driver ice', () => {
  beforeAll(() => start('ice'), 600_000)
  afterEach(async () => {
    await call('DEL')
  })
  afterAll(end)

  test('offload require: TCP by redirects alone, each frame in the card both ways; the report says what differs', async () => {
    const config = { offload: 'require' }
    const said = await add({ config })
    expect(said).toMatch(/answers leave with the MAC of the VF.* table "netdev vf-flower-\w+"/)
    expect(said).not.toContain('not by rewriting')
    expect(await account()).toEqual({ 'tcp 8080 -> 80 nic': 4 })
    await mappedIsInHardware()
    const rules = await hardwareRules(vm, card)
    expect(rules.map(({ text }) => text).join()).not.toMatch(/set |vlan/)
    for (const { text, packets } of rules) expect({ text, busy: packets > 1 }).toEqual({ text, busy: true })
    await silently(call('CHECK', { config }))
    const text = await vm.must(`${pluginPath[0]}/vfctl show pod-one net1`)
    expect(text).toMatch(
      /tcp 8080 -> 80: in the NIC by redirect alone\n {4}tc filter .*\n {6}hardware \d+ packets/,
    )
    expect(await vm.must(`${pluginPath[0]}/vfctl show --json pod-one net1`)).toContain(
      'meta pkttype set host',
    )
    await clean()
  }, 900_000)

  test('UDP is in software with the reason, TCP beside it in the card, and both answer', async () => {
    const said = await add({ mappings: [tcp, udp] })
    expect(await account()).toMatchObject({ 'tcp 8080 -> 80 nic': 4, [software]: 4 })
    expect(said).toMatch(/in software, the NIC did not take it \(".*"\): tc filter .* ip_proto udp/)
    await answers('udp', 5353, 100)
    await answers('digest', 8080, 60_000)
    await silently(call('CHECK', { mappings: [tcp, udp] }))
    await clean()
    const error = errorOf(await call('ADD', { mappings: [tcp, udp], config: { offload: 'require' } }))
    expect(error).toMatchObject({ code: 101, msg: expect.stringContaining('udp 5353 -> 53 in the NIC') })
    await isAsBefore()
  })

  test('direct traffic with hosts behind the router is in the card too, with neighbours it is not', async () => {
    const config = { directSubnets: ['10.1.0.0/24', '10.2.0.0/24', 'fd00:2::/64'] }
    const said = await add({ config })
    expect(said).toContain('not with nat "nic": driver "ice"')
    expect(said).toContain("direct traffic with 10.1.0.0/24 stays in the host's stack")
    expect(await account()).toEqual({ 'tcp 8080 -> 80 nic': 4, 'direct traffic of tcp 80 nic': 4 })
    const mac = (await inPod('cat /sys/class/net/net1/address')).trim()
    await vm.must(`ip -n ${ROUTER.namespace} -b - <<END
neigh replace ${POD.v4} lladdr ${mac} dev near
neigh replace ${POD.v6} lladdr ${mac} dev near
END`)
    await expectInHardware({
      ...{ lab: vm, card, pod: 'pod-one', inPod: { tcp: 80, udp: 53 }, ports: 'port 80' },
      bytes: 200_000,
      send: async () => {
        const question = { protocol: 'digest', port: 80, bytes: 100_000, timeoutMs } as const
        const found = await ask(
          vm,
          CLIENT_B.namespace,
          families.map((family) => ({ ...question, address: POD[family] })),
        )
        expect(found.map(({ peer }) => peer.address)).toEqual([CLIENT_B.v4, CLIENT_B.v6])
      },
    })
    await answers('digest', 8080, 60_000, [CLIENT_B])
    await vm.must(`ip -n ${ROUTER.namespace} neigh flush dev near`)
    await tellNeighbours(vm, 'pod-one')
    await clean()
  }, 900_000)

  test('a mapping on an address in a VLAN is in software, with the reason and the driver’s words', async () => {
    await vm.must(
      `ip link add link ${card.pf} name vlan5 up type vlan id 5; ip address add 10.5.0.1/24 dev vlan5`,
    )
    try {
      const said = await add({ mappings: [{ ...tcp, hostIP: '10.5.0.1' }] })
      expect(said).toContain('not by redirect alone: frames in VLAN 5 need a change of their tag')
      expect(said).toContain('Unsupported action in switchdev mode')
      expect(await account()).toEqual({ 'tcp 8080 -> 80 host': 2 })
      expect(await inPod('nft list tables')).not.toContain('netdev')
      await silently(call('DEL'))
    } finally {
      await vm.must('ip link delete vlan5')
    }
    await isAsBefore()
  })

  test('CHECK says that the pod’s tables are flushed and what to do, and DEL takes the rest', async () => {
    await add()
    await inPod('nft flush ruleset')
    const { code, msg } = errorOf(await call('CHECK'))
    expect(code).toBe(104)
    expect(msg).toMatch(/pod:nft add table inet \S+", found "no such table"/)
    expect(msg).toMatch(
      /pod:nft add table netdev \S+", found "no such table" \(whoever flushes the nftables of the pod removes it.*make the pod anew/,
    )
    await clean()
  })

  test('a chain that somebody changed is named by CHECK', async () => {
    await add()
    await inPod("sh -c 'nft flush chain $(nft list tables netdev | cut -c7-) ingress'")
    expect(errorOf(await call('CHECK')).msg).toMatch(
      /table netdev .* chain ingress: meta pkttype other .*nothing like it/,
    )
    await clean()
  })

  test('a pod that refuses the table has its ports in software with that reason; require is code 101', async () => {
    const { table } = await tableOfPod()
    const taken = `table netdev ${table} { chain ingress { type filter hook egress device "lo" priority 0; }; }`
    await inPod(`nft '${taken}'`)
    const said = await add()
    expect(said).toMatch(/not by redirect alone: the pod does not take the frames in: .*nft -f/)
    expect(await account()).toEqual({ 'tcp 8080 -> 80 host': 4 })
    await answers('digest', 8080, 60_000)
    await silently(call('CHECK'))
    await silently(call('DEL'))
    const error = errorOf(await call('ADD', { config: { offload: 'require' } }))
    expect(error).toMatchObject({ code: 101, msg: expect.stringContaining('nft -f') })
    await inPod('nft flush ruleset')
    await isAsBefore()
  })

  test.each(['EIO', 'SIGKILL'])(
    'an ADD that ends with %s behind the table leaves nothing, after a DEL at the latest',
    async (what) => {
      const { step } = await tableOfPod()
      const ended = await call('ADD', { env: { VF_FLOWER_FAULT: `op:${step}:after:${what}` } })
      expect(ended.code).not.toBe(0)
      if (what === 'SIGKILL') expect(await inPod('nft list tables')).toContain('netdev')
      else await isAsBefore()
      await clean()
    },
  )

  test('a limit of what comes to the pod is there, and its mapped ports are in software, since an ifb passes by the table', async () => {
    const config = { ingressRate: 50_000_000, ingressBurst: 800_000 }
    const said = await add({ config })
    expect(said).toMatch(/limited by ifb \(pod\); not by police: driver "ice" refuses every policer/)
    expect(said).toContain('not by redirect alone: the limit of what comes to the pod is in the pod')
    expect(await account()).toEqual({ 'tcp 8080 -> 80 host': 4 })
    await answers('digest', 8080, 60_000, [CLIENT_A])
    await silently(call('CHECK', { config }))
    await clean()
  })
})

test('a driver of which nothing is known is asked for redirects after it refused to rewrite', async () => {
  await start('newcard')
  try {
    const config = { offload: 'require' }
    expect(await add({ config })).toMatch(
      /not by rewriting MAC addresses: Cannot map tcp 8080 -> 80 in the NIC: the driver said ".*Unsupported action/,
    )
    expect(await account()).toEqual({ 'tcp 8080 -> 80 nic': 4 })
    await mappedIsInHardware()
    await clean()
    await add({ mappings: [tcp, udp] })
    expect(await account()).toMatchObject({ 'tcp 8080 -> 80 nic': 4, [software]: 4 })
    await answers('udp', 5353, 100, [CLIENT_B])
    await clean()
    await add({ mappings: [udp] })
    expect(await inPod('nft list tables')).not.toContain('netdev')
    await answers('udp', 5353, 100, [CLIENT_B])
    await clean()
  } finally {
    await call('DEL')
    await end()
  }
}, 900_000)

/** The pod's table, and the number of the step that loads it, by a trial. */
async function tableOfPod(): Promise<{ table: string; step: number }> {
  await add()
  const record = JSON.parse(await vm.must('cat /var/lib/cni/vf-flower/offload/*.json')) as {
    journal: { ops: { do: string; family?: string; table?: string }[] }
  }
  await silently(call('DEL'))
  const { ops } = record.journal
  const at = ops.findIndex(({ family }) => family === 'netdev')
  return { table: ops[at]?.table ?? '', step: at + 1 }
}
