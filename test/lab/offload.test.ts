// vf-offload behind vf-attach on VFs of a real driver in legacy mode (igb): port mappings steered by filters on the PF,
// translated in the pod. Bytes must arrive from both clients; nothing may stay behind.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CniResult, ConfigList, Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { lab as sharedLab } from '../support/lab.ts'
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
} from '../support/plugins.ts'
import { Baseline, diffSnapshot, snapshot } from '../support/snapshot.ts'
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
} from '../support/topology.ts'
import { type Ask, ask, type Server, serve } from '../support/traffic.ts'

const POD4 = '10.1.0.5'
const POD6 = 'fd00:1::5'
const mappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp' },
]

/** The pod's default routes, by the gateways that the addresses name. */
const byVf = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]

let lab: Lab
let runtime: Runtime
let topology: Topology
const host = new Baseline()
let pod: string
let list: ConfigList
let server: Server | undefined

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  topology = await buildTopology(lab, await loadIgb(lab), 2)
})

afterAll(async () => {
  if (topology !== undefined) await tearDown(lab, topology)
})

beforeEach(async () => {
  pod = await newPod(lab, 'pod-one')
  list = listOf(
    attachConfig(vf(), { ipam: { ...staticIpam(`${POD4}/24`, `${POD6}/64`), routes: byVf } }),
    offloadConfig(vf()),
  )
  await host.begin(lab)
})

afterEach(async ({ task }) => {
  host.end(task.result?.state)
  await server?.stop()
  server = undefined
  await runtime.del(list, attachment(pod))
  await deletePod(lab, 'pod-one')
})

function vf(index = 0): string {
  const found = topology.vfs[index]
  if (found === undefined) throw new Error(`No VF ${index}`)
  return found.pci
}

function withPorts(portMappings: unknown = mappings) {
  return attachment(pod, { capabilityArgs: { portMappings } })
}

async function startServer(): Promise<void> {
  await linkIsReady(lab, 'pod-one')
  server = await serve(lab, 'pod-one', [
    { name: 'pod', protocol: 'http', port: 80 },
    { name: 'pod', protocol: 'udp', port: 53 },
  ])
}

/** Every way in at once: mapped and direct, TCP and UDP. */
function questions(host: string, direct: string): Ask[] {
  return [
    { protocol: 'http', address: host, port: 8080, bytes: 50_000 },
    { protocol: 'http', address: direct, port: 80, bytes: 50_000 },
    { protocol: 'udp', address: host, port: 5353 },
    { protocol: 'udp', address: direct, port: 53 },
  ]
}

async function offloadOnce(
  command: string,
  config: Record<string, unknown>,
  prevResult?: CniResult,
  ports = mappings,
) {
  const plugin = offloadConfig(vf(), config)
  return runtime.call(command, list, plugin, withPorts(ports), { prevResult })
}

/** What the filters at the wire's far end have counted. */
async function wirePackets(side: string): Promise<number[]> {
  const filters = await json(lab, `tc -n wire -s -j filter show dev ${topology.wire} ${side}`)
  return filters.flatMap((filter) => {
    const options = filter.options as { actions?: { stats?: { packets: number } }[] } | undefined
    return options?.actions?.map((action) => action.stats?.packets ?? 0) ?? []
  })
}

/** vf-attach alone, for the tests that call vf-offload themselves. */
async function attachOnly(): Promise<CniResult> {
  const [first] = list.plugins
  if (first === undefined) throw new Error('no plugin')
  return runtime.add({ ...list, plugins: [first] }, attachment(pod))
}

