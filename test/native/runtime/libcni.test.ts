// The library that runtimes call plugins with runs every verb on our lists, each in a process of its own with results cached in files: STATUS,
// ADD, CHECK, DEL, and GC with a list of valid attachments, with an empty one, and with null, as CRI-O sends it at its first start.
// needs: veth, bridge, nft, conntrack
// packages: golang-github-appc-cni-dev/sid, containernetworking-plugins/sid
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { pluginPath } from '../../../hack/lab/bed/plugins.ts'
import {
  buildTopology,
  CLIENT_A,
  deletePod,
  HOST,
  newPod,
  tearDown,
  vethWire,
} from '../../../hack/lab/bed/topology.ts'
import { ask, serve } from '../../../hack/lab/bed/traffic.ts'
import { leftovers } from '../../../hack/lab/containerd/leftovers.ts'
import { bridge, hostLocal } from '../../../hack/lab/containerd/networks.ts'
import type { ExecResult, Lab } from '../../../hack/lab/lab.ts'
import { CACHE, type Libcni, type LibcniAttachment, libcni } from '../../../hack/lab/libcni/libcni.ts'
import { unpackedPackage } from '../../../hack/lab/packages.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { DEVICES } from '../../support/runtime/bed.ts'

const offload = { type: 'vf-offload', capabilities: { portMappings: true } }
const lists = {
  bridge: [bridge('cni0', hostLocal(1)), offload],
  attach: [{ type: 'vf-attach', device: 'nic0', ipam: hostLocal(2) }, offload],
}
const pods = ['one', 'two'] as const
let lab: Lab
let path: readonly string[]

beforeAll(async () => {
  lab = await sharedLab()
  await buildTopology(lab, await vethWire(lab), 0)
  await lab.must(DEVICES)
  const { folder } = unpackedPackage('containernetworking-plugins/sid')
  path = [pluginPath[0], `${folder}/usr/lib/cni`]
})
afterAll(() => tearDown(lab, { pf: 'up0', wire: 'far0' }))
beforeEach(async () => {
  for (const pod of pods) await newPod(lab, pod)
})
afterEach(async () => {
  for (const pod of pods) await deletePod(lab, pod)
})

/** The pod at `index`, with a port of its own. */
function attachmentOf(index: 0 | 1): LibcniAttachment {
  return {
    ...{ container: pods[index], netns: `/run/netns/${pods[index]}` },
    capabilities: { portMappings: [{ hostPort: 8080 + index, containerPort: 80, protocol: 'tcp' }] },
  }
}

const [one, two] = [attachmentOf(0), attachmentOf(1)]

async function good(call: Promise<ExecResult>): Promise<string> {
  const { code, stdout, stderr } = await call
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

/** Results that libcni has cached, and what pods have left. */
async function left(): Promise<string[]> {
  const results = (await lab.must(`ls ${CACHE}/results 2>/dev/null || true`)).split('\n').filter(Boolean)
  return [...results, ...(await leftovers(lab)).filter((line) => !/^qdisc .* dev cni0 /.test(line))]
}

async function answers({ container }: LibcniAttachment, port: number): Promise<void> {
  const server = await serve(lab, container, [{ name: container, protocol: 'tcp', port: 80 }])
  const [answer] = await ask(lab, CLIENT_A.namespace, [{ protocol: 'tcp', address: HOST.v4, port }])
  expect(answer?.server).toBe(container)
  await server.stop()
}

describe.each(['bridge', 'attach'] as const)('%s', (name) => {
  let cni: Libcni
  beforeAll(async () => {
    cni = await libcni(lab, { cniVersion: '1.1.0', name, plugins: lists[name] }, path)
    // The first run builds the program.
  }, 600_000)

  test('STATUS, ADD, CHECK and DEL; CHECK says what is gone; a second DEL has no cached result', async () => {
    await good(cni.validate())
    await good(cni.status())
    expect(JSON.parse(await good(cni.add(one)))).toMatchObject({ cniVersion: '1.1.0', interfaces: {} })
    await answers(one, 8080)
    await good(cni.check(one))
    await lab.must('nft flush ruleset')
    const { code, stderr } = await cni.check(one)
    expect([code, stderr]).toEqual([1, expect.stringContaining('8080')])
    await good(cni.del(one))
    expect(await left()).toEqual([])
    await good(cni.del(one))
  })

  test('CHECK and DEL have no cached result: CHECK is the error of libcni, DEL frees all', async () => {
    await good(cni.add(one))
    await lab.must(`rm -r ${CACHE}`)
    expect(await cni.check(one)).toMatchObject({ code: 1 })
    await good(cni.del(one))
    expect(await left()).toEqual([])
  })

  test('GC with null ends all that is cached, as at the first start of CRI-O, and the port is free', async () => {
    await good(cni.gc())
    await good(cni.add(one))
    await good(cni.gc())
    expect(await left()).toEqual([])
    await good(cni.add(one))
    await answers(one, 8080)
    await good(cni.del(one))
    expect(await left()).toEqual([])
  })
})

test('GC keeps the attachments that it is told; one that nobody has cached goes once its namespace is gone', async () => {
  const cni = await libcni(lab, { cniVersion: '1.1.0', name: 'bridge', plugins: lists.bridge }, path)
  await good(cni.add(one))
  await good(cni.add(two))
  await good(cni.gc('one', 'two'))
  await answers(two, 8081)
  await lab.must(`rm -r ${CACHE}`)
  const { code, stderr } = await cni.gc('one')
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/vf-offload: .*container "two".* its namespace lives; key "gcLive"/),
  ])
  await answers(two, 8081)
  await deletePod(lab, 'two')
  await good(cni.gc('one'))
  expect((await left()).filter((line) => /8081|[ "]two[@/]/.test(line))).toEqual([])
  await answers(one, 8080)
  await good(cni.del(one))
  // host-local has no GC, so the address of the pod that died stays.
  expect(await left()).toEqual([expect.stringMatching(/^address .*\/networks\/bridge\//)])
})
