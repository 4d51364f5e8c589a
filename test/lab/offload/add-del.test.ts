// vf-offload behind vf-attach on VFs of a real driver in legacy mode (igb): port mappings steered by filters on the PF,
// translated in the pod. Bytes must arrive from both clients; nothing may stay behind.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  attachConfig,
  attachment,
  errorOf,
  json,
  listOf,
  offloadConfig,
  silently,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { stateDifferences, stateScript } from '../../../hack/lab/bed/port-state.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import {
  addClusterInterface,
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  isReachable,
  linkIsReady,
  loadIgb,
  newPod,
  ROUTER,
  type Topology,
  tearDown,
} from '../../../hack/lab/bed/topology.ts'
import { type Ask, ask, type Server, serve } from '../../../hack/lab/bed/traffic.ts'
import type { CniResult, ConfigList, PluginConfig, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

/** Each with a VF of its own. The first is attached once for most tests, which call vf-offload alone. */
const ONE = { name: 'pod-one', vf: 0, v4: '10.1.0.5', v6: 'fd00:1::5' } as const
/** The second is attached by the tests that want it in another way. */
const TWO = { name: 'pod-two', vf: 1, v4: '10.1.0.6', v6: 'fd00:1::6' } as const
type Pod = typeof ONE | typeof TWO

const mappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp' },
]

/** The pod's default routes, by the gateways that the addresses name. */
const byVf = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]

let lab: Lab
let runtime: Runtime
let topology: Topology
/** The host before the first pod came. */
let host: Snapshot
/** The result of vf-attach for the first pod, and the state that port mappings change, after. */
let attached: CniResult
let state: string
let server: Server | undefined

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  topology = await buildTopology(lab, await loadIgb(lab), 2)
  await newPod(lab, ONE.name)
  host = await snapshot(lab)
  attached = await runtime.add(listOf(mainOf(ONE)), of(ONE))
  await linkIsReady(lab, ONE.name)
  state = await lookAtState()
})
afterEach(async () => {
  await stopServer()
  await runtime.call('DEL', listFor(ONE), offloadConfig(vf(ONE)), of(ONE))
})
afterAll(async () => {
  await runtime.del(listFor(ONE), of(ONE))
  try {
    // After all that the tests have done.
    expect(diffSnapshot(host, await snapshot(lab))).toEqual([])
  } finally {
    await deletePod(lab, ONE.name)
    if (topology !== undefined) await tearDown(lab, topology)
  }
})

function vf({ vf: index }: Pod): string {
  const found = topology.vfs[index]
  if (found === undefined) throw new Error(`No VF ${index}`)
  return found.pci
}

/** vf-attach for a pod: dual stack, with default routes by the VF. */
function mainOf(pod: Pod, more: Record<string, unknown> = {}): PluginConfig {
  const ipam = { ...staticIpam(`${pod.v4}/24`, `${pod.v6}/64`), routes: byVf }
  return attachConfig(vf(pod), { ipam, ...more })
}
const listFor = (pod: Pod, more: Record<string, unknown> = {}): ConfigList =>
  listOf(mainOf(pod, more), offloadConfig(vf(pod)))

const of = ({ name }: Pod, portMappings: unknown = mappings) =>
  attachment(`/run/netns/${name}`, { containerID: name, capabilityArgs: { portMappings } })

/** All that port mappings change on the host and in the first pod. */
const lookAtState = () => lab.must(stateScript(topology.pf, [ONE]))
const isAsAttached = async () => expect(stateDifferences(state, await lookAtState())).toEqual([])

/** A call of ours for the first pod. */
const call = (command: string, config: Record<string, unknown> = {}, ports: unknown = mappings) =>
  runtime.call(command, listFor(ONE), offloadConfig(vf(ONE), config), of(ONE, ports), {
    prevResult: attached,
  })
async function add(): Promise<void> {
  const { code, stdout, stderr } = await call('ADD')
  if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
}
/** DEL as a runtime calls it that has forgotten everything but the namespace. */
const del = (netns = `/run/netns/${ONE.name}`) =>
  silently(
    runtime.call('DEL', listFor(ONE), offloadConfig(vf(ONE)), {
      ...attachment(netns),
      containerID: ONE.name,
    }),
  )

