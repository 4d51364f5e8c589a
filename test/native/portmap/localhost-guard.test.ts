// 127.0.0.1 of a node stays its own while pods are served there: raw frames from and to 127.0.0.0/8, of a pod and a wire, before
// and after a flush of the node's nftables, meet each of the two guards alone, and get in where there is none.
// needs: veth, bridge, nft, u32, ifb, bpf
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  attachToBridge,
  BRIDGE,
  bridgeList,
  chained,
  offload,
  PODS,
  type PodName,
  podOf,
  tryOffload,
  warmBridge,
} from '../../../hack/lab/bed/bridge-bed.ts'
import { errorOf, listOf, pluginPath } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import {
  buildTopology,
  deletePod,
  linkIsReady,
  newPod,
  tearDown,
  vethWire,
} from '../../../hack/lab/bed/topology.ts'
import {
  type Ask,
  type Namespace,
  PROGRAM,
  type Server,
  serve,
  startedWhen,
  tryAsk,
} from '../../../hack/lab/bed/traffic.ts'
import { type CniResult, cniRuntime, type PluginConfig, type Runtime } from '../../../hack/lab/cni-runtime.ts'
import { ask, drive, probe } from '../../../hack/lab/driver/client.ts'
import type { Lab, LabProcess } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { echoRequest, type RawFrame, rawFrame } from '../../support/raw-frames.ts'

const names = ['pod-one', 'pod-two'] as const
/** Somebody on a wire that is a port of the bridge. */
const WIRED = 'wired'
const WIRED_ADDRESS = '10.88.0.99'
const [Q, AD] = [0x8100, 0x88a8]
let lab: Lab
let runtime: Runtime
const servers: Server[] = []
/** A program of the node that listens on port 9999 of all addresses and takes nothing from there. */
let victim: LabProcess | undefined

beforeAll(async () => {
  lab = await sharedLab()
  // Installed under the other name too, in front of the plugin of that name.
  await lab.must(`mkdir -p /run/names && ln -sf ${pluginPath[0]}/vf-offload /run/names/portmap`)
  runtime = cniRuntime(lab, ['/run/names', ...pluginPath])
  await buildTopology(lab, await vethWire(lab), 0)
  await warmBridge(lab, runtime)
  await newPod(lab, WIRED)
  await lab.must(`set -e
    ip link add wired0 type veth peer name eth0 netns ${WIRED}
    ip link set wired0 master cni0 up; ip -n ${WIRED} link set eth0 up`)
  const listeners = (['tcp', 'udp'] as const).map((protocol) => ({ name: 'victim', protocol, port: 9999 }))
  victim = await startedWhen(lab, [...PROGRAM, 'serve', JSON.stringify(listeners)], (child) =>
    child.stdout().includes('ready'),
  )
  victim.kill('SIGSTOP')
})
afterAll(async () => {
  victim?.kill('SIGKILL')
  await deletePod(lab, WIRED)
  await tearDown(lab, { pf: 'up0', wire: 'far0' })
  await lab.must('ip link del cni0; ip link del up0; rm -r /run/names')
})
beforeEach(async () => {
  for (const pod of names) await newPod(lab, pod)
  // A pod has the address of one before, and another MAC.
  await lab.must('ip neigh flush dev cni0')
})
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop()
  for (const pod of names) {
    await runtime.del(bridgeList(pod), podOf(pod))
    await deletePod(lab, pod)
  }
})

/** Frames of IPv4 with an address of 127.0.0.0/8, for an interface with the address `own`. */
const loopbackFrames = (own: string, peer: string): RawFrame[] => [
  { from: peer, to: '127.0.0.1', protocol: 'tcp' },
  { from: peer, to: '127.0.0.1', protocol: 'udp' },
  { from: peer, to: '127.200.3.4', protocol: 'udp' },
  { from: '127.0.0.2', to: own, protocol: 'tcp' },
  { from: '127.0.0.2', to: own, protocol: 'udp' },
  { from: '127.0.0.2', to: '127.0.0.3', protocol: 'udp' },
  { from: peer, to: '127.0.0.1', protocol: 'udp', tags: [[Q, 0]] },
  { from: '127.0.0.2', to: own, protocol: 'udp', tags: [[AD, 0]] },
  {
    from: peer,
    to: '127.0.0.1',
    protocol: 'tcp',
    tags: [
      [AD, 0],
      [Q, 0],
    ],
  },
  {
    from: '127.0.0.2',
    to: own,
    protocol: 'udp',
    tags: [
      [Q, 0],
      [Q, 0],
    ],
  },
  {
    from: peer,
    to: '127.0.0.1',
    protocol: 'udp',
    tags: [
      [Q, 0],
      [Q, 0],
      [Q, 0],
    ],
  },
]

