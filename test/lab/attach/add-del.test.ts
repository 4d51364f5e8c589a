// vf-attach on VFs of a real SR-IOV driver (igb): what the kernel's own tools say after ADD, that bytes arrive, and
// that the host is as before after DEL, whatever went wrong in between. What any interface can show is in
// test/native/attach/add-del.test.ts.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import {
  attachConfig,
  attachment,
  errorOf,
  json,
  listOf,
  silently,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { Baseline } from '../../../hack/lab/bed/snapshot.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  linkIsReady,
  loadIgb,
  newPod,
  type Topology,
  tearDown,
  WIRE,
} from '../../../hack/lab/bed/topology.ts'
import { ask, serve } from '../../../hack/lab/bed/traffic.ts'
import type { ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const ADDRESS = '10.1.0.5'
const ipam = staticIpam(`${ADDRESS}/24`)
/** The way back to client B, which the `static` plugin leaves to the config. */
const ipamWithRoute = { ...ipam, routes: [{ dst: '10.2.0.0/24' }] }

let lab: Lab
let runtime: Runtime
let topology: Topology
const host = new Baseline()
let pod: string

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  topology = await buildTopology(lab, await loadIgb(lab), 1)
})

afterAll(async () => {
  if (topology !== undefined) await tearDown(lab, topology)
})

beforeEach(async () => {
  pod = await newPod(lab, 'pod-one')
  await host.begin(lab)
})

afterEach(async ({ task }) => {
  host.end(task.result?.state)
  // Whatever a test left undone, the next one starts clean.
  if (task.result?.state === 'fail') await runtime.del(listOf(attachConfig(vf().pci)), attachment(pod))
  await deletePod(lab, 'pod-one')
})

function vf(index = 0) {
  const found = topology.vfs[index]
  if (found === undefined || found.netdev === null) throw new Error(`No VF ${index}`)
  return { pci: found.pci, index: found.index, netdev: found.netdev, mac: found.mac }
}

async function expectUnchanged(point = ''): Promise<void> {
  expect(await host.changes(lab), point).toEqual([])
  // No administrative MAC, which igb reports as none or as the one that the VF has told.
  const { address } = await vfInfo(vf().index)
  expect(['00:00:00:00:00:00', vf().mac], point).toContain(address)
}

/** The VF as `ip -d -j link show PF` shows it. */
async function vfInfo(index: number): Promise<Record<string, unknown>> {
  const [link] = await json(lab, `ip -d -j link show dev ${topology.pf}`)
  const list = link?.vfinfo_list as Record<string, unknown>[]
  const found = list.find((info) => info.vf === index)
  if (found === undefined) throw new Error(`No VF ${index} in ${JSON.stringify(list)}`)
  return found
}

