// A node with a container runtime, a wire with two clients, and networks of every kind that needs no card. In: a lab. Out: the runtime,
// with or without an agent, questions from the wire, and a look at what pods leave.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { json } from '../../../hack/lab/bed/plugins.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  HOST,
  vethWire,
  WAIT_UNTIL,
} from '../../../hack/lab/bed/topology.ts'
import type { ConfigList, PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { type Containerd, goPlugins, startContainerd } from '../../../hack/lab/containerd/containerd.ts'
import { GATE } from '../../../hack/lab/containerd/gate.ts'
import { leftovers } from '../../../hack/lab/containerd/leftovers.ts'
import { bridge, hostLocal, network, offload } from '../../../hack/lab/containerd/networks.ts'
import type { RunningPod } from '../../../hack/lab/containerd/pods.ts'
import type { Lab, LabProcess } from '../../../hack/lab/lab.ts'
import { agentStatus, answered, startAgent, type TestAgent } from '../warm-agent.ts'

/** Networks of the bed, by name. Those with `nic0` or `nic1` have room for one pod. */
export const NETWORKS: Readonly<Record<string, ConfigList>> = {
  bridge: network('bridge', bridge('cni0', hostLocal(1)), offload, { type: 'witness' }),
  attach: network(
    'attach',
    { type: 'vf-attach', device: 'nic0', ipam: hostLocal(2) },
    { type: 'tuning', sysctl: { 'net.ipv4.conf.IFNAME.arp_notify': '1' } },
    offload,
  ),
  ptp: network('ptp', { type: 'ptp', ipam: hostLocal(3) }, offload),
  macvlan: network(
    'macvlan',
    macvlan({ type: 'static', addresses: [{ address: '10.1.0.50/24', gateway: '10.1.0.254' }] }),
    { type: 'sbr' },
    offload,
  ),
  dhcp: network('dhcp', { type: 'vf-attach', device: 'nic1', ipam: { type: 'dhcp' } }, offload),
}

function macvlan(ipam: Record<string, unknown>): PluginConfig {
  return { type: 'macvlan', master: 'up0', mode: 'bridge', ipam }
}

/** Builds the wire and the devices, and starts the runtime. */
export async function runtimeBed(
  lab: Lab,
  networks: Readonly<Record<string, ConfigList>> = NETWORKS,
  plugins: Readonly<Record<string, string>> = { witness: GATE },
): Promise<Containerd> {
  await buildTopology(lab, await vethWire(lab), 0)
  await lab.must(DEVICES)
  return startContainerd(lab, networks, plugins)
}

/** Makes nic0, whose other end is on the host, and nic1, whose other end is on the wire; the host forwards, as nodes do. */
export const DEVICES = `set -e
  ip -b - <<END
link add nic0 type veth peer name far-nic0
address add 10.88.2.1/24 dev far-nic0
link set far-nic0 up
link add nic1 type veth peer name far-nic1
link set far-nic1 netns wire
END
  ip -n wire link set far-nic1 master switch up
  echo 1 >/proc/sys/net/ipv4/ip_forward`

/** The page at `url` for a client of the wire, asked for once. */
export function page(lab: Lab, url: string, client: string = CLIENT_A.namespace): Promise<string> {
  return lab.must(`ip netns exec ${client} curl -sS --fail -m 20 '${url}'`)
}

/** Both clients of the wire get the pod's word at the node's `port`, the far one by its own address. */
export async function expectAnswers(lab: Lab, pod: RunningPod, port: number): Promise<void> {
  const url = `http://${HOST.v4}:${port}/`
  expect(await page(lab, url)).toBe(`${pod.word}\n`)
  const who = await page(lab, `${url}cgi-bin/who`, CLIENT_B.namespace)
  expect(who).toMatch(new RegExp(`^${pod.name} to (\\[::ffff:)?${CLIENT_B.v4.replaceAll('.', '\\.')}\\]?\n$`))
}

/** Nothing answers at the node's `port`. */
export async function expectClosed(lab: Lab, port: number): Promise<void> {
  const { code } = await lab.exec([
    ...['ip', 'netns', 'exec', CLIENT_A.namespace],
    ...['curl', '-sS', '-m', '20', `http://${HOST.v4}:${port}/`],
  ])
  // CURLE_COULDNT_CONNECT
  expect(code).toBe(7)
}

/** Nothing of pods is left, and devices are on the host again under their names. */
export async function expectNothingLeft(lab: Lab): Promise<void> {
  expect(await leftovers(lab)).toEqual([])
  const names = (await json(lab, 'ip -j link show')).map(({ ifname }) => ifname)
  expect(names).toEqual(expect.arrayContaining(['nic0', 'nic1']))
}

/** The size and the checksum of `/cgi-bin/self` of a pod, which is the program of the image, got by a client of the wire. */
export async function expectWhole(lab: Lab, url: string): Promise<number> {
  const program = readFileSync('/usr/bin/busybox')
  const sum = createHash('sha256').update(program).digest('hex')
  const got = await lab.must(
    `ip netns exec ${CLIENT_A.namespace} curl -sS --fail -m 60 '${url}cgi-bin/self' | sha256sum`,
  )
  expect(got).toBe(`${sum}  -\n`)
  return program.length
}

/** A DHCP server on the wire, and the daemon of the distribution's plugin `dhcp`. */
export async function startDhcp(lab: Lab): Promise<() => Promise<void>> {
  await lab.writeFile('/run/udhcpd.conf', DHCP_SERVER)
  await lab.must('mkdir -p /run/cni; : >/run/udhcpd.leases')
  const server = ['ip', 'netns', 'exec', 'router', 'busybox', 'udhcpd', '-f', '/run/udhcpd.conf']
  const processes: readonly LabProcess[] = [
    await lab.spawn(server, { timeoutMs: 0 }),
    await lab.spawn([`${goPlugins()}/dhcp`, 'daemon'], { timeoutMs: 0 }),
  ]
  await lab.must(`${WAIT_UNTIL}
    serves() { [ -S /run/cni/dhcp.sock ] && ip netns exec router ss -Hlun 'sport = 67' | grep -q .; }
    wait_until serves`)
  return async () => {
    for (const one of processes) {
      one.kill('SIGKILL')
      await one.wait()
    }
  }
}

const DHCP_SERVER = `start 10.1.0.100
end 10.1.0.120
interface near
lease_file /run/udhcpd.leases
option subnet 255.255.255.0
option router 10.1.0.254
option lease 3600
`

/** Runs with `agent` only if the name says so. Every call of our plugins must have gone the way of the name. */
export const WAYS = ['standalone', 'through an agent'] as const
/** A way of calls. */
export type Way = (typeof WAYS)[number]

/** Begins a way; the end shows that calls went it. */
export async function beginWay(lab: Lab, way: Way): Promise<() => Promise<void>> {
  const agent: TestAgent | undefined = way === 'standalone' ? undefined : await startAgent(lab)
  return async () => {
    if (agent === undefined) return
    const status = await agentStatus(lab)
    expect(status).toMatchObject({ fallbacks: {}, refusals: {} })
    expect(answered(status)).toBeGreaterThan(0)
    await agent.stop()
  }
}
