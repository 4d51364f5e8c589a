// Port mappings respect the node: programs that listen, clients that go on, the loopback address, names of owners. With
// pods on a bridge, so that it needs no hardware.
// needs: veth, bridge, nft, conntrack, bpf
import { expect, test } from 'vitest'
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
import { errorOf } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { CLIENT_A, HOST } from '../../../hack/lab/bed/topology.ts'
import { type Ask, type Namespace, type Server, serve, tryAsk } from '../../../hack/lab/bed/traffic.ts'
import type { Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type BridgeNode, useBridgeNode, useFreshPods } from '../../support/bridge-node.ts'

const names = Object.keys(PODS) as PodName[]
let lab: Lab
let runtime: Runtime
let node: BridgeNode
const servers: Server[] = []

useBridgeNode((made) => {
  node = made
  lab = node.lab
  runtime = node.runtime
})
useFreshPods(() => node, names, servers)

async function start(namespace: Namespace, name: string, ...ports: [Ask['protocol'], number, string?][]) {
  const listeners = ports.map(([protocol, port, address]) => ({
    ...{ name, protocol, port },
    ...(address === undefined ? {} : { address }),
  }))
  servers.push(await serve(lab, namespace, listeners))
}

const answering = async (from: Namespace, question: Ask): Promise<string> => {
  const [answer] = await tryAsk(lab, from, [{ timeoutMs: 3_000, ...question }])
  return answer?.ok === true ? answer.server : (answer?.error ?? 'nothing')
}

test('a port on which a program of the node listens is refused with its name, unless that is allowed', async () => {
  const prevResult = await attachToBridge(lab, runtime, 'pod-one')
  await start(null, 'host', ['tcp', 8080, HOST.v4], ['udp', 5353, '::'])
  const attached = await snapshot(lab)
  const refused = async (ports: unknown) =>
    errorOf(await tryOffload(runtime, 'ADD', 'pod-one', { ports, prevResult }))
  expect(await refused([{ hostPort: 8080, containerPort: 80 }])).toMatchObject({
    code: 100,
    msg: expect.stringMatching(
      /tcp 10\.1\.0\.1 port 8080: driver \(process \d+\) listens on 10\.1\.0\.1 port 8080/,
    ),
  })
  expect(await refused([{ hostPort: 5353, containerPort: 53, protocol: 'udp', hostIP: '::' }])).toMatchObject(
    {
      code: 100,
      msg: expect.stringMatching(/^Cannot map udp .* port 5353: driver .* listens on :: port 5353/),
    },
  )
  expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
  // Another address, another protocol and, for a socket of IPv6 alone, another family are free.
  const free = [
    { hostPort: 8080, containerPort: 80, hostIP: BRIDGE.v4 },
    { hostPort: 5353, containerPort: 80, protocol: 'tcp' },
    { hostPort: 5353, containerPort: 53, protocol: 'udp', hostIP: '0.0.0.0' },
  ]
  await offload(runtime, 'ADD', 'pod-one', { ports: free, prevResult })
  await offload(runtime, 'DEL', 'pod-one', { prevResult })
  await offload(runtime, 'ADD', 'pod-one', { config: { allowListening: true }, prevResult })
  await start('pod-one', 'pod-one', ['http', 80])
  expect(await answering(CLIENT_A.namespace, { protocol: 'http', address: HOST.v4, port: 8080 })).toBe(
    'pod-one',
  )
})

test('a UDP client that never pauses reaches the next pod, and then the node itself', async () => {
  const one = await attachToBridge(lab, runtime, 'pod-one')
  const two = await attachToBridge(lab, runtime, 'pod-two')
  // Somebody else's mapping keeps the host tracking connections when nobody has the port.
  const other = { ports: [{ hostPort: 9000, containerPort: 80 }] }
  const three = await attachToBridge(lab, runtime, 'pod-three')
  await offload(runtime, 'ADD', 'pod-three', { ...other, prevResult: three })
  for (const pod of ['pod-one', 'pod-two'] as const) await start(pod, pod, ['udp', 53])
  for (const family of ['v4', 'v6'] as const) {
    const question: Ask = { protocol: 'udp', address: HOST[family], port: 5353, sourcePort: 40_000 }
    await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
    expect(await answering(CLIENT_A.namespace, question)).toBe('pod-one')
    await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
    // Nobody is there: what the client sends now makes a connection that leads to the host.
    await tryAsk(lab, CLIENT_A.namespace, [{ ...question, timeoutMs: 500 }])
    await offload(runtime, 'ADD', 'pod-two', { prevResult: two })
    expect(await answering(CLIENT_A.namespace, question)).toBe('pod-two')
    await offload(runtime, 'DEL', 'pod-two', { prevResult: two })
    await start(null, 'host', ['udp', 5353])
    expect(await answering(CLIENT_A.namespace, question)).toBe('host')
    await servers.pop()?.stop()
  }
})

