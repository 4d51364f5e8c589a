// With nat "nic" (simnic in switchdev mode, from source, not hardware) the node, its neighbours on the card and the pod
// itself reach mapped ports and the pod's own, and nothing of that is on the wire.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import { makeBed, type PortBed } from '../../../hack/lab/bed/port-bed.ts'
import { makeNode, type Node } from '../../../hack/lab/bed/port-node.ts'
import { HOST, WIRE } from '../../../hack/lab/bed/topology.ts'
import type { Ask } from '../../../hack/lab/bed/traffic.ts'
import {
  bothFamilies,
  expectServer,
  expectUsual,
  USUAL,
  usual,
  usualServers,
} from '../../scenarios/scenario.ts'
import { lab } from '../../support/lab.ts'

let node: Node
let bed: PortBed

beforeAll(async () => {
  node = await makeNode(await lab(), 'simnic')
  bed = await makeBed(node, 'simnic-full', { compares: false })
  await node.setSecond(false)
})
afterEach(() => bed.reset())
afterAll(async () => {
  await bed?.end()
  await node?.end()
})

const timeoutMs = 30_000
const mapped = (address: string) => usual(address, { timeoutMs })
const direct = (address: string): Ask[] => [
  { protocol: 'tcp', address, port: 80, bytes: 20_000, timeoutMs },
  { protocol: 'udp', address, port: 53, timeoutMs },
]
/** As the kubelet does: a connection, and nothing else. */
const probe = (address: string): Ask[] => [{ protocol: 'tcp', address, port: 80, bytes: 1, timeoutMs }]

test.each([
  ['nobody', []],
  ['the pod’s subnet', ['10.1.0.0/24', 'fd00:1::/64']],
] as const)(
  'direct networks: %s; the node, a neighbour and the pod itself reach all ports, past the wire',
  async (_, directSubnets) => {
    const { one, two } = bed
    const config = { nat: 'nic', directSubnets }
    await bed.add(one, USUAL, { config })
    // Of the node, the pod and its neighbour, translated or not: clients and the router have higher addresses.
    const within = (net: string) => `( src net ${net} and dst net ${net} )`
    const filter = `( tcp or udp ) and ( ${within('10.1.0.0/29')} or ${within('fd00:1::/125')} )`
    const seen = await capture(node.lab, WIRE.namespace, WIRE.bridge, filter)
    for (const agent of [node.host, two.agent, one.agent])
      await expectServer(agent, bothFamilies(HOST, mapped), usualServers(one, 2))
    for (const agent of [node.host, two.agent])
      await expectServer(agent, bothFamilies(one, direct), usualServers(one, 2))
    await expectServer(node.host, bothFamilies(one, probe), `${one.name} tcp 80`)
    // The neighbour's own ports of the same numbers are its own.
    await expectServer(one.agent, bothFamilies(two, direct), usualServers(two, 2))
    expect((await seen.stop()).map(({ text }) => text)).toEqual([])
    const [a, b] = node.clients
    if (directSubnets.length === 0) await expectUsual(bed, one)
    else {
      await expectServer(a.agent, bothFamilies(one, direct), usualServers(one, 2))
      await expectServer(b.agent, bothFamilies(HOST, mapped), usualServers(one, 2))
    }
    await bed.check(one, USUAL, { config })
  },
  600_000,
)
