// CHECK of vf-attach on igb VFs: what the PF holds for the VF, and which device is in the pod, is changed with ip, and CHECK
// names it. One ADD for all: each change is taken back. What any interface can show is in test/native/attach/check.test.ts.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attachConfig, attachment, errorOf, listOf, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod, type Topology } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { makeVfs, removeVfs } from '../../support/vfs.ts'

const MAC = '02:00:00:00:00:51'

let lab: Lab
let runtime: Runtime
let topology: Topology
let before: Snapshot
let pod: string
let result: CniResult

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  topology = await makeVfs(lab, 2)
  before = await snapshot(lab)
  pod = await newPod(lab, 'pod-one')
  result = await runtime.add(listOf(config()), attachment(pod))
})

afterAll(async () => {
  if (topology === undefined) return
  await deletePod(lab, 'pod-one')
  await removeVfs(lab, topology)
})

function config(more: Record<string, unknown> = {}) {
  const wishes = { mac: MAC, vlan: 9, vlanQoS: 2, spoofchk: 'off', trust: 'on', max_tx_rate: 300, mtu: 1400 }
  return attachConfig(topology.vfs[0]?.pci ?? '', { ...wishes, ...more })
}

const check = () => runtime.call('CHECK', listOf(config()), config(), attachment(pod), { prevResult: result })

/** $PF, and the names of both VFs' interfaces. */
const env = () => ({
  PF: topology.pf,
  OWN: topology.vfs[0]?.netdev ?? '',
  OTHER: topology.vfs[1]?.netdev ?? '',
})

const inPod = 'ip -n pod-one'

describe('CHECK names what is not as ADD left it', () => {
  test('CHECK succeeds and says nothing after an ADD', async () => {
    expect(await check()).toMatchObject({ code: 0, stdout: '' })
  })

  test.each([
    [
      'VLAN',
      'ip link set $PF vf 0 vlan 12 qos 2',
      [/VF 0 of "\w+" has vlan \{"id":12,/, /not \{"id":9,/],
      'ip link set $PF vf 0 vlan 9 qos 2',
    ],
    [
      'VLAN priority',
      'ip link set $PF vf 0 vlan 9 qos 3',
      [/has vlan .*"qos":3.* not .*"qos":2/],
      'ip link set $PF vf 0 vlan 9 qos 2',
    ],
    ['no VLAN', 'ip link set $PF vf 0 vlan 0', [/has vlan \{"id":0,/], 'ip link set $PF vf 0 vlan 9 qos 2'],
    [
      'spoof check',
      'ip link set $PF vf 0 spoofchk on',
      [/has spoofchk true, not false/],
      'ip link set $PF vf 0 spoofchk off',
    ],
    [
      'trust',
      'ip link set $PF vf 0 trust off',
      [/has trust false, not true/],
      'ip link set $PF vf 0 trust on',
    ],
    [
      'rate',
      'ip link set $PF vf 0 max_tx_rate 200',
      [/has rate .*"max":200.* not .*"max":300/],
      'ip link set $PF vf 0 max_tx_rate 300',
    ],
    [
      "PF's MAC",
      'ip link set $PF vf 0 mac 02:00:00:00:00:99',
      [/has mac 02:00:00:00:00:99, not 02:/],
      `ip link set $PF vf 0 mac ${MAC}`,
    ],
    [
      'several things at once: all of them',
      `ip link set $PF vf 0 trust off; ${inPod} link set net1 mtu 1300 down`,
      [/trust false.*"net1" is down.*MTU 1300/],
      `ip link set $PF vf 0 trust on; ${inPod} link set net1 mtu 1400 up`,
    ],
    [
      'software interface under the name',
      `${inPod} link set net1 down; ${inPod} link set net1 name mine
      ${inPod} link add net1 address ${MAC} mtu 1400 up type dummy`,
      [/"net1" is of kind "dummy", not "0000:/],
      `${inPod} link del net1; ${inPod} link set mine name net1 up`,
    ],
    [
      'VF given back to the host, another one under the name',
      `${inPod} link set net1 down; ${inPod} link set net1 name $OWN netns 1
      ip link set $OTHER netns pod-one name net1 up`,
      [/"net1" is "0000:[^"]*", not "0000:/],
      `${inPod} link set net1 down name $OTHER netns 1; ip link set $OWN netns pod-one name net1`,
    ],
  ] as [string, string, RegExp[], string][])('%s', async (_, change, words, mend) => {
    await lab.must(change, { env: env() })
    const error = errorOf(await check())
    await lab.must(mend, { env: env() })
    for (const word of words) expect(error.msg).toMatch(word)
    expect(error.code).toBe(104)
  })

  test("CHECK compares the interface's own MAC where the PF has set none", async () => {
    // Another VF: igb does not tell whether a PF has set a MAC or heard it from the VF, so DEL sets the one it saw.
    const plugin = config({ deviceID: topology.vfs[1]?.pci, mac: undefined, trust: undefined })
    const other = attachment(pod, { containerID: 'pod-two', ifname: 'net2' })
    const prevResult = await runtime.add(listOf(plugin), other)
    await lab.must(`${inPod} link set net2 address 02:00:00:00:00:77`)
    const error = errorOf(await runtime.call('CHECK', listOf(plugin), plugin, other, { prevResult }))
    expect(error).toMatchObject({
      code: 104,
      msg: expect.stringMatching(/"net2" has MAC 02:00:00:00:00:77, not /),
    })
    await runtime.del(listOf(plugin), other)
  })
})

test('DEL leaves nothing of all these differences', async () => {
  await runtime.del(listOf(config()), attachment(pod))
  await deletePod(lab, 'pod-one')
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
