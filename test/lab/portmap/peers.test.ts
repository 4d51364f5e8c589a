// vf-offload behind the distribution's Go plugin host-device, which moves the VF: no device in our config, nothing in
// the result but name, MAC and addresses.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { attachment, listOf, silently, staticIpam, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  linkIsReady,
  loadIgb,
  newPod,
  type Topology,
  tearDown,
} from '../../../hack/lab/bed/topology.ts'
import { type Ask, ask, type Server, serve } from '../../../hack/lab/bed/traffic.ts'
import type { ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { serveSctp } from '../../support/sctp.ts'

const POD = { v4: '10.1.0.5', v6: 'fd00:1::5' } as const
const portMappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp' },
  { hostPort: 7000, containerPort: 7001, protocol: 'sctp' },
]
let lab: Lab
let runtime: Runtime
let topology: Topology
let list: ConfigList
let server: Server | undefined

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  topology = await buildTopology(lab, await loadIgb(lab), 1)
})
afterAll(async () => {
  if (topology !== undefined) await tearDown(lab, topology)
})
afterEach(async () => {
  await server?.stop()
  server = undefined
  await deletePod(lab, 'pod-one')
})

const pod = () => attachment('/run/netns/pod-one', { capabilityArgs: { portMappings } })

test('every way in answers behind host-device, and DEL leaves the host as it was', async () => {
  await newPod(lab, 'pod-one')
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]
  list = listOf(
    {
      type: 'host-device',
      pciBusID: topology.vfs[0]?.pci ?? '',
      ipam: { ...staticIpam(`${POD.v4}/24`, `${POD.v6}/64`), routes },
    },
    { type: 'vf-offload', capabilities: { portMappings: true } },
  )
  const [, ours] = list.plugins
  if (ours === undefined) throw new Error('no plugin')
  const result = await runtime.add({ ...list, plugins: list.plugins.slice(0, 1) }, pod())
  await linkIsReady(lab, 'pod-one')
  // Around ours alone: host-device leaves an alias on the VF for ever.
  const attached = await snapshot(lab)
  const added = await runtime.call('ADD', list, ours, pod(), { prevResult: result })
  expect(added).toMatchObject({ code: 0, stdout: expect.stringContaining(POD.v4) })
  server = await serve(lab, 'pod-one', [
    { name: 'pod', protocol: 'http', port: 80 },
    { name: 'pod', protocol: 'udp', port: 53 },
  ])
  for (const client of [CLIENT_A, CLIENT_B]) {
    const questions = (['v4', 'v6'] as const).flatMap((family): Ask[] => [
      { protocol: 'http', address: HOST[family], port: 8080, bytes: 50_000 },
      { protocol: 'http', address: POD[family], port: 80, bytes: 50_000 },
      { protocol: 'udp', address: HOST[family], port: 5353 },
      { protocol: 'udp', address: POD[family], port: 53 },
    ])
    const answers = await ask(lab, client.namespace, questions)
    const own = questions.map(({ address }) => (address.includes(':') ? client.v6 : client.v4))
    expect(answers.map(({ peer }) => peer.address)).toEqual(own)
  }
  const sctp = await serveSctp(lab, 'pod-one', 4, 7001)
  await sctp.receives(CLIENT_A.namespace, HOST.v4, 7000, 'near')
  await sctp.receives(CLIENT_B.namespace, HOST.v4, 7000, 'far')
  await sctp.stop()
  // The node's own programs come through its stack, not by the wire.
  const [web, dns] = await ask(lab, null, [
    { protocol: 'http', address: HOST.v4, port: 8080, bytes: 50_000 },
    { protocol: 'udp', address: HOST.v4, port: 5353 },
  ])
  expect([web?.peer.address, dns?.peer.address]).toEqual([HOST.v4, HOST.v4])
  await server.stop()
  server = undefined
  await runtime.check({ ...list, plugins: list.plugins.slice(1) }, pod(), result)
  await silently(runtime.call('DEL', list, ours, pod(), { prevResult: result }))
  expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
  await runtime.del(list, pod(), result)
})