describe('port mappings on a legacy VF', () => {
  test('clients on both sides of the router reach hostIP:hostPort and podIP:containerPort at once', async () => {
    const result = await runtime.add(list, withPorts())
    await startServer()
    for (const client of [CLIENT_A, CLIENT_B]) {
      await isReachable(lab, client.namespace, [POD4, POD6])
      for (const [host, direct, source] of [
        [HOST.v4, POD4, client.v4],
        [HOST.v6, POD6, client.v6],
      ] as const) {
        const answers = await ask(lab, client.namespace, questions(host, direct))
        // No masquerading: the pod sees the client.
        expect(answers.map(({ peer }) => peer.address)).toEqual(answers.map(() => source))
      }
    }
    // One client port used for both ways in at the same time.
    const shared = { protocol: 'tcp', sourcePort: 40_000 } as const
    await server?.stop()
    server = await serve(lab, 'pod-one', [{ name: 'pod', protocol: 'tcp', port: 80 }])
    await ask(lab, CLIENT_A.namespace, [
      { ...shared, address: HOST.v4, port: 8080 },
      { ...shared, address: POD4, port: 80 },
    ])
    await runtime.check(list, withPorts(), result)
    await runtime.del(list, withPorts(), result)
    expect(await host.changes(lab)).toEqual([])
  })

  test('no frame with a client MAC leaves the host, and the filters have counted what came', async () => {
    await runtime.add(list, withPorts())
    await startServer()
    const macs = await Promise.all(
      [
        [CLIENT_A.namespace, 'eth0'],
        ['router', 'near'],
      ].map(async ([namespace, device]) => {
        const [link] = await json(lab, `ip -n ${namespace} -j link show dev ${device}`)
        return String(link?.address)
      }),
    )
    // At the wire's far end, ingress is what the host and its VFs sent, egress what they got.
    const count = (side: string, mac: string) =>
      `tc -n wire filter add dev ${topology.wire} ${side} protocol all flower src_mac ${mac} action ok`
    await lab.must(`
      tc -n wire qdisc add dev ${topology.wire} clsact
      ${macs.flatMap((mac) => [count('ingress', mac), count('egress', mac)]).join('\n')}`)
    for (const client of [CLIENT_A, CLIENT_B]) {
      await ask(lab, client.namespace, questions(HOST.v4, POD4))
    }
    expect(await wirePackets('egress')).toEqual(macs.map(() => expect.toSatisfy((n: number) => n > 10)))
    expect(await wirePackets('ingress')).toEqual(macs.map(() => 0))
    await lab.must(`tc -n wire qdisc del dev ${topology.wire} clsact`)

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
  })

  test('replies leave by the VF when the pod has its default route elsewhere', async () => {
    await lab.must(`
      ip link add elsewhere type veth peer name eth0 netns pod-one
      ip link set elsewhere up
      ip -n pod-one link set eth0 up
      ip -n pod-one address add 172.16.0.2/24 dev eth0
      ip -n pod-one route add default via 172.16.0.1`)
    try {
      list = listOf(attachConfig(vf(), { ipam: staticIpam(`${POD4}/24`) }), offloadConfig(vf()))
      await runtime.add(list, withPorts())
      // A UDP server on all addresses would answer from the one of its default route, whatever it was asked on.
      server = await serve(lab, 'pod-one', [
        { name: 'pod', protocol: 'http', port: 80 },
        { name: 'pod', protocol: 'udp', port: 53, address: POD4 },
      ])
      await ask(lab, CLIENT_B.namespace, questions(HOST.v4, POD4))
      await runtime.del(list, withPorts())
      expect(await json(lab, 'ip -n pod-one -j rule')).toHaveLength(3)
    } finally {
      await lab.must('ip link del elsewhere')
    }
  })

  describe('replies to clients behind a route of their own', () => {
    const far = { v4: '10.2.0.0/24', v6: 'fd00:2::/64' } as const
    const byRouter = [
      { dst: far.v4, gw: ROUTER.v4 },
      { dst: far.v6, gw: ROUTER.v6 },
    ]

    beforeEach(() => addClusterInterface(lab, 'pod-one', 1))

    afterEach(() => lab.must('ip link del cluster1').then(() => undefined))

    test.each([
      ['leave by it when the default route is elsewhere and the gateway leads nowhere', byRouter, ''],
      [
        'leave by the VF when another interface has a route to them',
        byVf,
        `ip -n pod-one route del default dev eth0; ip -n pod-one -6 route del default dev eth0
         ip -n pod-one route add ${far.v4} via 10.244.1.1; ip -n pod-one route add ${far.v6} via fd00:244:1::1`,
      ],
    ])('%s', async (_title, routes, before) => {
      await lab.must(`set -e\n${before}`)
      const deadEnds = [
        { address: `${POD4}/24`, gateway: '10.1.0.253' },
        { address: `${POD6}/64`, gateway: 'fd00:1::dead' },
      ]
      const addresses = routes === byRouter ? { addresses: deadEnds } : {}
      const ipam = { ...staticIpam(`${POD4}/24`, `${POD6}/64`), ...addresses, routes }
      list = listOf(attachConfig(vf(), { ipam }), offloadConfig(vf()))
      const rules = 'ip -n pod-one rule; ip -n pod-one -6 rule'
      const rulesBefore = await lab.must(rules)
      const result = await runtime.add(list, withPorts())
      await linkIsReady(lab, 'pod-one')
      server = await serve(lab, 'pod-one', [
        { name: 'pod', protocol: 'http', port: 80 },
        { name: 'pod', protocol: 'udp', port: 53, address: POD4 },
        { name: 'pod6', protocol: 'udp', port: 53, address: POD6 },
      ])
      for (const [host, direct] of [
        [HOST.v4, POD4],
        [HOST.v6, POD6],
      ] as const) {
        await ask(lab, CLIENT_A.namespace, questions(host, direct))
        await ask(lab, CLIENT_B.namespace, questions(host, direct))
      }
      await runtime.check(list, withPorts(), result)
      await runtime.del(list, withPorts(), result)
      expect(await lab.must(rules)).toBe(rulesBefore)
    })
  })

  test('the record says where each rule runs, and why not in the NIC', async () => {
    await runtime.add(list, withPorts())
    const record = JSON.parse(
      await lab.must("cat '/var/lib/cni/vf-flower/offload/lab-net pod-one@net1.json'"),
    ) as { journal: { rules: { line: string; where: string; refusal?: string }[] } }
    expect(record.journal.rules).toHaveLength(4)
    for (const rule of record.journal.rules) {
      expect(rule.where).toBe('host')
      expect(rule.refusal).toMatch(/^EOPNOTSUPP: TC offload is disabled on net device/)
      expect(rule.line).toMatch(/^tc filter add dev .* flower .* action mirred egress redirect/)
    }
  })

  test('a pod in a VLAN is served on the node address of that VLAN', async () => {
    await lab.must(`
      ip link add link ${topology.pf} name ${topology.pf}.7 type vlan id 7
      ip link set ${topology.pf}.7 up; ip address add 10.7.0.1/24 dev ${topology.pf}.7
      ip -n client-a link add link eth0 name eth0.7 type vlan id 7
      ip -n client-a link set eth0.7 up; ip -n client-a address add 10.7.0.10/24 dev eth0.7`)
    try {
      list = listOf(
        attachConfig(vf(), { vlan: 7, ipam: { type: 'static', addresses: [{ address: '10.7.0.5/24' }] } }),
        offloadConfig(vf()),
      )
      await runtime.add(list, withPorts())
      await startServer()
      await ask(lab, CLIENT_A.namespace, questions('10.7.0.1', '10.7.0.5'))
      await runtime.del(list, withPorts())
    } finally {
      await lab.must(`ip link del ${topology.pf}.7; ip -n client-a link del eth0.7`)
    }
  })
})