/** An address that the kernel takes from anywhere, whatever its settings are: to a socket of both families it is 127.0.0.2. */
const mappedFrames: readonly RawFrame[] = [
  { from: '::ffff:127.0.0.2', to: BRIDGE.v6, protocol: 'udp' },
  { from: '::ffff:127.0.0.2', to: BRIDGE.v6, protocol: 'udp', tags: [[AD, 0]] },
]
/** An address that it takes from nowhere. */
const deadFrames: readonly RawFrame[] = [
  { from: PODS['pod-two'].v6, to: '::ffff:127.0.0.1', protocol: 'udp' },
  { from: PODS['pod-two'].v6, to: '::1', protocol: 'tcp' },
  { from: '::1', to: BRIDGE.v6, protocol: 'udp' },
]

/** Frames with ordinary addresses, tags or not: nobody keeps them away. */
const ordinary = (own: string, peer: string): RawFrame[] => [
  { from: peer, to: own, protocol: 'tcp' },
  { from: peer, to: own, protocol: 'udp' },
  { from: peer, to: own, protocol: 'udp', tags: [[Q, 0]] },
  {
    from: peer,
    to: own,
    protocol: 'udp',
    tags: [
      [AD, 0],
      [Q, 0],
    ],
  },
]

/** The frames, sent by `eth0` of a namespace to the host's interface `device`, that get in. */
async function gotIn(
  namespace: string,
  device: string,
  frames: readonly RawFrame[],
  [from, to]: readonly [string, string],
): Promise<RawFrame[]> {
  const mac = (await lab.must(`cat /sys/class/net/${device}/address`)).trim()
  const bytes = frames.map((frame) => rawFrame(mac, frame))
  const control = echoRequest(mac, from, to)
  const [delivered] = await drive(lab, [
    probe('deliveredOf', `/run/netns/${namespace}`, 'eth0', bytes, control),
  ])
  return frames.filter((_, at) => delivered[at]?.udp === true || delivered[at]?.tcp === true)
}

/** All frames, from a neighbour pod and from the wire. */
async function allGotIn(): Promise<RawFrame[]> {
  const [pod, own] = [PODS['pod-two'].v4, BRIDGE.v4]
  const frames = [...loopbackFrames(own, pod), ...mappedFrames, ...deadFrames]
  return [
    ...(await gotIn('pod-two', 'cni0', frames, [pod, own])),
    ...(await gotIn(WIRED, 'cni0', loopbackFrames(own, WIRED_ADDRESS), [WIRED_ADDRESS, own])),
  ]
}

const setting = async (device = 'cni0') =>
  (await lab.must(`cat /proc/sys/net/ipv4/conf/${device}/route_localnet`)).trim()
const filters = (device = 'cni0') => lab.must(`tc filter show dev ${device} ingress`)
const removeGuard = (device = 'cni0') => lab.must(`tc filter del dev ${device} ingress pref 1`)

/** GC of a network that has no attachments any more. */
async function collect(): Promise<void> {
  const list = { ...bridgeList('pod-one'), cniVersion: '1.1.0' }
  const config = { 'cni.dev/valid-attachments': [], gcLive: true }
  const { code, stdout, stderr } = await runtime.call('GC', list, chained(config), podOf('pod-one'))
  if (code !== 0) throw new Error(`GC: ${stdout}${stderr}`)
}

async function answering(from: Namespace, question: Ask): Promise<string> {
  const [answer] = await tryAsk(lab, from, [{ timeoutMs: 3_000, ...question }])
  return answer?.ok === true ? answer.server : (answer?.error ?? 'nothing')
}

