// Port mappings of pods behind the distribution's Go plugins bridge and ptp: one nftables table on the host serves clients
// on the wire, the node itself, the pod and its neighbours. Bytes must arrive, from whom they are said to come.
// needs: veth, bridge, nft
import { describe, expect, test } from 'vitest'
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
} from '../../../hack/lab/bed/bridge-bed.ts'
import { errorOf, listOf, pluginPath, silently } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { CLIENT_A, CLIENT_B, HOST } from '../../../hack/lab/bed/topology.ts'
import { type Ask, ask, type Namespace, type Server, serve, tryAsk } from '../../../hack/lab/bed/traffic.ts'
import { type CniResult, cniRuntime, type Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type BridgeNode, useBridgeNode, useFreshPods } from '../../support/bridge-node.ts'
import { withoutNft } from '../../support/without-nft.ts'

const families = ['v4', 'v6'] as const
const pods = ['pod-one', 'pod-two'] as const

let lab: Lab
let runtime: Runtime
let node: BridgeNode
const servers: Server[] = []

useBridgeNode((made) => {
  node = made
  lab = node.lab
  runtime = node.runtime
})
useFreshPods(() => node, pods, servers)

/** The main plugin alone. */
const attach = (pod: PodName): Promise<CniResult> => attachToBridge(lab, runtime, pod)

async function start(pod: string, name = pod): Promise<void> {
  servers.push(
    await serve(lab, pod, [
      { name, protocol: 'http', port: 80 },
      { name, protocol: 'udp', port: 53 },
    ]),
  )
}

const mapped = (address: string): Ask[] => [
  { protocol: 'http', address, port: 8080, bytes: 50_000 },
  { protocol: 'udp', address, port: 5353 },
]

/** The addresses of one asker that a pod's servers saw, who asks by several addresses of the node: each of its own, once. */
async function seen(from: Namespace, ...addresses: string[]): Promise<string[]> {
  const answers = await ask(lab, from, addresses.flatMap(mapped))
  return [...new Set(answers.map(({ peer }) => peer.address))]
}

/** Connections to the pod's mappings by `vfctl show`: `tcp 10.1.0.1:8080`. */
async function connections(pod: string): Promise<Map<string, number>> {
  const [shown] = JSON.parse(await lab.must(`${pluginPath[0]}/vfctl show --json ${pod}`)) as [
    { mappings: { mapping: string; host: { line: string; connections: number }[] }[] },
  ]
  return new Map(
    shown.mappings.flatMap(({ mapping, host }) =>
      host.map(({ line, connections: count }) => [`${mapping.split(' ')[0]} ${line.split(' ')[0]}`, count]),
    ),
  )
}

