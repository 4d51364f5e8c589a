// CHECK of vf-offload for a pod behind a bridge, whose ports are the host's table and a setting of the kernel: each is
// changed with nft, ip and /proc, and CHECK names it with the value expected and the value found.
// test/lab/offload/check.test.ts has the filters and the pod's table.
// needs: veth, bridge, nft, bpf
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  attachToBridge,
  BRIDGE,
  bridgeList,
  mainOnly,
  offload,
  PODS,
  podOf,
  tryOffload,
} from '../../../hack/lab/bed/bridge-bed.ts'
import { errorOf } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, HOST, newPod } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type BridgeNode, bridgeNode } from '../../support/bridge-node.ts'

const { v4: pod } = PODS['pod-one']
const config = { localhost: true }
const setting = '/proc/sys/net/ipv4/conf/cni0/route_localnet'
let lab: Lab
let runtime: Runtime
let node: BridgeNode | undefined
let prevResult: CniResult

beforeAll(async () => {
  node = await bridgeNode()
  lab = node.lab
  runtime = node.runtime
  await newPod(lab, 'pod-one')
  prevResult = await attachToBridge(lab, runtime, 'pod-one')
  await offload(runtime, 'ADD', 'pod-one', { config, prevResult })
  await lab.must('nft list table inet vf-flower >/run/table')
})
afterAll(async () => {
  if (prevResult !== undefined) {
    await offload(runtime, 'DEL', 'pod-one', { config, prevResult })
    await runtime.del(mainOnly(bridgeList('pod-one')), podOf('pod-one'))
  }
  await deletePod(lab, 'pod-one')
  await node?.end()
  await lab.must('rm -f /run/table')
})

const check = () => tryOffload(runtime, 'CHECK', 'pod-one', { config, prevResult })
/** As the ADD made it: what was listed then, comments included. */
const reload = 'nft delete table inet vf-flower 2>/dev/null; nft -f /run/table'
/** Takes an element away, or leads it elsewhere: the first that starts so, with its comment. */
const element = (set: string, start: string, change: string) => `set -e
  element=$(nft list map inet vf-flower ${set} | grep -o '${start} [^,{}]*' | head -n 1 | sed 's/ *$//')
  [ -n "$element" ]; key=$(echo "$element" | sed 's/ counter .*//; s/ comment .*//')
  nft delete element inet vf-flower ${set} "{ $key }"
  ${change}`

