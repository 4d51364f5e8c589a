// The network of every mapping test, on a veth pair in place of a wire: VFs on a real one are in test/lab/kernel/vf.
// needs: veth, bridge
import { afterAll, beforeAll, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import {
  addClusterInterface,
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  newPod,
  type Topology,
  tearDown,
  vethWire,
  WIRE,
} from '../../../hack/lab/bed/topology.ts'
import { ask, type Listen, serve, tryAsk } from '../../../hack/lab/bed/traffic.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'

let vm: Lab
let net: Topology

beforeAll(async () => {
  vm = await lab()
  net = await buildTopology(vm, await vethWire(vm), 0)
})
afterAll(() => tearDown(vm, net))

test('both clients exchange bytes with the host over both families, seen by their own addresses', async () => {
  const listeners: Listen[] = [
    { name: 'host-tcp', protocol: 'tcp', port: 7001 },
    { name: 'host-udp', protocol: 'udp', port: 7001 },
    { name: 'host-http', protocol: 'http', port: 7002 },
  ]
  const server = await serve(vm, null, listeners)
  for (const client of [CLIENT_A, CLIENT_B]) {
    for (const family of ['v4', 'v6'] as const) {
      const answers = await ask(vm, client.namespace, [
        { protocol: 'tcp', address: HOST[family], port: 7001, bytes: 100_000, sourcePort: 4001 },
        { protocol: 'udp', address: HOST[family], port: 7001, bytes: 4_000, sourcePort: 4001 },
        { protocol: 'http', address: HOST[family], port: 7002 },
      ])
      expect(answers.map((answer) => answer.server)).toEqual(['host-tcp', 'host-udp', 'host-http'])
      expect(answers.map((answer) => answer.bytes)).toEqual([100_000, 4_000, 1_000])
      for (const answer of answers) expect(answer.peer.address).toBe(client[family])
      expect([answers[0]?.peer.port, answers[1]?.peer.port]).toEqual([4001, 4001])
    }
  }
  await server.stop()
  expect(await tryAsk(vm, CLIENT_A.namespace, [{ protocol: 'tcp', address: HOST.v4, port: 7001 }])).toEqual([
    { ok: false, error: 'ECONNREFUSED' },
  ])
})

test('a capture on the wire shows the frames between client and host, and only those it is asked for', async () => {
  const seen = await capture(vm, WIRE.namespace, net.wire, 'icmp')
  await vm.must(`ip netns exec ${CLIENT_B.namespace} ping -q -c 3 -i 0.2 ${HOST.v4}`)
  const frames = await seen.stop()
  expect(frames.filter((frame) => frame.text.includes('echo request'))).toHaveLength(3)
  expect(frames.filter((frame) => frame.text.includes('echo reply'))).toHaveLength(3)
  expect(frames).toHaveLength(6)
  for (const frame of frames) {
    expect([frame.source, frame.destination]).toContain(net.pfMac)
    expect(frame).toMatchObject({ vlan: null, length: 98 })
  }
})

test('a pod with a cluster interface has its default route there and reaches the host by it', async () => {
  await newPod(vm, 'pod-two')
  await addClusterInterface(vm, 'pod-two', 7)
  const server = await serve(vm, null, [{ name: 'host', protocol: 'tcp', port: 7001 }])
  const answers = await ask(vm, 'pod-two', [
    { protocol: 'tcp', address: HOST.v4, port: 7001 },
    { protocol: 'tcp', address: HOST.v6, port: 7001 },
  ])
  expect(answers.map((answer) => answer.peer.address)).toEqual(['10.244.7.2', 'fd00:244:7::2'])
  await server.stop()
  await deletePod(vm, 'pod-two')
  await vm.must('until [ ! -e /sys/class/net/cluster7 ]; do sleep 0.05; done')
})