describe('behind a bridge, without a word of localhost', () => {
  let one: CniResult
  let two: CniResult
  beforeEach(async () => {
    one = await attachToBridge(lab, runtime, 'pod-one')
    two = await attachToBridge(lab, runtime, 'pod-two')
  })
  const local: Ask = { protocol: 'http', address: '127.0.0.1', port: 8080 }

  test.each(['vf-offload', 'portmap'])(
    '%s: the node’s programs reach the pod at 127.0.0.1; nothing from outside gets in, also when the rules of the node are flushed',
    async (type) => {
      const attached = await snapshot(lab)
      expect(await allGotIn()).toEqual(mappedFrames)
      await offload(runtime, 'ADD', 'pod-one', { config: { type }, prevResult: one })
      servers.push(await serve(lab, 'pod-one', [{ name: 'pod-one', protocol: 'http', port: 80 }]))
      servers.push(await serve(lab, 'pod-one', [{ name: 'pod-one', protocol: 'udp', port: 53 }]))
      expect(await answering(null, local)).toBe('pod-one')
      expect(await answering(null, { protocol: 'udp', address: '127.0.0.1', port: 5353 })).toBe('pod-one')
      expect(await setting()).toBe('1')
      expect(await filters()).toMatch(/pref 1 bpf chain 0 handle 0x76660001 vf_loopback/)
      expect(await allGotIn()).toEqual([])
      expect(
        await gotIn('pod-two', 'cni0', ordinary(BRIDGE.v4, PODS['pod-two'].v4), [
          PODS['pod-two'].v4,
          BRIDGE.v4,
        ]),
      ).toHaveLength(4)
      await lab.must('nft flush ruleset')
      expect(await allGotIn()).toEqual([])
      // The frames are what gets in where nobody keeps them away.
      await removeGuard()
      expect(await allGotIn()).toEqual([
        ...loopbackFrames(BRIDGE.v4, PODS['pod-two'].v4),
        ...mappedFrames,
        ...loopbackFrames(BRIDGE.v4, WIRED_ADDRESS),
      ])
      for (const server of servers.splice(0)) await server.stop()
      await offload(runtime, 'DEL', 'pod-one', { config: { type }, prevResult: one })
      expect(await setting()).toBe('0')
      expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
    },
  )

  test('the rules of nftables keep all of it away too', async () => {
    await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
    await removeGuard()
    expect(await allGotIn()).toEqual([])
    await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
  })

  test('the guard stays with the last of two pods, through flush, renaming and a restart of the first', async () => {
    const attached = await snapshot(lab)
    const other = { ports: [{ hostPort: 8081, containerPort: 80 }], prevResult: two }
    await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
    await offload(runtime, 'ADD', 'pod-two', other)
    await lab.must('nft flush ruleset')
    await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
    expect([await setting(), await filters()]).toEqual(['1', expect.stringContaining('vf_loopback')])
    expect(await allGotIn()).toEqual([])
    await lab.must('ip link set cni0 name renamed0')
    try {
      await offload(runtime, 'DEL', 'pod-two', other)
      expect([await setting('renamed0'), await filters('renamed0')]).toEqual(['0', ''])
    } finally {
      await lab.must('ip link set renamed0 name cni0')
    }
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
  })

  test('a guard that somebody has taken away comes back with the next pod', async () => {
    const other = { ports: [{ hostPort: 8081, containerPort: 80 }], prevResult: two }
    await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
    await lab.must('tc qdisc del dev cni0 clsact; nft flush ruleset')
    await offload(runtime, 'ADD', 'pod-two', other)
    await lab.must('nft flush ruleset')
    expect(await allGotIn()).toEqual([])
    await offload(runtime, 'DEL', 'pod-two', other)
    await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
    expect(await lab.must('tc qdisc show dev cni0')).not.toContain('clsact')
  })

  test('GC of a pod whose record was lost takes setting and guard back', async () => {
    const attached = await snapshot(lab)
    await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
    await lab.must('rm /var/lib/cni/vf-flower/offload/*.json /var/lib/cni/vf-flower/offload/report/*')
    await collect()
    expect([await setting(), await filters()]).toEqual(['0', ''])
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
  })

  test.each([
    ['localhost false', { localhost: false }],
    ['snat false', { snat: false }],
  ])('nothing of it is made for %s', async (_, config) => {
    await offload(runtime, 'ADD', 'pod-one', { config, prevResult: one })
    expect([await setting(), await filters()]).toEqual(['0', ''])
    expect(await lab.must('nft list table inet vf-flower')).not.toContain('127.0.0')
    await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
  })

  test('a port that a program of the node serves at 127.0.0.1 stays with it, which ADD tells; a wish for it is refused', async () => {
    servers.push(await serve(lab, null, [{ name: 'host', ...local }]))
    const refused = await tryOffload(runtime, 'ADD', 'pod-one', {
      config: { localhost: true },
      prevResult: one,
    })
    expect(errorOf(refused)).toMatchObject({
      code: 100,
      msg: expect.stringMatching(
        /^Cannot map tcp 127\.0\.0\.1 port 8080: .* listens on 127\.0\.0\.1 port 8080/,
      ),
    })
    const { stderr } = await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
    expect(stderr).toMatch(
      /tcp port 8080 of 127\.0\.0\.1 stays with driver \(process \d+\), which listens there/,
    )
    servers.push(await serve(lab, 'pod-one', [{ name: 'pod-one', protocol: 'http', port: 80 }]))
    servers.push(await serve(lab, 'pod-one', [{ name: 'pod-one', protocol: 'udp', port: 53 }]))
    expect(await answering(null, local)).toBe('host')
    expect(await answering(null, { ...local, address: BRIDGE.v4 })).toBe('pod-one')
    expect(await answering(null, { protocol: 'udp', address: '127.0.0.1', port: 5353 })).toBe('pod-one')
    await offload(runtime, 'CHECK', 'pod-one', { prevResult: one })
    await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
  })

  test('hostIP 127.0.0.1 serves the node in either form of the address, and ::1 is refused', async () => {
    const wish = (hostIP: string, hostPort = 8080) => ({ hostIP, hostPort, containerPort: 80 })
    const refused = await tryOffload(runtime, 'ADD', 'pod-one', { ports: [wish('::1')], prevResult: one })
    expect(errorOf(refused)).toMatchObject({ code: 7, msg: expect.stringContaining('hostIP "::1"') })
    const ports = [wish('127.0.0.1'), wish(`::ffff:${BRIDGE.v4}`, 8081)]
    const { stderr } = await offload(runtime, 'ADD', 'pod-one', { ports, prevResult: one })
    expect(stderr).toBe('')
    servers.push(await serve(lab, 'pod-one', [{ name: 'pod-one', protocol: 'http', port: 80 }]))
    expect(await answering(null, local)).toBe('pod-one')
    expect(await answering('pod-two', { ...local, address: BRIDGE.v4, port: 8081 })).toBe('pod-one')
    expect(await answering('pod-two', { ...local, address: BRIDGE.v4 })).toBe('ECONNREFUSED')
    await offload(runtime, 'DEL', 'pod-one', { ports, prevResult: one })
  })

  test('conditions are refused for a mapping that would have them, and only for such a one', async () => {
    const config = { conditionsV6: ['ip6 daddr ::1'] }
    const refused = await tryOffload(runtime, 'ADD', 'pod-one', { config, prevResult: one })
    expect(errorOf(refused)).toMatchObject({ code: 2, msg: expect.stringContaining('conditionsV6') })
    await offload(runtime, 'ADD', 'pod-one', { config, ports: [], prevResult: one })
    const ports = [{ hostPort: 8080, containerPort: 80, hostIP: '0.0.0.0' }]
    await offload(runtime, 'ADD', 'pod-one', { config, ports, prevResult: one })
    await offload(runtime, 'DEL', 'pod-one', { config, ports, prevResult: one })
  })

  const others: readonly (readonly [string, () => Promise<unknown>, () => Promise<unknown>, RegExp])[] = [
    [
      'a tcx program',
      () => tcx((index) => drive(lab, [probe('attachTcx', index, 0, 'from_netdev')])),
      () => tcx((index) => drive(lab, [probe('detachTcx', index)])),
      /tcx program \d+ "from_netdev"/,
    ],
    [
      'the filter of the bandwidth plugin, which leads all to an ifb',
      () =>
        lab.must(`set -e
          ip link add ifb-other type ifb; ip link set ifb-other up; tc qdisc add dev cni0 ingress
          tc filter add dev cni0 ingress pref 1 protocol all u32 match u32 0 0 action mirred egress redirect dev ifb-other`),
      () => lab.must('tc qdisc del dev cni0 ingress; ip link del ifb-other'),
      /tc filter add dev cni0 ingress protocol all prio 1 .*u32/,
    ],
  ]
  test.each(others)(
    '%s takes packets first: the node stays closed, which is told, and an error where it was asked for',
    async (_, make, remove, words) => {
      await make()
      try {
        const refused = await tryOffload(runtime, 'ADD', 'pod-one', {
          config: { localhost: true },
          prevResult: one,
        })
        expect(errorOf(refused)).toMatchObject({ code: 106, msg: expect.stringMatching(words) })
        const { stderr } = await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
        expect(stderr).toMatch(words)
        expect(stderr).toContain('no program at 127.0.0.1 reaches the pod')
        expect(await setting()).toBe('0')
        expect(await lab.must('ls /run/vf-flower')).not.toContain('localnet')
        await offload(runtime, 'CHECK', 'pod-one', { prevResult: one })
        await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
      } finally {
        await remove()
      }
    },
  )

  async function tcx(action: (ifindex: number) => Promise<unknown>): Promise<void> {
    const [link] = await drive(lab, [ask('link', 'host', 'cni0')])
    await action(link?.ifindex ?? 0)
  }

  test.each([
    ['clsact.add', 'tc qdisc add'],
    ['guard.add', 'tc filter add'],
  ])(
    'a kernel that has no %s: the node stays closed, which is told, and an error where it was asked for',
    async (what, line) => {
      const attached = await snapshot(lab)
      // Behind a bridge an ADD reserves ports, and then does these.
      const number = what === 'clsact.add' ? 2 : 3
      const call = (config: Record<string, unknown>) =>
        runtime.call(
          'ADD',
          bridgeList('pod-one'),
          { type: 'vf-offload', capabilities: { portMappings: true }, ...config },
          podOf('pod-one'),
          {
            prevResult: one,
            env: { VF_FLOWER_FAULT: `op:${number}:before:ENOENT` },
          },
        )
      expect(errorOf(await call({ localhost: true }))).toMatchObject({
        code: 102,
        msg: expect.stringContaining(line),
      })
      expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
      const { code, stderr } = await call({})
      expect([code, stderr]).toEqual([
        0,
        expect.stringMatching(`no program at 127.0.0.1 reaches the pod: Cannot run "${line}`),
      ])
      expect([await setting(), await filters()]).toEqual(['0', ''])
      await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
      expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
    },
  )
})

