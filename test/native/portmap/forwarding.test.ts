// A host port of a pod with the end of a veth, on a node that does not forward: the ADD says in its report who is not served, the node's own
// programs are, and clients on the wire are from the moment on that it forwards. Where it forwards there is no such line.
// needs: veth, nft, conntrack
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachment, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { ask, serve, tryAsk } from '../../../hack/lab/bed/traffic.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const NODE = '10.8.0.1'
const setting = '/proc/sys/net/ipv4/ip_forward'
const list = {
  ...{ cniVersion: '1.0.0', name: 'still' },
  plugins: [
    {
      ...{ type: 'vf-attach', device: 'still0' },
      ipam: {
        type: 'static',
        addresses: [{ address: '10.9.0.2/24', gateway: '10.9.0.1' }],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
    { type: 'vf-offload', capabilities: { portMappings: true } },
  ],
}
const ports = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]

let lab: Lab
beforeAll(async () => {
  lab = await sharedLab()
  for (const name of ['still-pod', 'still-client']) await newPod(lab, name)
  await lab.must(`set -e
    ip link add wire0 type veth peer name eth0 netns still-client
    ip address add ${NODE}/24 dev wire0; ip link set wire0 up
    ip -n still-client address add 10.8.0.2/24 dev eth0; ip -n still-client link set eth0 up
    ip link add still0 type veth peer name still-end
    ip address add 10.9.0.1/24 dev still-end; ip link set still-end up`)
})
afterAll(async () => {
  for (const name of ['still-pod', 'still-client']) await deletePod(lab, name)
  await lab.must(`echo 0 >${setting}; ip link del wire0 2>/dev/null; ip link del still-end 2>/dev/null
    nft flush ruleset; rm -rf /var/lib/cni/*`)
})

test.each([
  ['does not forward', '0'],
  ['forwards', '1'],
])('a node that %s', async (_, value) => {
  await lab.must(`echo ${value} >${setting}`)
  const runtime = testRuntime(lab)
  const pod = attachment('/run/netns/still-pod', { capabilityArgs: { portMappings: ports } })
  const result = await runtime.add(list, pod)
  const report = await lab.must('cat /var/lib/cni/vf-flower/offload/report/*')
  const words = 'the node does not forward IPv4 (net.ipv4.ip_forward): clients on the wire and other pods'
  if (value === '0') expect(report).toContain(words)
  else expect(report).not.toContain('does not forward')
  const server = await serve(lab, 'still-pod', [{ protocol: 'tcp', port: 80, name: 'still' }])
  const question = { protocol: 'tcp', address: NODE, port: 8080, timeoutMs: 1000 } as const
  expect(await ask(lab, null, [question])).toMatchObject([{ ok: true }])
  expect(await tryAsk(lab, 'still-client', [question])).toMatchObject([{ ok: value === '1' }])
  if (value === '0') {
    await lab.must(`echo 1 >${setting}`)
    expect(await ask(lab, 'still-client', [question])).toMatchObject([{ ok: true }])
  }
  await server.stop()
  await runtime.del(list, pod, result)
})