describe('ADD and DEL', () => {
  test('gives the VF with all its attributes to the pod and everything back', async () => {
    const wishes = { mac: '02:00:00:00:00:42', spoofchk: 'off', trust: 'on', max_tx_rate: 300, mtu: 1400 }
    const list = listOf(attachConfig(vf().pci, { ...wishes, mac: '02-00-00-00-00-42', ipam: ipamWithRoute }))
    const result = await runtime.add(list, attachment(pod))

    expect(result.interfaces).toEqual([
      { name: 'net1', mac: wishes.mac, mtu: 1400, sandbox: pod, pciID: vf().pci },
    ])
    expect(result.ips).toEqual([{ address: `${ADDRESS}/24`, gateway: '10.1.0.254', interface: 0 }])

    const [link] = await json(lab, 'ip -n pod-one -d -j address show dev net1')
    expect(link).toMatchObject({ address: wishes.mac, mtu: 1400, parentdev: vf().pci })
    expect(link?.flags).toContain('UP')
    expect(link?.addr_info).toContainEqual(
      expect.objectContaining({ local: ADDRESS, prefixlen: 24, broadcast: '10.1.0.255', scope: 'global' }),
    )
    const routes = await json(lab, 'ip -n pod-one -j route')
    expect(routes).toContainEqual(
      expect.objectContaining({ dst: '10.2.0.0/24', gateway: '10.1.0.254', dev: 'net1' }),
    )
    expect(await vfInfo(vf().index)).toMatchObject({
      address: wishes.mac,
      spoofchk: false,
      trust: true,
      rate: { max_tx: 300, min_tx: 0 },
    })
    await runtime.check(list, attachment(pod), result)

    await linkIsReady(lab, 'pod-one')
    const server = await serve(lab, 'pod-one', [
      { name: 'pod', protocol: 'tcp', port: 80 },
      { name: 'pod', protocol: 'udp', port: 53 },
    ])
    const asking = [CLIENT_A, CLIENT_B].map(async (client) => {
      const answers = await ask(lab, client.namespace, [
        { protocol: 'tcp', address: ADDRESS, port: 80, bytes: 100_000 },
        { protocol: 'udp', address: ADDRESS, port: 53 },
      ])
      expect(answers.map(({ peer }) => peer.address)).toEqual([client.v4, client.v4])
    })
    await Promise.all(asking)
    await server.stop()

    // A runtime may repeat a DEL as often as it likes.
    for (let time = 0; time < 2; time++) await runtime.del(list, attachment(pod), result)
    await expectUnchanged()
  })

  test('leaves a VF that works for the next pod, which sets no MAC', async () => {
    const plain = listOf(attachConfig(vf().pci, { ipam }))
    const withMac = listOf(attachConfig(vf().pci, { mac: '02:00:00:00:00:46', ipam }))
    for (const list of [withMac, plain]) {
      const result = await runtime.add(list, attachment(pod))
      await lab.must(`ip -n ${CLIENT_A.namespace} neigh flush all`)
      await lab.must(`ip netns exec ${CLIENT_A.namespace} ping -c 1 -W 10 ${ADDRESS}`)
      await runtime.del(list, attachment(pod), result)
    }
    await expectUnchanged()
  })

  test('puts the VF into a VLAN with priority, and frames on the wire carry both', async () => {
    const list = listOf(attachConfig(vf().pci, { vlan: 100, vlanQoS: 3, ipam }))
    const seen = await capture(lab, WIRE.namespace, topology.wire, 'vlan 100')
    await runtime.add(list, attachment(pod))
    expect(await vfInfo(vf().index)).toMatchObject({ vlan_list: [{ vlan: 100, qos: 3 }] })
    await lab.sh(`ip netns exec pod-one ping -c 1 -W 1 ${CLIENT_A.v4}`)
    const frames = await seen.stop()
    expect(frames.length).toBeGreaterThan(0)
    expect(frames[0]?.vlan).toBe(100)
    expect(frames.map(({ priority }) => priority)).toEqual(frames.map(() => 3))
    await runtime.del(list, attachment(pod))
    await expectUnchanged()
  })
})

describe('refusals leave nothing behind', () => {
  test('an attribute that the driver refuses is code 102 with the key, and all others are taken back', async () => {
    const wishes = { mac: '02:00:00:00:00:44', vlan: 7, min_tx_rate: 100, max_tx_rate: 200 }
    const plugin = attachConfig(vf().pci, wishes)
    const error = errorOf(await runtime.call('ADD', listOf(plugin), plugin, attachment(pod)))
    expect(error.code).toBe(102)
    expect(error.msg).toContain('min_tx_rate')
    expect(error.msg).toContain('EINVAL')
    await expectUnchanged()
  })
})

describe('DEL in hard cases', () => {
  const wishes = { mac: '02:00:00:00:00:45', vlan: 9, trust: 'on' }

  test('the VF comes back under its name with its settings when the namespace is gone, by DEL and by GC', async () => {
    const plugin = attachConfig(vf().pci, wishes)
    const list: ConfigList = { ...listOf(plugin), cniVersion: '1.1.0' }
    const nothingValid = { config: { 'cni.dev/valid-attachments': [] } }
    for (const verb of ['DEL', 'GC']) {
      await runtime.add(list, attachment(pod))
      await deletePod(lab, 'pod-one')
      await silently(runtime.call(verb, list, plugin, attachment(''), verb === 'GC' ? nothingValid : {}))
      await newPod(lab, 'pod-one')
    }
    await expectUnchanged()
  })

  test('the VF comes home under a spare name when another interface has its name now, which is left alone', async () => {
    const list = listOf(attachConfig(vf().pci, wishes))
    await runtime.add(list, attachment(pod))
    await lab.must(`ip link add ${vf().netdev} type dummy`)
    try {
      const stranger = () => json(lab, `ip -d -j link show dev ${vf().netdev}`)
      const untouched = await stranger()
      await runtime.del(list, attachment(pod))
      expect(await stranger()).toEqual(untouched)
      const spare = `vf${vf().pci.replaceAll(/[:.]/g, '')}`
      expect((await json(lab, `ip -d -j link show dev ${spare}`))[0]).toMatchObject({ address: vf().mac })
      const info = await vfInfo(vf().index)
      expect(info).toMatchObject({ trust: false })
      expect(JSON.stringify(info.vlan_list)).not.toContain('9')
    } finally {
      await lab.must(`
        ip link del ${vf().netdev}
        ip link set dev vf${vf().pci.replaceAll(/[:.]/g, '')} name ${vf().netdev}`)
    }
    await expectUnchanged()
  })
})
