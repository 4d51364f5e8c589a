// CHECK of vf-attach for the PF-side attributes that igb does not take: on a VF of simnic in legacy mode each is changed
// with ip, and CHECK names it. One ADD for all: each change is taken back.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachConfig, attachment, errorOf, listOf, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { type Card, loadSimnic, setVfs, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

let lab: Lab
let runtime: Runtime
let card: Card
let before: Snapshot
let pod: string
let result: CniResult

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  ;[card] = (await loadSimnic(lab, { totalVfs: 1 })) as [Card]
  await setVfs(lab, card, 1)
  pod = await newPod(lab, 'pod-one')
  before = await snapshot(lab)
  result = await runtime.add(listOf(config()), attachment(pod))
  await runtime.check(listOf(config()), attachment(pod), result)
})
afterAll(async () => {
  await deletePod(lab, 'pod-one')
  await unloadSimnic(lab)
})

const config = () =>
  attachConfig(`${card.pci.slice(0, -1)}1`, {
    ...{ vlan: 9, vlanQoS: 2, vlanProto: '802.1ad', min_tx_rate: 100, max_tx_rate: 300 },
    ...{ link_state: 'enable', spoofchk: 'off', trust: 'on' },
  })

test.each([
  ['link state', 'state disable', 'state enable', 'has linkState disable, not enable'],
  ['link state as it was', 'state auto', 'state enable', 'has linkState auto, not enable'],
  [
    'lower rate',
    'min_tx_rate 50',
    'min_tx_rate 100',
    'has rate {"min":50,"max":300}, not {"min":100,"max":300}',
  ],
  [
    'no lower rate',
    'min_tx_rate 0',
    'min_tx_rate 100',
    'has rate {"min":0,"max":300}, not {"min":100,"max":300}',
  ],
  [
    'upper rate',
    'max_tx_rate 200',
    'max_tx_rate 300',
    'has rate {"min":100,"max":200}, not {"min":100,"max":300}',
  ],
  [
    'protocol of the VLAN',
    'vlan 9 qos 2 proto 802.1q',
    'vlan 9 qos 2 proto 802.1ad',
    'has vlan {"id":9,"qos":2,"proto":33024}, not {"id":9,"qos":2,"proto":34984}',
  ],
  ['spoof check', 'spoofchk on', 'spoofchk off', 'has spoofchk true, not false'],
  ['trust', 'trust off', 'trust on', 'has trust false, not true'],
])('%s', async (_, change, mend, words) => {
  await lab.must(`ip link set ${card.pf} vf 0 ${change}`)
  const error = errorOf(
    await runtime.call('CHECK', listOf(config()), config(), attachment(pod), { prevResult: result }),
  )
  await lab.must(`ip link set ${card.pf} vf 0 ${mend}`)
  expect(error.msg).toContain(`VF 0 of "${card.pf}" ${words}`)
  expect(error.code).toBe(104)
})

test('DEL leaves nothing of all these differences', async () => {
  await runtime.check(listOf(config()), attachment(pod), result)
  await runtime.del(listOf(config()), attachment(pod), result)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
