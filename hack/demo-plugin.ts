/**
 * The demo's third act: nobody names a VF. The device plugin offers the VFs of a NIC to a kubelet (simulated, from its protocol), a pod
 * asks for one by the name of its resource, and the list of the second act runs with the VF that kubelet gave. The plugin's own words
 * show the rest: its metrics, `explain`, and that it sees a cable being pulled.
 */
import { join } from 'node:path'
import { cardInBridge } from './demo-nic.ts'
import { indent, say, step } from './demo-print.ts'
import { type PluginNode, startPluginNode } from './lab/bed/device-plugin.ts'
import { diffSnapshot, snapshot } from './lab/bed/snapshot.ts'
import { CLIENT_A, CLIENT_B, deletePod, HOST, linkIsReady, newPod, ROUTER } from './lab/bed/topology.ts'
import { ask, serve } from './lab/bed/traffic.ts'
import { type Attachment, type ConfigList, cniRuntime } from './lab/cni-runtime.ts'
import type { Lab } from './lab/lab.ts'

const dist = join(import.meta.dirname, '../dist')
const RESOURCE = 'example.org/fast'
const POD = { uid: '6f5f3b0e-0000-4000-8000-000000000001', namespace: 'shop', name: 'web-1' } as const
const BYTES = 100_000

/** Runs the third act; the machine is as before afterwards. Throws at the first claim that does not hold. */
export async function thirdAct(lab: Lab): Promise<void> {
  step(
    'Third act: the device plugin gives VFs to kubelet (simulated), and a pod asks for one by its resource',
  )
  const { card, topology, bridge, remove } = await cardInBridge(lab, 2)
  const pool = { resourceName: 'fast', selectors: [{ pfNames: [card.pf], eswitchModes: ['switchdev'] }] }
  console.log(indent(JSON.stringify({ resourceList: [pool] }), 4))
  const node = await startPluginNode(lab, [pool], ['--resource-prefix', 'example.org'])
  const { devices } = await node.kubelet.wait(RESOURCE, { healthy: topology.vfs.map(({ pci }) => pci) })
  say(`kubelet knows ${RESOURCE}: ${devices.map(({ id }) => id).join(', ')}`)
  await podByResource(lab, node, bridge, [card.pci, ...devices.map(({ id }) => id)])

  step('The cable is pulled, and put back')
  for (const [state, wanted] of [
    ['down', { healthy: 0, unhealthy: devices.length }],
    ['up', { healthy: devices.length }],
  ] as const) {
    await lab.must(`ip -n wire link set ${card.wire} ${state}`)
    await node.kubelet.wait(RESOURCE, wanted)
    say(`cable ${state}: kubelet has ${state === 'up' ? devices.length : 0} of ${devices.length} healthy`)
  }
  await node.end()
  await remove()
}

/** Allocation, ADD, HTTP, metrics, explain, DEL. */
async function podByResource(
  lab: Lab,
  node: PluginNode,
  bridge: string,
  functions: readonly string[],
): Promise<void> {
  step(`Pod ${POD.namespace}/${POD.name} asks for one ${RESOURCE}`)
  const { ids, response } = await node.kubelet.allocate(POD, 'app', RESOURCE, 1)
  const [device = ''] = ids
  for (const [name, value] of Object.entries(response.envs).sort()) say(`${name}=${value}`)

  step('ADD with the device that kubelet gave, as Multus passes it on')
  const netns = await newPod(lab, POD.name)
  const before = await snapshot(lab)
  const list = listFor(device, bridge)
  const attachment: Attachment = {
    ...{ containerID: POD.name, netns, ifname: 'net1' },
    args: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${POD.namespace};K8S_POD_NAME=${POD.name}`,
    capabilityArgs: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
  }
  const runtime = cniRuntime(lab, [dist, '/usr/lib/cni'])
  const result = await runtime.add(list, attachment)
  await linkIsReady(lab, POD.name)
  const server = await serve(lab, POD.name, [{ name: POD.name, protocol: 'http', port: 80 }])
  for (const { namespace } of [CLIENT_A, CLIENT_B]) {
    const question = { protocol: 'http', address: HOST.v4, port: 8080, bytes: BYTES } as const
    const [answer] = await ask(lab, namespace, [question])
    say(
      `${namespace} -> ${HOST.v4} port 8080: ${answer?.bytes} bytes there and back, the pod saw ${answer?.peer.address}`,
    )
  }
  await server.stop()

  step('The device plugin’s metrics of this VF, and explain')
  const samples = await node.allSamples({ device })
  for (const { name, labels, value } of samples.filter(({ value }) => value !== 0)) {
    const words = Object.entries(labels).filter(([key, text]) => key !== 'device' && text !== '')
    say(`${[name, ...words.map((word) => word.join('='))].join(' ')}: ${value}`)
  }
  console.log(indent(await node.explain(...functions), 4))

  step('DEL, and the end of the pod')
  await runtime.del(list, attachment, result)
  await node.kubelet.endPod(POD.uid)
  // The plugin's own note of who has what changes with each pod.
  const left = diffSnapshot(before, await snapshot(lab)).filter(
    (line) => !line.includes('/device-plugin.json:'),
  )
  if (left.length > 0) throw new Error(`this is left:\n${indent(left.join('\n'))}`)
  await deletePod(lab, POD.name)
  say(`the host is as before ADD, ${device} is free again`)
}

function listFor(deviceID: string, bridge: string): ConfigList {
  const addresses = [
    { address: '10.1.0.5/24', gateway: ROUTER.v4 },
    { address: 'fd00:1::5/64', gateway: ROUTER.v6 },
  ]
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]
  return {
    cniVersion: '1.0.0',
    name: 'demo-net',
    plugins: [
      { type: 'vf-attach', deviceID, bridge, ipam: { type: 'static', addresses, routes } },
      { type: 'vf-offload', deviceID, nat: 'nic', offload: 'require', capabilities: { portMappings: true } },
    ],
  }
}