describe('a pod on a bridge', () => {
  test('clients, the node, the pod itself and a neighbour reach every address of the node', async () => {
    await attach('pod-two')
    const result = await attach('pod-one')
    const attached = await snapshot(lab)
    await offload(runtime, 'ADD', 'pod-one', { prevResult: result })
    await start('pod-one')
    const addresses = [HOST.v4, HOST.v6, BRIDGE.v4, BRIDGE.v6]
    // Clients keep their addresses; who would get replies past the host gets one of the node's.
    expect(await seen(CLIENT_A.namespace, HOST.v4, HOST.v6)).toEqual([CLIENT_A.v4, CLIENT_A.v6])
    expect(await seen(CLIENT_B.namespace, HOST.v4, HOST.v6)).toEqual([CLIENT_B.v4, CLIENT_B.v6])
    expect(await seen(null, ...addresses)).toEqual(addresses)
    for (const pod of pods) expect(await seen(pod, ...addresses)).toEqual([BRIDGE.v4, BRIDGE.v6])
    // The pod's own address and port as ever, from the node and from a neighbour.
    for (const from of [null, 'pod-two']) {
      const direct = families.map(
        (family): Ask => ({ protocol: 'http', address: PODS['pod-one'][family], port: 80, bytes: 5_000 }),
      )
      await ask(lab, from, direct)
    }
    // Of five askers two asked for the node's address on the wire alone.
    const before = await connections('pod-one')
    expect(before.get(`tcp ${HOST.v4}:8080`)).toBeGreaterThanOrEqual(5)
    expect(before.get(`udp ${BRIDGE.v4}:5353`)).toBeGreaterThanOrEqual(3)
    await ask(lab, CLIENT_A.namespace, [{ protocol: 'http', address: HOST.v4, port: 8080, bytes: 50_000 }])
    await ask(lab, null, [{ protocol: 'udp', address: BRIDGE.v6, port: 5353 }])
    const after = await connections('pod-one')
    const more = [...after].flatMap(([name, count]) => (count > (before.get(name) ?? 0) ? [name] : []))
    expect(more.sort()).toEqual([`tcp ${HOST.v4}:8080`, `udp [${BRIDGE.v6}]:5353`])
    const rules = await lab.must('nft list table inet vf-flower')
    expect(rules.match(/dnat ip6? to/g)).toHaveLength(4)
    await offload(runtime, 'CHECK', 'pod-one', { prevResult: result })
    await offload(runtime, 'DEL', 'pod-one', { prevResult: result })
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
  })

  test('none of it needs the program nft; CHECK needs it to tell how chains of the host differ', async () => {
    const result = await attach('pod-one')
    const attached = await snapshot(lab)
    await withoutNft(lab, async () => {
      await offload(runtime, 'ADD', 'pod-one', { prevResult: result })
      await start('pod-one')
      expect(await seen(CLIENT_A.namespace, HOST.v4, HOST.v6)).toEqual([CLIENT_A.v4, CLIENT_A.v6])
      await offload(runtime, 'CHECK', 'pod-one', { prevResult: result })
    })
    await lab.must('nft flush chain inet vf-flower prerouting')
    await withoutNft(lab, async () => {
      const { msg } = errorOf(await tryOffload(runtime, 'CHECK', 'pod-one', { prevResult: result }))
      expect(msg).toMatch(/nft list table inet vf-flower: .*there is no nft in/)
      await offload(runtime, 'DEL', 'pod-one', { prevResult: result })
    })
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
  })

  test('only addresses of the node are mapped: what is in transit passes untouched', async () => {
    await offload(runtime, 'ADD', 'pod-one', { prevResult: await attach('pod-one') })
    await start('pod-one')
    servers.push(await serve(lab, CLIENT_B.namespace, [{ name: 'client-b', protocol: 'http', port: 8080 }]))
    await lab.must(
      'ip -n client-a route add 10.2.0.10 via 10.1.0.1; ip -n router route add 10.88.0.0/16 via 10.1.0.1',
    )
    try {
      const question: Ask = { protocol: 'http', address: CLIENT_B.v4, port: 8080 }
      for (const from of ['pod-one', CLIENT_A.namespace]) {
        const [answer] = await ask(lab, from, [question])
        expect(answer?.server).toBe('client-b')
      }
    } finally {
      await lab.must('ip -n client-a route del 10.2.0.10; ip -n router route del 10.88.0.0/16')
    }
  })

  test('hostIP names one address or those of one family, and none that the node has not', async () => {
    const prevResult = await attach('pod-one')
    await start('pod-one')
    const wish = (hostIP: string) => [{ hostPort: 8080, containerPort: 80, hostIP }]
    const reached = async (...addresses: string[]) => {
      const questions = addresses.map(
        (address): Ask => ({ protocol: 'http', address, port: 8080, timeoutMs: 2_000 }),
      )
      return (await tryAsk(lab, null, questions)).map(({ ok }) => ok)
    }
    await offload(runtime, 'ADD', 'pod-one', { ports: wish(HOST.v4), prevResult })
    expect(await reached(HOST.v4, BRIDGE.v4, HOST.v6)).toEqual([true, false, false])
    await offload(runtime, 'DEL', 'pod-one', { prevResult })
    await offload(runtime, 'ADD', 'pod-one', { ports: wish('::'), prevResult })
    expect(await reached(HOST.v6, BRIDGE.v6, HOST.v4)).toEqual([true, true, false])
    await offload(runtime, 'DEL', 'pod-one', { prevResult })
    const refused = await tryOffload(runtime, 'ADD', 'pod-one', { ports: wish('192.0.2.9'), prevResult })
    expect(errorOf(refused)).toMatchObject({
      code: 7,
      msg: expect.stringMatching(/192\.0\.2\.9.*node.*10\.1\.0\.1/),
    })
  })

  test('snat false leaves addresses as they are, masqAll none', async () => {
    const prevResult = await attach('pod-one')
    await offload(runtime, 'ADD', 'pod-one', { config: { masqAll: true }, prevResult })
    await start('pod-one')
    expect(await seen(CLIENT_B.namespace, HOST.v4, HOST.v6)).toEqual([BRIDGE.v4, BRIDGE.v6])
    await offload(runtime, 'DEL', 'pod-one', { prevResult })
    await offload(runtime, 'ADD', 'pod-one', { config: { snat: false }, prevResult })
    expect(await seen(CLIENT_B.namespace, HOST.v4)).toEqual([CLIENT_B.v4])
    expect(await lab.must('nft list map inet vf-flower snat4')).not.toContain('elements')
  })

  test('the second of two pods with one port is refused by name, and DEL of the older keeps off the newer', async () => {
    const [one, two] = [await attach('pod-one'), await attach('pod-two')]
    await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
    const second = { prevResult: two }
    expect(errorOf(await tryOffload(runtime, 'ADD', 'pod-two', second))).toMatchObject({
      code: 100,
      msg: expect.stringContaining('"pod-one/eth0"'),
    })
    // The record tells of it too.
    await lab.must('nft delete table inet vf-flower')
    expect(errorOf(await tryOffload(runtime, 'ADD', 'pod-two', second))).toMatchObject({ code: 100 })
    // Whatever took both away: the port is the newer one's now.
    await lab.must('nft delete table inet vf-flower; rm /var/lib/cni/vf-flower/offload/*.json')
    await offload(runtime, 'ADD', 'pod-two', second)
    await start('pod-two')
    await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
    const [answer] = await ask(lab, CLIENT_A.namespace, mapped(HOST.v4).slice(0, 1))
    expect(answer?.server).toBe('pod-two')
  })

  test('DEL takes everything when record, prevResult, runtimeConfig and namespace are gone', async () => {
    const prevResult = await attach('pod-one')
    const attached = await snapshot(lab)
    await offload(runtime, 'ADD', 'pod-one', { prevResult })
    await lab.must('rm /var/lib/cni/vf-flower/offload/*.json')
    const bare = { ...podOf('pod-one'), netns: '', capabilityArgs: {} }
    await silently(runtime.call('DEL', bridgeList('pod-one'), chained(), bare))
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
  })

  test('other rules of the host stay, also those that translate', async () => {
    await lab.must(`nft -f - <<'END'
      table inet foreign {
        chain in { type nat hook prerouting priority dstnat; tcp dport 9090 redirect to :9091; }
        chain out { type nat hook postrouting priority srcnat; ip saddr 10.88.0.0/16 oifname "up0" masquerade; }
      }
END`)
    try {
      const result = await attach('pod-one')
      const foreign = await snapshot(lab)
      await offload(runtime, 'ADD', 'pod-one', { prevResult: result })
      await start('pod-one')
      expect(await seen(CLIENT_A.namespace, HOST.v4)).toEqual([CLIENT_A.v4])
      expect(await seen('pod-one', HOST.v4)).toEqual([BRIDGE.v4])
      await offload(runtime, 'DEL', 'pod-one', { prevResult: result })
      expect(diffSnapshot(foreign, await snapshot(lab))).toEqual([])
    } finally {
      await lab.must('nft delete table inet foreign')
    }
  })
})

