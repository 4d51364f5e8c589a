// Ports of other kinds, on simulated cards (from source, not hardware): a VF that a program drives, a NIC of its own
// in the pod, a macvlan of the uplink, and SCTP on each path that can carry it.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { attachToBridge, bridgeList, offload, podOf, webAndDns } from '../../../hack/lab/bed/bridge-bed.ts'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  offloadConfig,
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
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
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
import type { ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'
import { type SctpServer, serveSctp } from '../../support/sctp.ts'

const POD = { v4: '10.1.0.5', v6: 'fd00:1::5' } as const
const MAC = '02:00:00:00:00:61'
const families = ['v4', 'v6'] as const
const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]
const ipam = { ...staticIpam(`${POD.v4}/24`, `${POD.v6}/64`), routes }

let vm: Lab
let runtime: Runtime
let card: Card
let second: Card
let net: Topology
let list: ConfigList
const servers: (Server | SctpServer)[] = []

beforeAll(async () => {
  vm = await lab()
  runtime = testRuntime(vm)
  ;[card, second] = (await loadSimnic(vm, { cards: 2 })) as [Card, Card]
  net = await buildTopology(vm, card, 2)
  await setMode(vm, card, 'switchdev')
  await setVfMacs(vm, card)
  // Addresses of their own would come some time after the first look at the host.
  await vm.must(`modprobe uio_pci_generic
    for rep in 0 1; do echo 1 >/proc/sys/net/ipv6/conf/${card.pf}rep$rep/disable_ipv6; done
    ip link set ${card.pf}rep0 up; ip link set ${card.pf}rep1 up
    ip link set ${second.wire} netns wire
    ip -n wire link set ${second.wire} master switch up`)
})
afterAll(async () => {
  await vm.must(
    `ip -n wire link set ${second.wire} nomaster down netns 1; ip link del cni0 2>/dev/null; true`,
  )
  await setMode(vm, card, 'legacy')
  await tearDown(vm, card)
  await unloadSimnic(vm)
})
beforeEach(async () => {
  await newPod(vm, 'pod-one')
})
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop()
  await runtime.del(list, pod())
  await deletePod(vm, 'pod-one')
})

const vf = () => net.vfs[0]?.pci ?? ''
const pod = (portMappings: unknown = webAndDns) =>
  attachment('/run/netns/pod-one', { capabilityArgs: { portMappings } })
const journal = async () =>
  (JSON.parse(await vm.must('cat /var/lib/cni/vf-flower/offload/*.json')) as { journal: Journal }).journal

/** All that port mappings change on the host and in the pod. */
const lookAtState = () => vm.must(stateScript(card.pf, [{ name: 'pod-one' }]))

interface Journal {
  readonly port: string
  readonly nat: string
  readonly rules: readonly { mapping: string; where: string }[]
}

/** Gives VF 0 to a driver; the kernel's own makes an interface of it. */
async function bind(driver: string): Promise<void> {
  await vm.must(
    `cd /sys/bus/pci/devices/${vf()}
    if [ $DRIVER = simnic ]; then echo >driver_override; else echo $DRIVER >driver_override; fi
    [ ! -e driver ] || echo ${vf()} >driver/unbind
    echo ${vf()} >/sys/bus/pci/drivers_probe
    [ "$(basename "$(readlink driver)")" = $DRIVER ]`,
    { env: { DRIVER: driver } },
  )
}

async function startServer(): Promise<void> {
  servers.push(
    await serve(vm, 'pod-one', [
      { name: 'pod', protocol: 'tcp', port: 80 },
      { name: 'pod', protocol: 'udp', port: 53 },
    ]),
  )
}

async function mappedPortsAnswer(): Promise<void> {
  for (const client of [CLIENT_A, CLIENT_B]) {
    const questions = families.flatMap((family) => [
      { protocol: 'tcp', address: HOST[family], port: 8080, bytes: 60_000 } as const,
      { protocol: 'udp', address: HOST[family], port: 5353 } as const,
    ])
    const answers = await ask(vm, client.namespace, questions)
    expect(answers.map(({ peer }) => peer.address)).toEqual(
      families.flatMap((family) => [client[family], client[family]]),
    )
  }
}

