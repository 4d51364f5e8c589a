// An ADD of port mappings on a wire, as far as a kernel without flower can carry it: what is refused before the first change,
// and what is taken back. The wire is a veth pair. The pod's port must be a NIC, which has no kind to the kernel: here that is
// true of its loopback interface alone, which has an address of the wire's network.
// needs: veth, nft, conntrack
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { attachment, errorOf, listOf, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab, LabProcess } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const NODE = '10.8.0.1'
const SERVER = '10.8.0.2'
const setting = '/proc/sys/net/ipv4/ip_local_reserved_ports'
const ports = [
  { hostPort: 50_050, containerPort: 80, protocol: 'tcp' },
  { hostPort: 50_051, containerPort: 53, protocol: 'udp' },
]
const other = [{ hostPort: 50_060, containerPort: 80, protocol: 'tcp' }]
const prevResult = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'lo', sandbox: '/run/netns/kept-pod' }],
  ips: [{ address: '10.8.0.5/24', interface: 0 }],
}

let lab: Lab
let runtime: Runtime
const running: LabProcess[] = []

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  for (const name of ['kept-pod', 'kept-server', 'kept-client']) await newPod(lab, name)
  await lab.must(`set -e
    ip link add wire0 type veth peer name eth0 netns kept-server
    ip link add side0 type veth peer name eth0 netns kept-client
    ip address add ${NODE}/24 dev wire0; ip link set wire0 up
    ip address add 10.9.0.1/24 dev side0; ip link set side0 up
    ip -n kept-server address add ${SERVER}/24 dev eth0; ip -n kept-server link set eth0 up
    ip -n kept-client address add 10.9.0.2/24 dev eth0; ip -n kept-client link set eth0 up
    ip -n kept-client route add default via 10.9.0.1
    ip -n kept-pod address add 10.8.0.5/24 dev lo
    echo 1 >/proc/sys/net/ipv4/ip_forward
    nft -f - <<END
table ip others { chain out { type nat hook postrouting priority srcnat; ip saddr 10.9.0.0/24 masquerade; }; }
END
    # The operator's own.
    echo 7000-7002,50051 >${setting}
    while ip -6 address show tentative | grep -q inet6; do sleep 0.05; done`)
  await hold('kept-server', 'TCP4-LISTEN:9000,fork')
  await hold('kept-server', 'TCP4-LISTEN:9002,fork')
  await lab.must(`until ip netns exec kept-server ss -Hltn | grep -c :900 | grep -q 2; do sleep 0.05; done`)
  running.length = 0
})
afterAll(async () => {
  for (const name of ['kept-pod', 'kept-server', 'kept-client']) await deletePod(lab, name)
  await lab.must(
    `nft delete table ip others; echo >${setting}; ip link del wire0 2>/dev/null; ip link del side0 2>/dev/null; true`,
  )
})
afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill('SIGKILL')
    await child.wait()
  }
})

async function hold(where: string | null, end: string): Promise<void> {
  const argv = `${inside(where)} socat ${end} PIPE`.trim().split(' ')
  running.push(await lab.spawn(argv, { timeoutMs: 0, stdin: '' }))
}

const inside = (where: string | null) => (where === null ? '' : `ip netns exec ${where}`)

const add = (config: Record<string, unknown> = {}, portMappings: unknown = ports) => {
  const plugin = { type: 'vf-offload', capabilities: { portMappings: true }, uplink: 'wire0', ...config }
  const pod = attachment('/run/netns/kept-pod', { ifname: 'lo', capabilityArgs: { portMappings } })
  return runtime.call('ADD', listOf(plugin), plugin, pod, { prevResult })
}

test('without a classifier it is taken back whole: the setting, the table and the note', async () => {
  const before = await snapshot(lab)
  const { code, msg } = errorOf(await add())
  expect({ code, msg }).toEqual({ code: 102, msg: expect.stringMatching(/^Cannot run "tc filter add/) })
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  expect((await lab.must(`cat ${setting}`)).trim()).toBe('7000-7002,50051')
})

test.each([
  [
    'a program of the node has a connection',
    null,
    `TCP4:${SERVER}:9000,bind=${NODE}:50050`,
    /^Cannot map tcp 10\.8\.0\.1 port 50050: socat \(process \d+\) has a connection from it to 10\.8\.0\.2 port 9000; allowConnected true/,
  ],
  [
    'a program of the node has a connected UDP socket',
    null,
    `UDP4:${SERVER}:9000,bind=${NODE}:50051`,
    /^Cannot map udp 10\.8\.0\.1 port 50051: socat \(process \d+\) has a connection from it to 10\.8\.0\.2 port 9000;/,
  ],
  [
    'a program of the node waits for answers',
    null,
    'UDP4-RECV:50051',
    /^Cannot map udp 10\.8\.0\.1 port 50051: socat \(process \d+\) waits for answers on 0\.0\.0\.0 port 50051;/,
  ],
  [
    'a connection of another pod is translated',
    'kept-client',
    `TCP4:${SERVER}:9002,bind=10.9.0.2:50050`,
    /^Cannot map tcp 10\.8\.0\.1 port 50050: a connection of 10\.9\.0\.2 port 50050 to 10\.8\.0\.2 port 9002 is translated to it;/,
  ],
])('a port from which %s is refused with both ends, unless that is allowed', async (_, where, end, words) => {
  const before = await snapshot(lab)
  await hold(where, end)
  // Before it is open an ADD would have it translated to another port.
  const [, port] = /:(5005\d)$|=[^:]+:(5005\d)/.exec(end)?.filter((one) => one !== undefined) ?? []
  await lab.must(
    `until ${inside(where)} ss -Hatun | grep -v TIME-WAIT | grep -q :${port}; do sleep 0.05; done`,
  )
  expect(errorOf(await add()).msg).toMatch(words)
  expect(errorOf(await add({ allowConnected: true })).code).toBe(102)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  // Other ports have nothing to do with it.
  expect(errorOf(await add({}, other)).code).toBe(102)
})

test('a connection of the node to one of its own addresses loses nothing', async () => {
  await hold(null, `TCP4-LISTEN:9001,bind=${NODE}`)
  await lab.must('until ss -Hltn | grep -q :9001; do sleep 0.05; done')
  await hold(null, `TCP4:${NODE}:9001,bind=${NODE}:50060`)
  await lab.must(`until ss -Htn state established sport = :50060 | grep -q 9001; do sleep 0.05; done`)
  expect(errorOf(await add({}, other)).code).toBe(102)
})
