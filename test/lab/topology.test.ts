import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import { capture } from '../support/capture.ts'
import { lab } from '../support/lab.ts'
import {
  addClusterInterface,
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  loadIgb,
  newPod,
  type Topology,
  tearDown,
  WIRE,
} from '../support/topology.ts'
import { ask, type Listen, serve, tryAsk } from '../support/traffic.ts'

let vm: Lab
let net: Topology

beforeAll(async () => {
  vm = await lab()
  net = await buildTopology(vm, await loadIgb(vm), 3)
})
afterAll(() => tearDown(vm, net))

test('the PF has the VFs that were asked for, behind a root port', () => {
  expect(net.pfPci).toBe('0000:01:00.0')
  expect(net.vfs.map((vf) => vf.pci)).toEqual(['0000:01:10.0', '0000:01:10.2', '0000:01:10.4'])
  for (const vf of net.vfs) expect(vf.netdev).toMatch(/^eth\d$/)
})

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

test('a VF in a pod reaches the clients, tagged with its VLAN if it has one', async () => {
  const [vf] = net.vfs
  await newPod(vm, 'pod-vf')
  await vm.must(`
    ip link set ${vf?.netdev} netns pod-vf
    ip -n pod-vf link set ${vf?.netdev} name net1 up
    ip -n pod-vf address add 10.1.0.5/24 dev net1`)
  const server = await serve(vm, 'pod-vf', [{ name: 'pod', protocol: 'tcp', port: 80 }])
  await vm.must(
    `until [ "$(ip netns exec pod-vf cat /sys/class/net/net1/carrier)" = 1 ]; do sleep 0.05; done`,
  )
  const [answer] = await ask(vm, CLIENT_A.namespace, [{ protocol: 'tcp', address: '10.1.0.5', port: 80 }])
  expect(answer?.peer.address).toBe(CLIENT_A.v4)
  await server.stop()

  await vm.must(`ip link set ${net.pf} vf ${vf?.index} vlan 100`)
  const seen = await capture(vm, WIRE.namespace, net.wire, 'vlan and arp')
  await vm.sh('ip netns exec pod-vf arping -c 1 -w 2 -I net1 10.1.0.77')
  const [frame] = await seen.stop()
  expect(frame).toMatchObject({ vlan: 100, destination: 'ff:ff:ff:ff:ff:ff' })
  expect(frame?.text).toMatch(/who-has 10\.1\.0\.77/)

  await vm.must(
    `ip link set ${net.pf} vf ${vf?.index} vlan 0; ip -n pod-vf link set net1 down name ${vf?.netdev}`,
  )
  await vm.must(`ip -n pod-vf link set ${vf?.netdev} netns 1`)
  await deletePod(vm, 'pod-vf')
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