test('with localhost the node reaches its pods at 127.0.0.1, and nobody outside reaches the node’s own 127.0.0.1', async () => {
  const one = await attachToBridge(lab, runtime, 'pod-one')
  const two = await attachToBridge(lab, runtime, 'pod-two')
  const attached = await snapshot(lab)
  const config = { localhost: true }
  const local: Ask = { protocol: 'http', address: '127.0.0.1', port: 8080 }
  await offload(runtime, 'ADD', 'pod-one', { config: { localhost: false }, prevResult: one })
  await start('pod-one', 'pod-one', ['http', 80], ['udp', 53])
  expect(await answering(null, local)).not.toBe('pod-one')
  await offload(runtime, 'DEL', 'pod-one', { prevResult: one })

  await offload(runtime, 'ADD', 'pod-one', { config, prevResult: one })
  const other = [{ hostPort: 8081, containerPort: 80 }]
  await offload(runtime, 'ADD', 'pod-two', { config, ports: other, prevResult: two })
  expect(await answering(null, local)).toBe('pod-one')
  expect(await answering(null, { ...local, protocol: 'udp', port: 5353 })).toBe('pod-one')
  expect(await answering(null, { ...local, address: HOST.v4 })).toBe('pod-one')

  // A neighbour with the means of CVE-2020-8558: its own 127.0.0.1 leads to the node.
  await start(null, 'host', ['http', 9999, '127.0.0.1'])
  await lab.must(`set -e
    ip netns exec pod-two sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet'
    ip -n pod-two address flush dev lo
    ip -n pod-two route add 127.0.0.1 via ${BRIDGE.v4} src ${PODS['pod-two'].v4}`)
  const attack: Ask = { protocol: 'http', address: '127.0.0.1', port: 9999 }
  expect(await answering('pod-two', attack)).toBe('ETIMEDOUT')
  // Two keep it away: each alone, too.
  await lab.must('nft flush chain inet vf-flower guard')
  expect(await answering('pod-two', attack)).toBe('ETIMEDOUT')
  await lab.must('tc filter del dev cni0 ingress pref 1')
  expect(await answering('pod-two', attack)).toBe('host')

  const setting = () => lab.must('cat /proc/sys/net/ipv4/conf/cni0/route_localnet')
  for (const server of servers.splice(0)) await server.stop()
  await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
  expect(await setting()).toBe('1\n')
  await offload(runtime, 'DEL', 'pod-two', { prevResult: two })
  expect(await setting()).toBe('0\n')
  expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
})

test('with localhost an interface that was renamed meanwhile is closed all the same', async () => {
  const prevResult = await attachToBridge(lab, runtime, 'pod-one')
  const setting = (bridge: string) => lab.must(`cat /proc/sys/net/ipv4/conf/${bridge}/route_localnet`)
  await offload(runtime, 'ADD', 'pod-one', { config: { localhost: true }, prevResult })
  expect(await setting('cni0')).toBe('1\n')
  await lab.must('ip link set cni0 name renamed0')
  try {
    await offload(runtime, 'DEL', 'pod-one', { prevResult })
    expect(await setting('renamed0')).toBe('0\n')
  } finally {
    await lab.must('ip link set renamed0 name cni0')
  }
})

test('the next ADD puts reservations back after a flush of the node’s rules, and no port changes hands', async () => {
  const one = await attachToBridge(lab, runtime, 'pod-one')
  const two = await attachToBridge(lab, runtime, 'pod-two')
  await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
  await start('pod-one', 'pod-one', ['http', 80])
  await lab.must('nft flush ruleset')
  const question = { protocol: 'http', address: HOST.v4, port: 8080 } as const
  expect(await answering(CLIENT_A.namespace, question)).not.toBe('pod-one')
  expect(errorOf(await tryOffload(runtime, 'ADD', 'pod-two', { prevResult: two }))).toMatchObject({
    code: 100,
    msg: expect.stringMatching(/port (8080|5353) is taken by container\/interface "pod-one\/eth0"/),
  })
  expect(await answering(CLIENT_A.namespace, question)).toBe('pod-one')
  await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
  await offload(runtime, 'ADD', 'pod-two', { prevResult: two })
})

test('DEL leads back from an ADD that was killed after any of its steps, or refused one', async () => {
  const prevResult = await attachToBridge(lab, runtime, 'pod-one')
  const attached = await snapshot(lab)
  const config = { localhost: true }
  const trace = '/tmp/ports-trace'
  const call = (env: Record<string, string>) =>
    runtime.call('ADD', bridgeList('pod-one'), chained(config), podOf('pod-one'), { prevResult, env })
  await lab.must(`rm -f ${trace}`)
  expect((await call({ VF_FLOWER_FAULT_TRACE: trace })).code).toBe(0)
  await offload(runtime, 'DEL', 'pod-one', { prevResult })
  const points = (await lab.readFile(trace)).trim().split('\n')
  const after = points.filter((point) => point.endsWith(':after'))
  expect(after.length).toBeGreaterThanOrEqual(5)
  for (const [index, point] of after.entries()) {
    const isKilled = index % 2 === 0
    const fault = isKilled ? `${point}:SIGKILL` : `${point.replace(':after', ':before')}:ENOSPC`
    expect((await call({ VF_FLOWER_FAULT: fault })).code, fault).not.toBe(0)
    if (!isKilled) expect(diffSnapshot(attached, await snapshot(lab)), fault).toEqual([])
    await offload(runtime, 'DEL', 'pod-one', { prevResult })
    expect(diffSnapshot(attached, await snapshot(lab)), fault).toEqual([])
  }
})
