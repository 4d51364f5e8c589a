// A node with a container runtime, a wire with two clients, and networks of every kind that needs no card. In: a lab. Out: pods that
// answer from the wire, and a look at what they leave.
import { expect } from 'vitest'
import { json } from '../../../hack/lab/bed/plugins.ts'
import { buildTopology, CLIENT_A, CLIENT_B, HOST, vethWire } from '../../../hack/lab/bed/topology.ts'
import type { ConfigList, PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { type Containerd, startContainerd } from '../../../hack/lab/containerd/containerd.ts'
import { bridge, hostLocal, network, offload } from '../../../hack/lab/containerd/networks.ts'
import type { RunningPod } from '../../../hack/lab/containerd/pods.ts'
import type { Lab } from '../../../hack/lab/lab.ts'

/** Networks of the bed, by name. Those with `nic0` or `nic1` have room for one pod. */
export const NETWORKS: Readonly<Record<string, ConfigList>> = {
  bridge: network('bridge', bridge('cni0', hostLocal(1)), offload),
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
  plugins: Readonly<Record<string, string>> = {},
): Promise<Containerd> {
  await buildTopology(lab, await vethWire(lab), 0)
  await lab.must(DEVICES)
  return startContainerd(lab, networks, plugins)
}

// nic0 leads to the host, nic1 to the wire.
const DEVICES = `set -e
  ip -b - <<END
link add nic0 type veth peer name far-nic0
address add 10.88.2.1/24 dev far-nic0
link set far-nic0 up
link add nic1 type veth peer name far-nic1
link set far-nic1 netns wire
END
  ip -n wire link set far-nic1 master switch up`

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

/** Things of pods that are still on the node: namespaces, addresses, records, interfaces, mapped ports, control groups. */
export async function leftovers(lab: Lab, runtime: Containerd): Promise<string[]> {
  const out = await lab.must(`
    ls /run/netns | sed -n 's/^cni-/namespace &/p'
    find /var/lib/cni/networks -type f -name '[0-9]*' | sed 's/^/address /'
    find /var/lib/cni/vf-flower -type f ! -path '*/lock/*' | sed 's/^/record /'
    find /var/lib/cni/results -type f | sed 's/^/result /'
    ip -br link | sed -n -E 's/^(veth|vfr)/interface &/p'
    nft list ruleset | grep -E '(dport|[tu][cd]p) .*:' | sed 's/^/rule /'
    find /sys/fs/cgroup -mindepth 2 -type d -path '*${runtime.cgroupParent}/*' | sed 's/^/group /'
    tc qdisc show | grep -E 'tbf|clsact' | sed 's/^/qdisc /'`)
  return out.split('\n').filter(Boolean)
}

/** Nothing of pods is left, and devices are on the host again under their names. */
export async function expectNothingLeft(lab: Lab, runtime: Containerd): Promise<void> {
  expect(await leftovers(lab, runtime)).toEqual([])
  const names = (await json(lab, 'ip -j link show')).map(({ ifname }) => ifname)
  expect(names).toEqual(expect.arrayContaining(['nic0', 'nic1']))
}