test('the card translates for a VF that a program drives, whatever sends and receives by it', async () => {
  await bind('uio_pci_generic')
  const before = await snapshot(vm)
  list = listOf(attachConfig(vf(), { mac: MAC, ipam }), offloadConfig(vf()))
  try {
    const result = await runtime.add({ ...list, plugins: list.plugins.slice(0, 1) }, pod())
    const attached = await lookAtState()
    const add = (config: Record<string, unknown>) =>
      runtime.call('ADD', list, offloadConfig(vf(), config), pod(), { prevResult: result })
    for (const [config, words] of [
      [{ offload: 'off' }, 'offload "off"'],
      [{ nat: 'pod', offload: 'require' }, 'nat "pod"'],
    ] as const)
      expect(errorOf(await add(config))).toMatchObject({ code: 7, msg: expect.stringContaining(words) })
    await knob(vm, card, 'max_rules', 3)
    for (const offloadWish of ['prefer', 'require'])
      expect(errorOf(await add({ offload: offloadWish }))).toMatchObject({
        code: 101,
        msg: expect.stringContaining('driver said'),
      })
    await knob(vm, card, 'max_rules', 0)
    expect(stateDifferences(attached, await lookAtState())).toEqual([])
    expect((await add({ offload: 'require' })).code).toBe(0)
    await silently(runtime.call('DEL', list, offloadConfig(vf()), pod(), { prevResult: result }))
    expect((await add({})).code).toBe(0)
    const { port, nat, rules } = await journal()
    const ofMappings = rules.filter(({ mapping }) => mapping.includes(' -> '))
    expect({ port, nat, where: [...new Set(ofMappings.map(({ where }) => where))] }).toEqual({
      ...{ port: 'userspace', nat: 'nic', where: ['nic'] },
    })
    // The kernel's own driver plays the program: an interface with the VF's MAC and the pod's addresses.
    await bind('simnic')
    await vm.must(`set -e
      until ls /sys/bus/pci/devices/${vf()}/net/* >/dev/null 2>&1; do sleep 0.05; done
      name=$(ls /sys/bus/pci/devices/${vf()}/net)
      ip link set "$name" address ${MAC}
      ip link set "$name" netns pod-one name net1
      ip -n pod-one -b - <<END
        link set net1 up
        address add ${POD.v4}/24 dev net1
        address add ${POD.v6}/64 dev net1 nodad
        route add default via ${ROUTER.v4}
        route add default via ${ROUTER.v6}
END`)
    await linkIsReady(vm, 'pod-one')
    await tellNeighbours(vm, 'pod-one')
    await startServer()
    await mappedPortsAnswer()
    for (const { text, packets } of await hardwareRules(vm, card))
      expect({ text, busy: packets > 1 }).toEqual({ text, busy: !text.endsWith(' ok') })
    for (const server of servers.splice(0)) await server.stop()
    await vm.must('ip -n pod-one link set net1 netns 1')
    await bind('uio_pci_generic')
    await runtime.del(list, pod(), result)
    expect(diffSnapshot(before, await snapshot(vm))).toEqual([])
    // In legacy mode nothing leads to such a VF.
    await setMode(vm, card, 'legacy')
    await runtime.add({ ...list, plugins: list.plugins.slice(0, 1) }, pod())
    for (const config of [{ nat: 'nic' }, { offload: 'off' }])
      expect(errorOf(await add(config))).toMatchObject({
        code: 7,
        msg: expect.stringContaining('legacy mode'),
      })
    await runtime.del(list, pod())
  } finally {
    await bind('simnic')
    await knob(vm, card, 'max_rules', 0)
    await setMode(vm, card, 'switchdev')
    await vm.must(`ip link set ${card.pf}rep0 up; ip link set ${card.pf}rep1 up`)
  }
}, 240_000)

test('a NIC of its own is served by the uplink that the config names, and by none without', async () => {
  list = listOf(attachConfig('', { deviceID: undefined, device: second.pf, ipam }), {
    ...{ type: 'vf-offload', capabilities: { portMappings: true }, uplink: card.pf },
  })
  const [attach, ours] = list.plugins
  if (attach === undefined || ours === undefined) throw new Error('no plugins')
  const result = await runtime.add({ ...list, plugins: [attach] }, pod())
  await linkIsReady(vm, 'pod-one')
  const attached = await lookAtState()
  const add = (config: Record<string, unknown>) =>
    runtime.call('ADD', list, { ...ours, ...config }, pod(), { prevResult: result })
  for (const [config, code, words] of [
    [{ uplink: '' }, 7, 'key "uplink"'],
    [{ uplink: 'nowhere0' }, 7, 'uplink "nowhere0"'],
    [{ offload: 'require' }, 101, 'no card was seen to deliver'],
    [{ nat: 'nic' }, 7, 'switchdev mode'],
  ] as const)
    expect(errorOf(await add(config))).toMatchObject({ code, msg: expect.stringContaining(words) })
  expect(errorOf(await add({ masqAll: true }))).toMatchObject({ code: 2 })
  expect(stateDifferences(attached, await lookAtState())).toEqual([])
  expect((await add({})).code).toBe(0)
  await startServer()
  await mappedPortsAnswer()
  const { port, nat } = await journal()
  expect({ port, nat }).toEqual({ port: 'nic', nat: 'pod' })
  for (const server of servers.splice(0)) await server.stop()
  await silently(runtime.call('DEL', list, ours, pod(), { prevResult: result }))
  expect(stateDifferences(attached, await lookAtState())).toEqual([])
})