async function startServer({ name, v4, v6 }: Pod, addresses: readonly string[] = [v4, v6]): Promise<void> {
  server = await serve(lab, name, [
    { name, protocol: 'http', port: 80 },
    { name, protocol: 'tcp', port: 81 },
    // A UDP server on all addresses would answer from the one of its default route, whatever it was asked on.
    ...addresses.map((address) => ({ name, protocol: 'udp', port: 53, address }) as const),
  ])
}
async function stopServer(): Promise<void> {
  await server?.stop()
  server = undefined
}

/** Every way in at once: mapped and direct, TCP and UDP. */
function questions(address: string, direct: string): Ask[] {
  return [
    { protocol: 'http', address, port: 8080, bytes: 50_000 },
    { protocol: 'http', address: direct, port: 80, bytes: 50_000 },
    { protocol: 'udp', address, port: 5353 },
    { protocol: 'udp', address: direct, port: 53 },
  ]
}
const bothFamilies = ({ v4, v6 }: Pod) => [...questions(HOST.v4, v4), ...questions(HOST.v6, v6)]

/** The counters of the filters at the wire's far end. */
async function wirePackets(side: string): Promise<number[]> {
  const filters = await json(lab, `tc -n wire -s -j filter show dev ${topology.wire} ${side}`)
  return filters.flatMap((filter) => {
    const options = filter.options as { actions?: { stats?: { packets: number } }[] } | undefined
    return options?.actions?.map((action) => action.stats?.packets ?? 0) ?? []
  })
}

describe('port mappings on a legacy VF', () => {
  /** Counts frames from these MACs at the wire's far end: ingress is what the host and its VFs sent, egress what they got. */
  async function countFramesOf(macs: readonly string[]): Promise<void> {
    const count = (side: string, mac: string) =>
      `filter add dev ${topology.wire} ${side} protocol all flower src_mac ${mac} action ok`
    await lab.must(`tc -n wire -b - <<END
qdisc add dev ${topology.wire} clsact
${macs.flatMap((mac) => [count('ingress', mac), count('egress', mac)]).join('\n')}
END`)
  }

  test('clients on both sides of the router reach hostIP:hostPort and podIP:containerPort at once; the filters count, no frame with a client MAC leaves the host, and the record says why each rule runs there', async () => {
    const withTcp = [...mappings, { hostPort: 8081, containerPort: 81, protocol: 'tcp' }]
    expect((await call('ADD', {}, withTcp)).code).toBe(0)
    await startServer(ONE)
    const macs = (
      await lab.must(`ip netns exec ${CLIENT_A.namespace} cat /sys/class/net/eth0/address
        ip netns exec ${ROUTER.namespace} cat /sys/class/net/near/address`)
    )
      .trim()
      .split('\n')
    await countFramesOf(macs)
    for (const client of [CLIENT_A, CLIENT_B]) {
      await isReachable(lab, client.namespace, [ONE.v4, ONE.v6])
      const answers = await ask(lab, client.namespace, bothFamilies(ONE))
      // No masquerading: the pod sees the client.
      const sources = [client.v4, client.v6].flatMap((source) => [source, source, source, source])
      expect(answers.map(({ peer }) => peer.address)).toEqual(sources)
    }
    // One client port used for both ways in at the same time.
    const shared = { protocol: 'tcp', sourcePort: 40_000 } as const
    await ask(lab, CLIENT_A.namespace, [
      { ...shared, address: HOST.v4, port: 8081 },
      { ...shared, address: ONE.v4, port: 81 },
    ])
    expect(await wirePackets('egress')).toEqual(macs.map(() => expect.toSatisfy((n: number) => n > 10)))
    expect(await wirePackets('ingress')).toEqual(macs.map(() => 0))
    await lab.must(`tc -n wire qdisc del dev ${topology.wire} clsact`)
    await filtersHaveCounted()
    await recordSaysWhy(6)
    await silently(call('CHECK', {}, withTcp))
    await del()
    await isAsAttached()
  })

  async function filtersHaveCounted(): Promise<void> {
    const filters = await json(lab, `tc -s -j filter show dev ${topology.pf} ingress`)
    const counted = filters.flatMap((filter) => {
      const options = filter.options as
        | { keys?: Record<string, unknown>; actions?: { stats?: { packets: number } }[]; not_in_hw?: boolean }
        | undefined
      if (options?.actions === undefined) return []
      expect(options.not_in_hw).toBe(true)
      return [[options.keys?.dst_port, options.actions.map((action) => action.stats?.packets ?? 0)] as const]
    })
    expect(counted.map(([port]) => port)).toEqual(expect.arrayContaining([8080, 5353]))
    for (const [, packets] of counted.filter(([port]) => port === 8080).slice(0, 1)) {
      expect(Math.min(...packets)).toBeGreaterThan(0)
    }
  }

  async function recordSaysWhy(rules: number): Promise<void> {
    const record = JSON.parse(
      await lab.must("cat '/var/lib/cni/vf-flower/offload/lab-net pod-one@net1.json'"),
    ) as { journal: { notes: string[]; rules: { line: string; where: string; refusal?: string }[] } }
    expect(record.journal.rules).toHaveLength(rules)
    expect(record.journal.notes.join()).toMatch(/in software: the eSwitch of "\w+" is in legacy mode/)
    for (const rule of record.journal.rules) {
      expect(rule.where).toBe('host')
      expect(rule.refusal).toBeUndefined()
      expect(rule.line).toMatch(/^tc filter add dev .* flower .* action mirred egress redirect/)
    }
  }
})

