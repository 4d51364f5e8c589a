/**
 * `npm run demo`: the main job from end to end, on a real SR-IOV driver in the lab. A VF goes into a pod through the list
 * `vf-attach` + `vf-offload` as a container runtime calls it. HTTP goes from clients to the mapped port. The kernel's own counters
 * show where each filter ran. Then the same with the filters in a (simulated) NIC, see demo-nic.ts, and with a VF that kubelet gets
 * from the device plugin, see demo-plugin.ts. Exits 1 if any step fails or anything stays behind.
 */
import { join } from 'node:path'
import { execaSync } from 'execa'
import { secondAct } from './demo-nic.ts'
import { thirdAct } from './demo-plugin.ts'
import { indent, say, seconds, step } from './demo-print.ts'
import { diffSnapshot, snapshot } from './lab/bed/snapshot.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  linkIsReady,
  loadIgb,
  newPod,
  ROUTER,
  type Topology,
  tearDown,
} from './lab/bed/topology.ts'
import { type Answer, ask, serve } from './lab/bed/traffic.ts'
import { type Attachment, type ConfigList, cniRuntime } from './lab/cni-runtime.ts'
import { kernelHeaders } from './lab/kernel.ts'
import { bootLab, type Lab } from './lab/lab.ts'

const top = join(import.meta.dirname, '..')
const podIP = '10.1.0.5'
const record = '/var/lib/cni/vf-flower/offload/demo-net demo-pod@net1.json'

interface Rule {
  readonly line: string
  readonly where: 'nic' | 'host'
  readonly refusal?: string
}

try {
  await demo()
  console.log('\nThe demo succeeded.')
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}

async function demo(): Promise<void> {
  step('Building the executable')
  execaSync(process.execPath, [join(top, 'hack/build.ts'), '--with-tests'], { stdio: 'inherit' })

  step("Booting the lab: the distribution's kernel in QEMU, an igb NIC with SR-IOV, two clients")
  // Before the boot, because the headers of an already booted kernel may be gone from the sources.
  await kernelHeaders()
  const started = Date.now()
  const lab = await bootLab()
  try {
    say(`kernel ${lab.kernel} answered after ${seconds(started)}`)
    const topology = await buildTopology(lab, await loadIgb(lab), 2)
    say(`PF ${topology.pf} (${HOST.v4}) with ${topology.vfs.length} VFs`)
    say(`client A ${CLIENT_A.v4} in its subnet, client B ${CLIENT_B.v4} behind router ${ROUTER.v4}`)
    await showcase(lab, topology)
    await deletePod(lab, 'demo-pod')
    await tearDown(lab, topology)
    await secondAct(lab)
    await thirdAct(lab)
  } finally {
    await lab.close()
  }
}

async function showcase(lab: Lab, topology: Topology): Promise<void> {
  const [vf] = topology.vfs
  if (vf === undefined) throw new Error('the PF has no VF')
  const netns = await newPod(lab, 'demo-pod')
  const before = await snapshot(lab)
  const list = listFor(vf.pci)
  const attachment: Attachment = {
    containerID: 'demo-pod',
    netns,
    ifname: 'net1',
    capabilityArgs: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
  }

  step('ADD: vf-attach, then vf-offload, as a container runtime calls them')
  console.log(indent(JSON.stringify(list.plugins, undefined, 2)))
  const runtime = cniRuntime(lab, [join(top, 'dist'), '/usr/lib/cni'])
  const result = await runtime.add(list, attachment)
  say(`result: ${JSON.stringify(result.interfaces)} ${JSON.stringify(result.ips)}`)

  step(`VF ${vf.index} (${vf.pci}) as the kernel reports it`)
  console.log(indent(await lab.must(`ip link show dev ${topology.pf} | grep 'vf ${vf.index} '`)))
  // A VF's link comes up some time after the interface.
  await linkIsReady(lab, 'demo-pod')
  console.log(indent(await lab.must('ip -n demo-pod -br address show dev net1')))

  step('HTTP from both clients, to the mapped port and to the pod itself')
  const server = await serve(lab, 'demo-pod', [{ name: 'demo-pod', protocol: 'http', port: 80 }])
  for (const [name, client] of [
    ['A', CLIENT_A],
    ['B', CLIENT_B],
  ] as const) {
    const answers = await ask(lab, client.namespace, [
      { protocol: 'http', address: HOST.v4, port: 8080, bytes: 100_000 },
      { protocol: 'http', address: podIP, port: 80, bytes: 100_000 },
    ])
    const [mapped, direct] = answers as [Answer, Answer]
    say(
      `client ${name} -> ${HOST.v4}:8080: ${mapped.bytes} bytes there and back, the pod saw ${mapped.peer.address}`,
    )
    say(
      `client ${name} -> ${podIP}:80:   ${direct.bytes} bytes there and back, the pod saw ${direct.peer.address}`,
    )
  }
  await server.stop()

  step('What runs where, and why')
  await report(lab, topology)

  step('DEL, in reverse order')
  await runtime.del(list, attachment, result)
  const left = diffSnapshot(before, await snapshot(lab))
  if (left.length > 0) throw new Error(`this is left:\n${indent(left.join('\n'))}`)
  say(
    'interfaces, VF settings, addresses, routes, policy rules, qdiscs, filters, nftables and state files are as before ADD',
  )
}

/** The configuration list of a network. In real life a device plugin and Multus fill in deviceID. */
function listFor(deviceID: string): ConfigList {
  return {
    cniVersion: '1.0.0',
    name: 'demo-net',
    plugins: [
      {
        type: 'vf-attach',
        deviceID,
        mac: '02:00:00:00:00:42',
        spoofchk: 'on',
        ipam: {
          type: 'static',
          addresses: [{ address: `${podIP}/24`, gateway: ROUTER.v4 }],
        },
      },
      { type: 'vf-offload', deviceID, capabilities: { portMappings: true } },
    ],
  }
}

/** Prints each filter of the record beside the kernel's counters for it. */
async function report(lab: Lab, topology: Topology): Promise<void> {
  const { journal } = JSON.parse(await lab.readFile(record)) as { journal: { nat: string; rules: Rule[] } }
  const filters = JSON.parse(await lab.must(`tc -s -j filter show dev ${topology.pf} ingress`)) as {
    options?: { handle?: number; keys?: { dst_port?: number }; actions?: { stats?: { packets: number } }[] }
  }[]
  if (journal.rules.length === 0) throw new Error('the record has no filters')
  for (const rule of journal.rules) {
    say(rule.line)
    const where = rule.where === 'nic' ? 'in the NIC' : 'in software, on the host'
    say(`  runs ${where}${rule.refusal === undefined ? '' : ` because the driver said: ${rule.refusal}`}`)
    const port = Number(/ dst_port (\d+) /.exec(rule.line)?.[1])
    const packets = filters
      .filter(({ options }) => options?.keys?.dst_port === port)
      .map(({ options }) => options?.actions?.at(-1)?.stats?.packets ?? 0)
      .reduce((sum, count) => sum + count, 0)
    say(`  has steered ${packets} packets`)
    if (packets === 0) throw new Error('the filter has steered no packet')
  }
  say(`addresses and ports are translated in the ${journal.nat}:`)
  console.log(indent(await lab.must('ip netns exec demo-pod nft list ruleset'), 4))
}