/** A change: its name, the commands, the words of CHECK, and the commands that put it back. */
const rows: readonly (readonly [string, string, readonly RegExp[], string])[] = [
  [
    'the host’s table gone',
    'nft delete table inet vf-flower',
    [/expected "table inet vf-flower: { 10\.1\.0\.1 \. tcp \. 8080 comment [^}]*}", found "no such element"/],
    reload,
  ],
  [
    'a port that leads to another pod',
    element(
      'ports4',
      `${HOST.v4} . tcp . 8080`,
      `nft create element inet vf-flower ports4 "{ \${element%% : *} : ${PODS['pod-two'].v4} . 80 }"`,
    ),
    [/ : 10\.88\.0\.5 \. 80 }", found "[^}]* : 10\.88\.0\.6 \. 80 }"/],
    reload,
  ],
  [
    'the port of the loopback address',
    element('ports4', '127.0.0.1 . udp . 5353', ':'),
    [/{ 127\.0\.0\.1 \. udp \. 5353 comment [^}]* : 10\.88\.0\.5 \. 53 }", found "no such element"/],
    reload,
  ],
  [
    'a port whose clients keep their address',
    element('snat4', `${HOST.v4} . tcp . 8080`, ':'),
    [
      /expected "table inet vf-flower: { 10\.1\.0\.1 \. tcp \. 8080 comment [^}]* : jump from-[^}]*}", found "no such element"/,
    ],
    reload,
  ],
  [
    'sources whose address is not replaced any more',
    "nft flush chain inet vf-flower $(nft list table inet vf-flower | grep -o 'from-[0-9a-f]*' | head -n 1)",
    [/chain from-[0-9a-f]{32}: ip saddr [^"]* masquerade", found "nothing like it"/],
    reload,
  ],
  [
    'the guard of the loopback addresses empty',
    'nft flush chain inet vf-flower guard',
    [
      /table inet vf-flower chain guard: iifname != "?lo"? ip daddr 127\.0\.0\.0\/8 drop", found "nothing like it"/,
    ],
    reload,
  ],
  [
    'the guard of the loopback addresses behind a rule that lets everything pass',
    `nft insert rule inet vf-flower guard counter accept`,
    [/nothing else", found "chain guard: counter[^"]* accept"/],
    reload,
  ],
  [
    'a chain that translates sources without its rules',
    'nft flush chain inet vf-flower postrouting',
    [
      /chain postrouting: ct status dnat ct original ip daddr [^"]* vmap @snat4", found "nothing like it"/,
      /vmap @snat6/,
    ],
    reload,
  ],
  [
    'a chain that drops what it does not know',
    `nft chain inet vf-flower prerouting '{ policy drop; }'`,
    [/chain prerouting: policy accept", found "chain prerouting: policy drop"/],
    reload,
  ],
  [
    'the setting that lets programs of the node reach the pod at 127.0.0.1',
    `echo 0 >${setting}`,
    [/found "net\/ipv4\/conf\/cni0\/route_localnet=0"/],
    `echo 1 >${setting}`,
  ],
  [
    'the pod’s interface',
    'ip -n pod-one link set eth0 down; ip -n pod-one link set eth0 name other0',
    [/the pod has no such interface/],
    `ip -n pod-one link set other0 name eth0; ip -n pod-one link set eth0 up
     ip -n pod-one address replace ${PODS['pod-one'].v6}/64 dev eth0 nodad
     ip -n pod-one route replace default via ${BRIDGE.v4}; ip -n pod-one -6 route replace default via ${BRIDGE.v6}`,
  ],
]

describe('behind a bridge, with localhost', () => {
  test('CHECK succeeds and says nothing when nothing was changed', async () => {
    expect(await check()).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(await lab.must(`cat ${setting}`)).toBe('1\n')
    expect(await lab.must('nft list chain inet vf-flower guard')).toContain('127.0.0.0/8 drop')
    expect(await lab.must('nft list map inet vf-flower ports4')).toContain(`: ${pod} . 80`)
  })

  test('CHECK tells of an address of the node that is gone, and succeeds while others serve', async () => {
    await lab.must(`ip address del ${HOST.v4}/24 dev up0`)
    const result = await check()
    await lab.must(`ip address add ${HOST.v4}/24 dev up0; ip route replace 10.2.0.0/24 via 10.1.0.254`)
    expect(result).toMatchObject({ code: 0, stdout: '' })
    expect(result.stderr).toContain('the node does not have address 10.1.0.1 any more')
  })

  test('CHECK names a guard that is gone from the interface to the pod, and another one in its place', async () => {
    const guard = 'dev cni0 ingress pref 1 protocol all'
    const expected =
      /expected "tc filter add dev cni0 ingress protocol all prio 1 handle 0x76660001 bpf direct-action # vf_loopback: drops 127\.0\.0\.0\/8", found "(.*?)"(?=$|;)/
    const found = async () => expected.exec(errorOf(await check()).msg)?.[1]
    await lab.must(`tc filter del ${guard}`)
    expect(await found()).toBe('no such filter')
    await lab.must(`tc filter add ${guard} handle 0x76660001 bpf bytecode '1,6 0 0 0'`)
    expect(await found()).toMatch(/^bpf filter .* with another program$/)
    await lab.must(`tc filter del ${guard}`)
    await offload(runtime, 'DEL', 'pod-one', { config, prevResult })
    await offload(runtime, 'ADD', 'pod-one', { config, prevResult })
    await lab.must('nft list table inet vf-flower >/run/table')
    expect(await check()).toMatchObject({ code: 0, stdout: '' })
  })

  test.each(rows)('%s', async (_, change, words, mend) => {
    await lab.must(change)
    const result = await check()
    await lab.must(mend)
    const error = errorOf(result)
    expect(error.code).toBe(104)
    for (const one of words) expect(error.msg).toMatch(one)
    expect(await check()).toMatchObject({ code: 0, stdout: '' })
  })
})