test.each(['bridge', 'private'] as const)(
  'a macvlan in mode %s is served by the uplink below it',
  async (mode) => {
    const ours = { type: 'vf-offload', capabilities: { portMappings: true }, uplink: card.pf }
    const main = { type: 'macvlan', master: card.pf, mode, ipam }
    list = listOf(main, ours)
    const result = await runtime.add(listOf(main), pod())
    await linkIsReady(vm, 'pod-one')
    const attached = await lookAtState()
    const call = (command: string, config: Record<string, unknown> = {}) =>
      runtime.call(command, list, { ...ours, ...config }, pod(), { prevResult: result })
    for (const [config, words] of [
      [{ uplink: second.pf }, 'must name the interface below the macvlan'],
      [{ offload: 'require' }, `a macvlan of "${card.pf}", whose frames the kernel takes to the pod`],
      [{ nat: 'nic' }, `a macvlan of "${card.pf}", whose frames the kernel takes to the pod`],
    ] as const)
      expect(errorOf(await call('ADD', config))).toMatchObject({
        code: 7,
        msg: expect.stringContaining(words),
      })
    expect(stateDifferences(attached, await lookAtState())).toEqual([])
    expect((await call('ADD')).code).toBe(0)
    await startServer()
    await mappedPortsAnswer()
    const { port, nat, rules } = await journal()
    expect({ port, nat, where: [...new Set(rules.map(({ where }) => where))] }).toEqual({
      ...{ port: 'macvlan', nat: 'pod', where: ['host'] },
    })
    await silently(call('CHECK'))
    const own = (await vm.must('ip netns exec pod-one cat /sys/class/net/net1/address')).trim()
    await vm.must(`ip -n pod-one link set net1 address ${MAC}`)
    expect(errorOf(await call('CHECK'))).toMatchObject({
      code: 104,
      msg: expect.stringContaining(`has MAC ${MAC}, rules send to ${own}`),
    })
    await vm.must(`ip -n pod-one link set net1 address ${own}`)
    for (const server of servers.splice(0)) await server.stop()
    await silently(call('DEL'))
    expect(stateDifferences(attached, await lookAtState())).toEqual([])
  },
)

test('ADD says and reports for an uplink that is a port of a bond that a failover ends the mappings', async () => {
  list = listOf(attachConfig('', { deviceID: undefined, device: second.pf, ipam }), {
    ...{ type: 'vf-offload', capabilities: { portMappings: true }, uplink: 'slave0' },
  })
  const [attach, ours] = list.plugins
  if (attach === undefined || ours === undefined) throw new Error('no plugins')
  await vm.must(`set -e
    ip link add slave0 type dummy
    ip link add bond7 type bond mode active-backup miimon 100
    ip link set slave0 master bond7
    ip link set bond7 up
    ip address add 192.0.2.77/24 dev bond7`)
  try {
    const result = await runtime.add({ ...list, plugins: [attach] }, pod())
    const ports = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '192.0.2.77' }]
    const { code, stdout, stderr } = await runtime.call('ADD', list, ours, pod(ports), { prevResult: result })
    expect({ code, stdout }).toMatchObject({ code: 0 })
    const words = '"slave0" is a port of "bond7": the mappings are on this port alone'
    expect(stderr).toContain(words)
    const report = await vm.must('cat /var/lib/cni/vf-flower/offload/report/*.json')
    expect((JSON.parse(report) as { notes: string[] }).notes.join()).toContain(words)
    await silently(runtime.call('DEL', list, ours, pod(ports), { prevResult: result }))
  } finally {
    await vm.must('ip link del bond7; ip link del slave0')
  }
})

// Scenario P18 (test/lab/offload/scenarios-simnic.test.ts) has the bytes, and the refusal where the NIC would have to translate.
test('SCTP by a representor with offload "require" is steered in the NIC and translated in the pod', async () => {
  const ports = [{ hostPort: 7000, containerPort: 7001, protocol: 'sctp' }]
  list = listOf(attachConfig(vf(), { ipam }), offloadConfig(vf(), { offload: 'require' }))
  await runtime.add(list, pod(ports))
  const { nat, rules } = await journal()
  expect({ nat, where: rules.map(({ where }) => where) }).toEqual({ nat: 'pod', where: Array(4).fill('nic') })
})

test('SCTP to a pod on a bridge goes by the host’s table, from the wire and from the node', async () => {
  const ports = [{ hostPort: 7000, containerPort: 7001, protocol: 'sctp' }]
  list = listOf()
  const prevResult = await attachToBridge(vm, runtime, 'pod-one')
  await offload(runtime, 'ADD', 'pod-one', { ports, prevResult })
  try {
    const server = await serveSctp(vm, 'pod-one', 4, 7001)
    servers.push(server)
    await server.receives(CLIENT_A.namespace, HOST.v4, 7000, 'from the wire')
    await server.receives(null, HOST.v4, 7000, 'from the node')
    await server.receives('pod-one', HOST.v4, 7000, 'from the pod itself')
  } finally {
    await runtime.del(bridgeList('pod-one'), podOf('pod-one', ports), prevResult)
  }
})