describe('DEL needs next to nothing', () => {
  test('DEL without runtimeConfig, prevResult and namespace takes everything, also in the pod', async () => {
    const inPod = await snapshot(lab, { namespace: ONE.name })
    await add()
    await del('')
    await isAsAttached()
    expect(diffSnapshot(inPod, await snapshot(lab, { namespace: ONE.name }))).toEqual([])
    await del('')
  })

  test('DEL needs no record: the cookies are enough', async () => {
    await add()
    await lab.must('rm /var/lib/cni/vf-flower/offload/*.json')
    await del()
    // The note that the clsact is ours is not part of the record.
    await isAsAttached()
  })

  test("somebody's filters and clsact on the uplink are left alone", async () => {
    await lab.must(`
      tc qdisc add dev ${topology.pf} clsact
      tc filter add dev ${topology.pf} ingress protocol ip prio 3 flower ip_proto icmp dst_ip 192.0.2.1 action ok`)
    try {
      const foreign = await lookAtState()
      await add()
      await startServer(ONE)
      await ask(lab, CLIENT_A.namespace, questions(HOST.v4, ONE.v4))
      await stopServer()
      await del()
      expect(stateDifferences(foreign, await lookAtState())).toEqual([])
    } finally {
      await lab.must(`tc qdisc del dev ${topology.pf} clsact`)
    }
  })
})

describe('refusals leave nothing behind', () => {
  test('wishes that this port cannot have are refused with code and value, and nothing is changed', async () => {
    const wrong: [Record<string, unknown>, unknown, number, string][] = [
      [{ offload: 'require' }, mappings, 101, 'legacy mode, where no filter is offered to the NIC'],
      [{ nat: 'nic' }, mappings, 7, 'legacy mode'],
      [{ conditionsV4: ['!', '-d', '192.0.2.0/24'] }, mappings, 2, 'conditionsV4'],
      [{}, [{ hostPort: 8080, containerPort: 80, hostIP: '192.0.2.9' }], 7, 'hostIP "192.0.2.9"'],
    ]
    for (const [config, ports, code, words] of wrong) {
      const error = errorOf(await call('ADD', config, ports))
      expect(error, words).toMatchObject({ code, msg: expect.stringContaining(words) })
    }
    await isAsAttached()
  })
})