describe('with ptp, which gives each pod an interface of its own', () => {
  const addresses = { 'pod-one': '10.88.7.5', 'pod-two': '10.88.7.6' } as const
  const gateway = '10.88.7.1'
  const ptp = (pod: keyof typeof addresses): PluginConfig => ({
    type: 'ptp',
    ipam: {
      type: 'static',
      addresses: [{ address: `${addresses[pod]}/24`, gateway }],
      routes: [{ dst: '0.0.0.0/0' }],
    },
  })
  const veth = ({ interfaces = [] }: CniResult) =>
    interfaces.find(({ sandbox = '' }) => sandbox === '')?.name ?? ''
  const attach = async (pod: keyof typeof addresses) => {
    const result = await runtime.add(listOf(ptp(pod)), podOf(pod as PodName))
    await linkIsReady(lab, pod, 'eth0')
    // It makes pairs without a queue length, and the kernel gives them one with their first qdisc, for good.
    await lab.must(`ip link set ${veth(result)} txqueuelen 1000`)
    return result
  }
  const detach = (pod: keyof typeof addresses) => runtime.del(listOf(ptp(pod)), podOf(pod as PodName))
  const other = [{ hostPort: 8081, containerPort: 80 }]

  test('each has setting and guard of its own, also after a flush, and none is left', async () => {
    const one = await attach('pod-one')
    const two = await attach('pod-two')
    const attached = await snapshot(lab)
    await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
    await offload(runtime, 'ADD', 'pod-two', { ports: other, prevResult: two })
    await lab.must('nft flush ruleset')
    for (const [pod, result] of [
      ['pod-one', one],
      ['pod-two', two],
    ] as const) {
      expect(await setting(veth(result))).toBe('1')
      const frames = loopbackFrames(gateway, addresses[pod])
      expect(await gotIn(pod, veth(result), frames, [addresses[pod], gateway])).toEqual([])
    }
    await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
    expect([await setting(veth(one)), await setting(veth(two))]).toEqual(['0', '1'])
    // That DEL has put the guard of nftables back.
    await lab.must('nft flush ruleset')
    await removeGuard(veth(two))
    const frames = loopbackFrames(gateway, addresses['pod-two'])
    expect(await gotIn('pod-two', veth(two), frames, [addresses['pod-two'], gateway])).toHaveLength(
      frames.length,
    )
    await offload(runtime, 'DEL', 'pod-two', { prevResult: two })
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
    await detach('pod-one')
    await detach('pod-two')
  })

  test('an interface that is gone leaves nothing to do, with DEL and with GC', async () => {
    const before = await snapshot(lab)
    for (const verb of ['DEL', 'GC']) {
      const one = await attach('pod-one')
      await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
      expect(await lab.must('ls /run/vf-flower')).toContain('localnet')
      await detach('pod-one')
      await deletePod(lab, 'pod-one')
      await (verb === 'GC' ? collect() : offload(runtime, verb, 'pod-one'))
      expect(await lab.must('ls /run/vf-flower')).not.toMatch(/localnet|clsact/)
      await newPod(lab, 'pod-one')
    }
    expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  })
})
