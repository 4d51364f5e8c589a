// Host ports and limits of a pod whose namespace went without a DEL go to the next pod that wants them, and those of a
// living pod never do. DEL for one network leaves those of another.
// needs: veth, bridge, tbf, nft
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  attachToBridge,
  bridgeIsIdle,
  bridgeList,
  PODS,
  type PodName,
  podOf,
  webAndDns,
} from '../../../hack/lab/bed/bridge-bed.ts'
import { attachment, errorOf, silently } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { CLIENT_A, deletePod, HOST, newPod } from '../../../hack/lab/bed/topology.ts'
import { type Server, serve, tryAsk } from '../../../hack/lab/bed/traffic.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { ExecResult, Lab } from '../../../hack/lab/lab.ts'
import { type BridgeNode, useBridgeNode } from '../../support/bridge-node.ts'

const folder = '/var/lib/cni/vf-flower/offload'
const pods = Object.keys(PODS) as PodName[]
const plugin = { type: 'vf-offload', capabilities: { portMappings: true, bandwidth: true } }
const ports = { portMappings: webAndDns }
const limit = { bandwidth: { ingressRate: 8_000_000, ingressBurst: 800_000 } }

let lab: Lab
let runtime: Runtime
let node: BridgeNode
/** The host without any pod. */
let before: Snapshot
const servers: Server[] = []

useBridgeNode((made) => {
  node = made
  lab = node.lab
  runtime = node.runtime
})
beforeEach(async () => {
  before = await snapshot(lab)
})
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop()
  for (const pod of pods) {
    await runtime.del(bridgeList(pod), podOf(pod))
    await deletePod(lab, pod)
  }
})

interface Call {
  readonly prevResult?: CniResult | undefined
  readonly network?: string
  readonly wishes?: Record<string, unknown>
}

function call(
  command: string,
  pod: PodName,
  { prevResult, network, wishes = ports }: Call,
): Promise<ExecResult> {
  const list = bridgeList(pod)
  const named = network === undefined ? list : { ...list, name: network }
  return runtime.call(command, named, plugin, { ...podOf(pod), capabilityArgs: wishes }, { prevResult })
}

/** Makes the pod and attaches it to the bridge by the main plugin. */
async function start(pod: PodName): Promise<CniResult> {
  await newPod(lab, pod)
  return attachToBridge(lab, runtime, pod)
}

/** ADD that succeeds; what it said on stderr. */
async function add(pod: PodName, more: Call): Promise<string> {
  const { code, stdout, stderr } = await call('ADD', pod, more)
  expect(code, `${stdout}${stderr}`).toBe(0)
  return stderr
}

const del = (pod: PodName, network?: string) =>
  call('DEL', pod, { wishes: {}, ...(network === undefined ? {} : { network }) })

/** Has the dead owner's namespace in the record get the inode of the one that is at its path now, as the kernel gives it. */
async function reuseInode(pod: PodName): Promise<void> {
  const id = (await lab.must(`stat -L -c '%d:%i' /run/netns/${pod}`)).trim()
  await lab.must(`sed -i 's/"netnsId": "[^"]*"/"netnsId": "${id}"/' ${folder}/*' ${pod}@eth0.json'`)
}

const records = async () =>
  (await lab.must(`cd ${folder} && ls | grep json || true`)).split('\n').filter((line) => line !== '')

/** A client on the wire reaches the pod. */
async function answers(server: PodName): Promise<void> {
  if (servers.length === 0)
    servers.push(await serve(lab, server, [{ name: server, protocol: 'http', port: 80 }]))
  const question = { protocol: 'http', address: HOST.v4, port: 8080, timeoutMs: 3_000 } as const
  const [answer] = await tryAsk(lab, CLIENT_A.namespace, [question])
  expect(answer).toMatchObject({ ok: true, server })
}

async function expectNothingLeft(): Promise<void> {
  for (const pod of pods) await deletePod(lab, pod)
  await bridgeIsIdle(lab)
  expect(await lab.must(`nft list tables; find ${folder} -type f`)).toBe('')
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
}

const gone = (pod: PodName) =>
  `the namespace of container "${pod}", interface "eth0", network "lab-net" is gone: what is left of its port mappings and limits is removed`

test('host ports of a pod that died without DEL are the next one’s, and stderr says so', async () => {
  const prevResult = await start('pod-two')
  await add('pod-one', { prevResult: await start('pod-one') })
  await deletePod(lab, 'pod-one')
  expect(await add('pod-two', { prevResult })).toContain(gone('pod-one'))
  expect(await records()).toEqual(['lab-net pod-two@eth0.json'])
  await answers('pod-two')
  // The late DEL of the dead one takes nothing away.
  await silently(del('pod-one'))
  await answers('pod-two')
  await silently(call('CHECK', 'pod-two', { prevResult }))
  await silently(del('pod-two'))
  await runtime.del(bridgeList('pod-two'), podOf('pod-two'))
  await expectNothingLeft()
})

test('a namespace that has path and inode of the dead one is not its owner', async () => {
  const prevResult = await start('pod-two')
  await add('pod-one', { prevResult: await start('pod-one') })
  await deletePod(lab, 'pod-one')
  await newPod(lab, 'pod-one')
  await reuseInode('pod-one')
  expect(await add('pod-two', { prevResult })).toContain(gone('pod-one'))
  await answers('pod-two')
})