describe('a pod that is attached in another way', () => {
  let list: ConfigList
  const withPorts = (ports: unknown = mappings) => of(TWO, ports)

  beforeEach(() => newPod(lab, TWO.name))
  afterEach(async () => {
    await stopServer()
    await runtime.del(list, withPorts())
    // The kernel ends a dead namespace, and with it the other end of a pair, in its own time: the next test needs the name.
    await lab.must('[ ! -e /sys/class/net/elsewhere ] || ip link del elsewhere')
    await deletePod(lab, TWO.name)
  })

  test('a host port that another pod has is refused with code 100, and its owner is named', async () => {
    await add()
    // A snapshot, since it leaves out the MAC that igb gives VF 1 with the first attachment.
    const owned = await snapshot(lab)
    list = listFor(TWO)
    await expect(runtime.add(list, withPorts())).rejects.toMatchObject({
      plugin: 'vf-offload',
      code: 100,
      msg: expect.stringContaining('"pod-one/net1"'),
    })
    await runtime.del(list, withPorts())
    expect(diffSnapshot(owned, await snapshot(lab))).toEqual([])
  })

  /** Gives the pod a default route by another interface. */
  const otherWay = () =>
    lab.must(`set -e
      ip link add elsewhere type veth peer name eth0 netns ${TWO.name}
      ip link set elsewhere up
      ip -n ${TWO.name} -b - <<END
link set eth0 up
address add 172.16.0.2/24 dev eth0
route add default via 172.16.0.1
END`)

  test('replies for one network stay when another one of the same interface goes', async () => {
    await otherWay()
    list = listFor(TWO, { ipam: staticIpam(`${TWO.v4}/24`) })
    const prevResult = await runtime.add(
      list,
      withPorts([{ hostPort: 9090, containerPort: 80, protocol: 'tcp' }]),
    )
    await linkIsReady(lab, TWO.name)
    const second = { ...list, name: 'second' }
    const plugin = offloadConfig(vf(TWO))
    const { code, stdout } = await runtime.call('ADD', second, plugin, withPorts(), { prevResult })
    expect(code, stdout).toBe(0)
    await startServer(TWO, [TWO.v4])
    await ask(lab, CLIENT_B.namespace, questions(HOST.v4, TWO.v4))
    // The first one's rule led its replies too, if the second had none of its own.
    await silently(runtime.call('DEL', list, plugin, withPorts()))
    await ask(lab, CLIENT_B.namespace, questions(HOST.v4, TWO.v4))
    await silently(runtime.call('DEL', second, plugin, withPorts()))
    expect(await json(lab, `ip -n ${TWO.name} -j rule`)).toHaveLength(3)
  })

  test('replies leave by the VF when the pod has its default route elsewhere', async () => {
    await otherWay()
    list = listFor(TWO, { ipam: staticIpam(`${TWO.v4}/24`) })
    await runtime.add(list, withPorts())
    await linkIsReady(lab, TWO.name)
    await startServer(TWO, [TWO.v4])
    await ask(lab, CLIENT_B.namespace, questions(HOST.v4, TWO.v4))
    await runtime.del(list, withPorts())
    expect(await json(lab, `ip -n ${TWO.name} -j rule`)).toHaveLength(3)
  })

  describe('replies to clients behind a route of their own', () => {
    const far = { v4: '10.2.0.0/24', v6: 'fd00:2::/64' } as const
    const byRouter = [
      { dst: far.v4, gw: ROUTER.v4 },
      { dst: far.v6, gw: ROUTER.v6 },
    ]

    beforeEach(() => addClusterInterface(lab, TWO.name, 1))

    test.each([
      ['leave by it when the default route is elsewhere and the gateway leads nowhere', byRouter, ''],
      [
        'leave by the VF when another interface has a route to them',
        byVf,
        `ip -n ${TWO.name} -b - <<END
route del default dev eth0
route add ${far.v4} via 10.244.1.1
END
         ip -n ${TWO.name} -6 -b - <<END
route del default dev eth0
route add ${far.v6} via fd00:244:1::1
END`,
      ],
    ])('%s', async (_title, routes, before) => {
      await lab.must(`set -e\n${before}`)
      const deadEnds = [
        { address: `${TWO.v4}/24`, gateway: '10.1.0.253' },
        { address: `${TWO.v6}/64`, gateway: 'fd00:1::dead' },
      ]
      const addresses = routes === byRouter ? { addresses: deadEnds } : {}
      list = listFor(TWO, {
        ipam: { ...staticIpam(`${TWO.v4}/24`, `${TWO.v6}/64`), ...addresses, routes },
      })
      const rules = `ip -n ${TWO.name} rule; ip -n ${TWO.name} -6 rule`
      const rulesBefore = await lab.must(rules)
      const result = await runtime.add(list, withPorts())
      await linkIsReady(lab, TWO.name)
      await startServer(TWO)
      for (const client of [CLIENT_A, CLIENT_B]) await ask(lab, client.namespace, bothFamilies(TWO))
      await runtime.check(list, withPorts(), result)
      await runtime.del(list, withPorts(), result)
      expect(await lab.must(rules)).toBe(rulesBefore)
    })
  })

  test('a pod in a VLAN is served on the node address of that VLAN', async () => {
    await lab.must(`set -e
      ip -b - <<END
link add link ${topology.pf} name ${topology.pf}.7 type vlan id 7
link set ${topology.pf}.7 up
address add 10.7.0.1/24 dev ${topology.pf}.7
END
      ip -n client-a -b - <<END
link add link eth0 name eth0.7 type vlan id 7
link set eth0.7 up
address add 10.7.0.10/24 dev eth0.7
END`)
    try {
      const ipam = { type: 'static', addresses: [{ address: '10.7.0.6/24' }] }
      list = listFor(TWO, { vlan: 7, ipam })
      await runtime.add(list, withPorts())
      await linkIsReady(lab, TWO.name)
      await startServer(TWO, ['10.7.0.6'])
      await ask(lab, CLIENT_A.namespace, questions('10.7.0.1', '10.7.0.6'))
      await runtime.del(list, withPorts())
    } finally {
      await lab.must(`ip link del ${topology.pf}.7; ip -n client-a link del eth0.7`)
    }
  })

  test('a VF in a VLAN and a node address outside it are both named', async () => {
    list = listFor(TWO, { vlan: 9, ipam: staticIpam(`${TWO.v4}/24`) })
    const ports = [{ hostPort: 8080, containerPort: 80, hostIP: HOST.v4 }]
    await expect(runtime.add(list, withPorts(ports))).rejects.toMatchObject({
      code: 7,
      msg: expect.stringMatching(new RegExp(`${topology.pf}.* without VLAN.*VLAN 9`)),
    })
  })

  test('DEL leads back from an ADD that was killed after some of its steps, or refused one', {
    timeout: 300_000,
  }, async () => {
    // Without a default route by the VF, so that the pod gets its own rule and table.
    list = listFor(TWO, { ipam: staticIpam(`${TWO.v4}/24`) })
    const ports = withPorts([{ hostPort: 8080, containerPort: 80, hostIP: HOST.v4 }])
    const prevResult = await runtime.add({ ...list, plugins: list.plugins.slice(0, 1) }, of(TWO))
    await linkIsReady(lab, TWO.name)
    const trace = '/tmp/offload-trace'
    const ours = (command: string, env: Record<string, string> = {}) =>
      runtime.call(command, list, offloadConfig(vf(TWO)), ports, { prevResult, env, standalone: true })
    const look = () => lab.must(stateScript(topology.pf, [ONE, TWO]))
    const before = await look()
    const isAsBefore = async (words: string) =>
      expect(stateDifferences(before, await look()), words).toEqual([])
    await lab.must(`rm -f ${trace}`)
    expect((await ours('ADD', { VF_FLOWER_FAULT_TRACE: trace })).code).toBe(0)
    await silently(ours('DEL'))
    const points = (await lab.readFile(trace)).trim().split('\n')
    expect(points.filter((point) => point.startsWith('op:')).length).toBeGreaterThanOrEqual(14)
    // The last and each fourth before: test/lab/offload/faults.test.ts strikes every step, on another card.
    const struck = points.filter((name) => name.endsWith(':after')).toReversed()
    for (const [index, point] of struck.filter((_, at) => at % 4 === 0).entries()) {
      const isKilled = index % 2 === 0
      const fault = isKilled ? `${point}:SIGKILL` : `${point.replace(':after', ':before')}:ENOSPC`
      const ended = await ours('ADD', { VF_FLOWER_FAULT: fault })
      expect(ended.code, fault).not.toBe(0)
      if (isKilled) await silently(ours('DEL'))
      await isAsBefore(fault)
    }
  })
})