describe('DEL needs next to nothing', () => {
  test('no runtimeConfig, no prevResult, no namespace: everything is gone, also in the pod', async () => {
    const result = await attachOnly()
    await linkIsReady(lab, 'pod-one')
    const attached = await snapshot(lab)
    const podAttached = await snapshot(lab, { namespace: 'pod-one' })
    expect((await offloadOnce('ADD', {}, result)).code).toBe(0)
    expect(diffSnapshot(attached, await snapshot(lab))).not.toEqual([])
    await silently(runtime.call('DEL', list, offloadConfig(vf()), attachment('')))
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
    expect(diffSnapshot(podAttached, await snapshot(lab, { namespace: 'pod-one' }))).toEqual([])
    await silently(runtime.call('DEL', list, offloadConfig(vf()), attachment('')))
  })

  test('the record is lost: the cookies are enough', async () => {
    const result = await attachOnly()
    const attached = await snapshot(lab)
    expect((await offloadOnce('ADD', {}, result)).code).toBe(0)
    await lab.must('rm /var/lib/cni/vf-flower/offload/*.json')
    await silently(runtime.call('DEL', list, offloadConfig(vf()), attachment(pod)))
    // The note that the clsact is ours is not part of the record.
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
  })

  test("somebody's filters and clsact on the uplink are left alone", async () => {
    await lab.must(`
      tc qdisc add dev ${topology.pf} clsact
      tc filter add dev ${topology.pf} ingress protocol ip prio 3 flower ip_proto icmp dst_ip 192.0.2.1 action ok`)
    try {
      const foreign = await snapshot(lab)
      await runtime.add(list, withPorts())
      await startServer()
      await ask(lab, CLIENT_A.namespace, questions(HOST.v4, POD4))
      await server?.stop()
      server = undefined
      await runtime.del(list, withPorts())
      expect(diffSnapshot(foreign, await snapshot(lab))).toEqual([])
    } finally {
      await lab.must(`tc qdisc del dev ${topology.pf} clsact`)
    }
  })

  test('ADD killed after each of its steps, or refused one: DEL leads back', {
    timeout: 300_000,
  }, async () => {
    const ports = [{ hostPort: 8080, containerPort: 80, hostIP: HOST.v4 }]
    list = listOf(attachConfig(vf(), { ipam: staticIpam(`${POD4}/24`) }), offloadConfig(vf()))
    const result = await attachOnly()
    const attached = await snapshot(lab)
    const trace = '/tmp/offload-trace'
    const call = (env: Record<string, string>) =>
      runtime.call('ADD', list, offloadConfig(vf()), withPorts(ports), { prevResult: result, env })
    await lab.must(`rm -f ${trace}`)
    expect((await call({ VF_FLOWER_FAULT_TRACE: trace })).code).toBe(0)
    await silently(runtime.call('DEL', list, offloadConfig(vf()), attachment(pod)))
    const points = (await lab.readFile(trace)).trim().split('\n')
    expect(points.filter((point) => point.startsWith('op:')).length).toBeGreaterThanOrEqual(14)
    for (const [index, point] of points.filter((name) => name.endsWith(':after')).entries()) {
      const fault = index % 2 === 0 ? `${point}:SIGKILL` : `${point.replace(':after', ':before')}:ENOSPC`
      const ended = await call({ VF_FLOWER_FAULT: fault })
      expect(ended.code, fault).not.toBe(0)
      if (index % 2 === 1) expect(diffSnapshot(attached, await snapshot(lab)), fault).toEqual([])
      await silently(runtime.call('DEL', list, offloadConfig(vf()), attachment(pod)))
      expect(diffSnapshot(attached, await snapshot(lab)), fault).toEqual([])
    }
  })
})