test('ports and limits of a dead namespace are made anew when the same container comes back', async () => {
  const wishes = { ...ports, ...limit }
  await add('pod-one', { prevResult: await start('pod-one'), wishes })
  await deletePod(lab, 'pod-one')
  const prevResult = await start('pod-one')
  await reuseInode('pod-one')
  expect(await add('pod-one', { prevResult, wishes })).toContain(gone('pod-one'))
  await answers('pod-one')
  // While it lives a second ADD is refused as ever.
  expect(errorOf(await call('ADD', 'pod-one', { prevResult, wishes }))).toMatchObject({ code: 11 })
  await silently(del('pod-one'))
  await runtime.del(bridgeList('pod-one'), podOf('pod-one'))
  await expectNothingLeft()
})

test('a pod that lives keeps its ports, also when no path leads to its namespace any more', async () => {
  const prevResult = await start('pod-two')
  await add('pod-one', { prevResult: await start('pod-one') })
  // A program of the pod goes on, and keeps the namespace and the pair of interfaces.
  servers.push(await serve(lab, 'pod-one', [{ name: 'pod-one', protocol: 'http', port: 80 }]))
  const refused = async () => errorOf(await call('ADD', 'pod-two', { prevResult }))
  const taken = { code: 100, msg: expect.stringMatching(/is taken by container\/interface "pod-one\/eth0"$/) }
  expect(await refused()).toMatchObject(taken)
  await deletePod(lab, 'pod-one')
  await lab.must('! test -e /run/netns/pod-one')
  expect(await refused()).toMatchObject(taken)
  expect(await records()).toEqual(['lab-net pod-one@eth0.json'])
  await servers.pop()?.stop()
  expect(await add('pod-two', { prevResult })).toContain(gone('pod-one'))
})

test('ports of an owner without a record stay its own, which the error says; GC frees them', async () => {
  const prevResult = await start('pod-two')
  await add('pod-one', { prevResult: await start('pod-one') })
  await deletePod(lab, 'pod-one')
  await lab.must(`rm ${folder}/*.json`)
  expect(errorOf(await call('ADD', 'pod-two', { prevResult }))).toMatchObject({
    code: 100,
    msg: expect.stringContaining(
      'is taken by container/interface "pod-one/eth0", of which there is no record here: only its DEL, or GC, frees the port',
    ),
  })
  const list = { ...bridgeList('pod-two'), cniVersion: '1.1.0' }
  const valid = [{ containerID: 'pod-two', ifname: 'eth0' }]
  const config = { 'cni.dev/valid-attachments': valid }
  await silently(runtime.call('GC', list, plugin, attachment(''), { config }))
  await add('pod-two', { prevResult })
})

test('DEL for one network leaves what another network has made for the same container and interface', async () => {
  const prevResult = await start('pod-one')
  await add('pod-one', { prevResult, network: 'second', wishes: { ...ports, ...limit } })
  const there = await snapshot(lab)
  const inPod = await snapshot(lab, { namespace: 'pod-one' })
  const { code, stdout, stderr } = await del('pod-one', 'first')
  expect([code, stdout, stderr]).toEqual([
    0,
    '',
    expect.stringContaining('what network "second" has made for it stays until a DEL of that network'),
  ])
  expect(diffSnapshot(there, await snapshot(lab))).toEqual([])
  expect(diffSnapshot(inPod, await snapshot(lab, { namespace: 'pod-one' }))).toEqual([])
  await answers('pod-one')
  // A network that was renamed: its things go once the pod has.
  for (const server of servers.splice(0)) await server.stop()
  await deletePod(lab, 'pod-one')
  await silently(del('pod-one', 'renamed'))
  await expectNothingLeft()
})

test('an address of prevResult that the pod does not have is refused, and nothing is changed', async () => {
  const prevResult = await start('pod-one')
  await start('pod-two')
  const there = await snapshot(lab)
  const wrong = [
    ['10.88.0.6/16', '10.88.0.6 of prevResult: interface "eth0" in the pod does not have it; it has '],
    ['fd00:88::6/64', 'fd00:88::6 of prevResult: interface "eth0" in the pod does not have it; it has '],
    [`${HOST.v4}/24`, `${HOST.v4} of prevResult: it is an address of the node`],
    ['10.88.0.1/16', '10.88.0.1 of prevResult: it is an address of the node'],
    ['127.0.0.1/8', '127.0.0.1 of prevResult: it is a loopback address'],
    ['::1/128', '::1 of prevResult: it is a loopback address'],
  ] as const
  // Even if the pod gave itself the address too.
  await lab.must(
    `ip -n pod-one address add ${HOST.v4}/32 dev eth0; ip -n pod-one address add 127.0.0.1/32 dev eth0`,
  )
  for (const [address, words] of wrong) {
    const lying = { ...prevResult, ips: [{ address, interface: 2 }] }
    expect(errorOf(await call('ADD', 'pod-one', { prevResult: lying })), address).toMatchObject({
      code: 7,
      msg: expect.stringContaining(`Cannot map ports to address ${words}`),
    })
  }
  expect(diffSnapshot(there, await snapshot(lab))).toEqual([])
  expect(await lab.must(`ls ${folder} | grep json || true`)).toBe('')
  // An IPv6 address that is still looked for on the link is the pod's.
  await lab.must(`ip netns exec pod-one sh -c 'echo 5 >/proc/sys/net/ipv6/conf/eth0/dad_transmits'
    ip -n pod-one address add fd00:88::9/64 dev eth0`)
  const young = { ...prevResult, ips: [{ address: 'fd00:88::9/64', interface: 2 }] }
  await add('pod-one', { prevResult: young })
})
