// The way of a VF from kubelet to a pod and back, on simnic in switchdev mode: the device plugin offers VFs, kubelet allocates one by the
// name of its resource, vf-attach and vf-offload get it as Multus hands it on, HTTP goes to the mapped port, and metrics show the filters
// in hardware and the VF's pod. A VF that is not restored yet, or still open, is not given away.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PluginNode, startPluginNode } from '../../../hack/lab/bed/device-plugin.ts'
import { attachment, listOf, staticIpam, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import {
  type Card,
  hardwareRules,
  loadSimnic,
  setMode,
  setVfMacs,
  unloadSimnic,
} from '../../../hack/lab/bed/simnic.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  linkIsReady,
  newPod,
  ROUTER,
  tearDown,
} from '../../../hack/lab/bed/topology.ts'
import { ask, serve } from '../../../hack/lab/bed/traffic.ts'
import type { CniResult, ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { bindTo, openedBy } from '../../support/userspace-bed.ts'

const RESOURCE = 'example.org/vfs'
const VARIABLE = 'PCIDEVICE_EXAMPLE_ORG_VFS'
const BRIDGE = 'br-node'
const POD = { uid: '00000000-0000-4000-8000-000000000001', namespace: 'shop', name: 'web-1' }
const OTHER = { ...POD, uid: '00000000-0000-4000-8000-000000000002', name: 'web-2' }
const HEALTH = { badAfter: 0, goodAfter: 0 }
const [v4, v6] = ['10.1.0.5', 'fd00:1::5'] as const

let lab: Lab
let card: Card
let node: PluginNode
let runtime: Runtime
let vfs: readonly string[]

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  ;[card] = (await loadSimnic(lab, { totalVfs: 2 })) as [Card]
  const topology = await buildTopology(lab, card, 2)
  vfs = topology.vfs.map(({ pci }) => pci)
  await setMode(lab, card, 'switchdev')
  // Translation in the NIC has to tell the VFs apart.
  await setVfMacs(lab, card)
  await lab.must(`set -e
    modprobe uio_pci_generic
    ip link add ${BRIDGE} address ${topology.pfMac} up type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    ip link set ${card.pf} master ${BRIDGE}
    ip address flush dev ${card.pf} scope global
    ip address add ${HOST.v4}/24 dev ${BRIDGE}
    ip address add ${HOST.v6}/64 dev ${BRIDGE} nodad
    ip route replace 10.2.0.0/24 via ${ROUTER.v4}
    ip -6 route replace fd00:2::/64 via ${ROUTER.v6}`)
  node = await startPluginNode(
    lab,
    [{ resourceName: 'vfs', selectors: [{ pfNames: [card.pf] }], health: HEALTH }],
    ['--resource-prefix', 'example.org'],
  )
  await node.kubelet.wait(RESOURCE, { healthy: vfs })
})
afterAll(async () => {
  await node?.end()
  for (const { name } of [POD, OTHER]) await deletePod(lab, name)
  await lab.must(`ip link set ${card.pf} nomaster; ip link delete ${BRIDGE}`)
  await setMode(lab, card, 'legacy')
  await tearDown(lab, card)
  await unloadSimnic(lab)
  expect(await lab.must('ls -d /var/run/k8s.cni.cncf.io || true')).toBe('')
})

/** The list of a network as Multus passes it on: with the device that kubelet gave. */
function listFor(deviceID: string): ConfigList {
  const ipam = { ...staticIpam(`${v4}/24`, `${v6}/64`), routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] }
  const capabilities = { portMappings: true, bandwidth: true, CNIDeviceInfoFile: true }
  return listOf(
    { type: 'vf-attach', deviceID, bridge: BRIDGE, ipam, capabilities: { CNIDeviceInfoFile: true } },
    { type: 'vf-offload', deviceID, nat: 'nic', offload: 'require', capabilities },
  )
}