describe('refusals leave nothing behind', () => {
  test('a host port that another pod has: code 100, and its owner is named', async () => {
    await runtime.add(list, withPorts())
    const owned = await snapshot(lab)
    const twin = await newPod(lab, 'pod-two')
    const other = { ...withPorts(), containerID: 'pod-two', netns: twin }
    const second = listOf(attachConfig(vf(1), { ipam: staticIpam('10.1.0.6/24') }), offloadConfig(vf(1)))
    try {
      await expect(runtime.add(second, other)).rejects.toMatchObject({
        plugin: 'vf-offload',
        code: 100,
        msg: expect.stringContaining('"pod-one/net1"'),
      })
      await runtime.del(second, other)
    } finally {
      await deletePod(lab, 'pod-two')
    }
    expect(diffSnapshot(owned, await snapshot(lab))).toEqual([])
  })

  test('wishes that are wrong, or that this port can not have: code and value, and nothing is changed', async () => {
    const result = await attachOnly()
    const attached = await snapshot(lab)
    const wrong: [Record<string, unknown>, unknown, number, string][] = [
      [{ offload: 'require' }, mappings, 7, 'legacy mode'],
      [{ nat: 'nic' }, mappings, 7, 'legacy mode'],
      [{ offload: 'maybe' }, mappings, 7, 'offload "maybe"'],
      [{ conditionsV4: ['!', '-d', '192.0.2.0/24'] }, mappings, 2, 'conditionsV4'],
      [{}, [{ hostPort: 0, containerPort: 80 }], 7, 'hostPort 0'],
      [{}, [{ hostPort: 8080, containerPort: 65536 }], 7, 'containerPort 65536'],
      [{}, [{ hostPort: '8080', containerPort: 80 }], 7, 'hostPort "8080"'],
      [{}, [{ hostPort: 8080, containerPort: 80, protocol: 'icmp' }], 7, 'protocol "icmp"'],
      [{}, [{ hostPort: 8080, containerPort: 80, hostIP: 'bogus' }], 7, 'hostIP "bogus"'],
      [{}, [{ hostPort: 8080, containerPort: 80, hostIP: '192.0.2.9' }], 7, 'hostIP "192.0.2.9"'],
    ]
    for (const [config, ports, code, words] of wrong) {
      const error = errorOf(await offloadOnce('ADD', config, result, ports as typeof mappings))
      expect(error, words).toMatchObject({ code, msg: expect.stringContaining(words) })
    }
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
  })

  test('a VF in a VLAN and a node address outside it: both are named', async () => {
    list = listOf(attachConfig(vf(), { vlan: 9, ipam: staticIpam(`${POD4}/24`) }), offloadConfig(vf()))
    const ports = [{ hostPort: 8080, containerPort: 80, hostIP: HOST.v4 }]
    await expect(runtime.add(list, withPorts(ports))).rejects.toMatchObject({
      code: 7,
      msg: expect.stringMatching(new RegExp(`${topology.pf}.* without VLAN.*VLAN 9`)),
    })
  })

  test('without prevResult, without mappings', async () => {
    const alone = errorOf(await offloadOnce('ADD', {}))
    expect(alone).toMatchObject({ code: 7, msg: 'must be called as chained plugin' })
    const result = await attachOnly()
    const attached = await snapshot(lab)
    const passed = await runtime.call('ADD', list, offloadConfig(vf()), attachment(pod), {
      prevResult: result,
    })
    expect(JSON.parse(passed.stdout)).toEqual(result)
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
  })
})