test('a pod behind ptp is served in the same way by the name of portmap', async () => {
  const addresses = [{ address: '10.89.0.5/24', gateway: '10.89.0.1' }]
  const ipam = { type: 'static', addresses, routes: [{ dst: '0.0.0.0/0' }] }
  const list = listOf({ type: 'ptp', ipam }, chained({ backend: 'iptables', snat: true }, 'portmap'))
  // Installed under that name, as an operator does it who has no other plugin of the name.
  await lab.must(`mkdir -p /run/names && ln -sf ${pluginPath[0]}/vf-offload /run/names/portmap`)
  const runtime = cniRuntime(lab, ['/run/names', ...pluginPath])
  const result = await runtime.add(list, podOf('pod-one'))
  const [, ours] = list.plugins
  if (ours === undefined) throw new Error('no plugin')
  const files = "find /var/lib/cni/vf-flower/portmap -type f -printf '%P\\n'"
  expect((await lab.must(files)).split('\n')).toContain('lab-net pod-one@eth0.json')
  await start('pod-one')
  expect(await seen(CLIENT_A.namespace, HOST.v4)).toEqual([CLIENT_A.v4])
  expect(await seen(null, HOST.v4)).toEqual([HOST.v4])
  expect(await seen('pod-one', HOST.v4)).toEqual(['10.89.0.1'])
  await silently(runtime.call('DEL', list, ours, podOf('pod-one'), { prevResult: result }))
  expect(await lab.must(`${files}; nft list tables`)).toBe('')
  await runtime.del(list, podOf('pod-one'))
  await lab.must('rm -r /run/names')
})

test('a wish that cannot be met is refused with key, value and what is allowed, and leaves nothing', async () => {
  const prevResult = await attach('pod-one')
  const attached = await snapshot(lab)
  const refusals = [
    [{ offload: 'require' }, 7, 'offload "require" on "eth0": it is a veth'],
    [{ backend: 'ipvs' }, 7, 'unrecognized backend "ipvs"'],
    [{ markMasqBit: 32 }, 7, 'MasqMarkBit must be between 0 and 31'],
    [{ markMasqBit: 5, externalSetMarkChain: 'X' }, 7, 'Cannot specify externalSetMarkChain and markMasqBit'],
    [
      { backend: 'nftables', conditionsV4: ['-d', '192.0.2.0/24'] },
      7,
      'nftables backend was requested but configuration contains iptables-specific options [conditionsV4]',
    ],
    [{ conditionsV6: ['ip6 daddr ::1'] }, 2, 'conditionsV6 ["ip6 daddr ::1"]'],
    [{ allowedHostPorts: ['30000-32767', 9000] }, 7, 'hostPort 8080'],
    [{ localhost: true, snat: false }, 7, 'localhost'],
  ] as const
  for (const [config, code, words] of refusals) {
    expect(errorOf(await tryOffload(runtime, 'ADD', 'pod-one', { config, prevResult }))).toMatchObject({
      code,
      msg: expect.stringContaining(words),
    })
  }
  expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
})