/** Multus copies the file of the device plugin for the CNI plugins. */
async function attachmentOf(netns: string, device: string) {
  const file = '/var/run/k8s.cni.cncf.io/devinfo/cni/lab-net'
  await lab.must(`mkdir -p ${file.slice(0, file.lastIndexOf('/'))}
    cp /var/run/k8s.cni.cncf.io/devinfo/dp/example.org-vfs-${device}-device.json ${file}`)
  return attachment(netns, {
    containerID: POD.name,
    args: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${POD.namespace};K8S_POD_NAME=${POD.name}`,
    capabilityArgs: {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
      bandwidth: { ingressRate: 800_000_000, ingressBurst: 8_000_000 },
      CNIDeviceInfoFile: file,
    },
  })
}

describe('a VF of a pod', () => {
  let device: string
  let result: CniResult

  test('is allocated by the name of its resource, and its variable has its address', async () => {
    const { ids, response } = await node.kubelet.allocate(POD, 'app', RESOURCE, 1)
    ;[device = ''] = ids
    expect(vfs).toContain(device)
    expect(response.envs[VARIABLE]).toBe(device)
    const information = JSON.parse(
      await lab.readFile(`/var/run/k8s.cni.cncf.io/devinfo/dp/example.org-vfs-${device}-device.json`),
    ) as { pci: Record<string, string> }
    expect(information.pci).toMatchObject({
      ...{ 'pci-address': device, 'pf-pci-address': card.pci },
      'representor-device': `${card.pf}rep${vfs.indexOf(device)}`,
    })
  })

  test('carries HTTP to the mapped port, with its filters in hardware, and metrics show them', async () => {
    const netns = await newPod(lab, POD.name)
    const list = listFor(device)
    const of = await attachmentOf(netns, device)
    result = await runtime.add(list, of)
    await linkIsReady(lab, POD.name)
    const server = await serve(lab, POD.name, [{ name: POD.name, protocol: 'http', port: 80 }])
    for (const client of [CLIENT_A, CLIENT_B]) {
      for (const family of ['v4', 'v6'] as const) {
        const question = { protocol: 'http', address: HOST[family], port: 8080, bytes: 100_000 } as const
        const [answer] = await ask(lab, client.namespace, [question])
        expect(answer).toMatchObject({ server: POD.name, bytes: 100_000, peer: { address: client[family] } })
      }
    }
    await server.stop()
    const labels = { device, pod: POD.name, namespace: POD.namespace, place: 'hardware' }
    const inCard = await hardwareRules(lab, card)
    expect(inCard.length).toBeGreaterThan(0)
    const [filters] = await node.samples('vf_flower_filters', labels)
    expect(filters?.value).toBeGreaterThan(0)
    for (const direction of ['to', 'from']) {
      const [packets] = await node.samples('vf_flower_filter_packets_total', { ...labels, direction })
      expect(packets?.value).toBeGreaterThan(100)
    }
    const [known] = await node.samples('vf_flower_device_info', { device, resource: RESOURCE })
    expect(known?.labels).toMatchObject({
      ...{ pod: POD.name, namespace: POD.namespace, container: 'app', pf: card.pci, driver: 'simnic' },
      representor: `${card.pf}rep${vfs.indexOf(device)}`,
    })
    await node.shows('vf_flower_pool_allocated_devices', { resource: RESOURCE }, 1)
    await node.kubelet.wait(RESOURCE, { healthy: vfs })
  })

  test('is free again behind DEL and the end of the pod', async () => {
    await runtime.del(listFor(device), await attachmentOf(`/run/netns/${POD.name}`, device), result)
    await deletePod(lab, POD.name)
    await node.kubelet.endPod(POD.uid)
    await node.shows('vf_flower_pool_allocated_devices', { resource: RESOURCE }, 0)
    expect(await hardwareRules(lab, card)).toEqual([])
    await node.kubelet.wait(RESOURCE, { healthy: vfs })
  })
})

describe('a VF that can not be given away', () => {
  test('because its pod died before DEL is unhealthy until it is restored', async () => {
    const { ids } = await node.kubelet.allocate(POD, 'app', RESOURCE, 1)
    const [device = ''] = ids
    const list = listOf({ type: 'vf-attach', deviceID: device, bridge: BRIDGE })
    const netns = await newPod(lab, POD.name)
    const of = attachment(netns, { containerID: POD.name })
    await runtime.add(list, of)
    // A pod that ends before the plugin has asked kubelet once counts as the holder for a minute.
    await node.shows('vf_flower_device_info', { device, pod: POD.name }, 1)
    await deletePod(lab, POD.name)
    await node.kubelet.endPod(POD.uid)
    await node.kubelet.wait(RESOURCE, { unhealthy: [device] })
    await node.shows('vf_flower_pool_allocated_devices', { resource: RESOURCE }, 0)
    await node.shows('vf_flower_pool_unhealthy_devices', { resource: RESOURCE, reason: 'dirty' }, 1)
    await expect(node.kubelet.allocateIds(RESOURCE, [device])).rejects.toThrow(/restored/)
    await runtime.del(list, { ...of, netns: '' })
    await node.kubelet.wait(RESOURCE, { healthy: vfs })
  })

  test('because a program of nobody has it open is unhealthy until it is closed', async () => {
    const [device = ''] = vfs
    const nic = {
      lab,
      pf: card.pf,
      vf: device,
      kernel: 'simnic',
      user: 'uio_pci_generic',
      remove: async () => undefined,
    }
    await node.reconfigure({
      resourceList: [{ resourceName: 'vfs', selectors: [{ drivers: [nic.user] }], health: HEALTH }],
    })
    await node.kubelet.wait(RESOURCE, { healthy: 0 })
    await bindTo(nic, nic.user)
    await node.kubelet.wait(RESOURCE, { healthy: [device] })
    const { ids } = await node.kubelet.allocate(OTHER, 'app', RESOURCE, 1)
    expect(ids).toEqual([device])
    const netns = await newPod(lab, OTHER.name)
    const list = listOf({ type: 'vf-attach', deviceID: device, bridge: BRIDGE })
    const of = attachment(netns, { containerID: OTHER.name })
    await runtime.add(list, of)
    const program = await openedBy(nic, 'uio', { pod: OTHER.name })
    await runtime.del(list, of)
    await node.kubelet.endPod(OTHER.uid)
    await node.kubelet.wait(RESOURCE, { unhealthy: [device] })
    await expect(node.kubelet.allocateIds(RESOURCE, [device])).rejects.toThrow(/open/)
    await program.close()
    await runtime.del(list, { ...of, netns: '' })
    await deletePod(lab, OTHER.name)
    await node.kubelet.wait(RESOURCE, { healthy: [device] })
    await bindTo(nic, nic.kernel)
  })
})
