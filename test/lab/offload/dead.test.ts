// A pod whose namespace went without a DEL has left filters, policers and a rate in a card. The next pod that gets the VF
// is served in the NIC as if none of them were there. On a simulated NIC in switchdev mode (simnic, from source, not
// hardware); test/native/offload/dead.test.ts has pods behind a bridge.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { webAndDns } from '../../../hack/lab/bed/bridge-bed.ts'
import { attachConfig, attachment, listOf, staticIpam, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { stateDifferences, stateScript } from '../../../hack/lab/bed/port-state.ts'
import {
  bridgedVf,
  type Card,
  hardwareRules,
  loadSimnic,
  unloadSimnic,
} from '../../../hack/lab/bed/simnic.ts'
import { deletePod, linkIsReady, newPod } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { limits } from '../../soak/offload-subject.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { recordedLimits } from '../../support/rate-bed.ts'

const pods = ['pod-one', 'pod-two'] as const
type Pod = (typeof pods)[number]
const ports = { portMappings: webAndDns }

let lab: Lab
let runtime: Runtime
let card: Card
let list: ConfigList
/** The state of the host that mappings and limits change, before there are any. */
let before: string

const lookAtHost = () => lab.must(stateScript(card.pf, []))
const of = (pod: Pod, capabilityArgs: Record<string, unknown> = {}) =>
  attachment(`/run/netns/${pod}`, { containerID: pod, capabilityArgs })

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  ;[card] = (await loadSimnic(lab)) as [Card]
  const vf = await bridgedVf(lab, card, 'br-dead')
  // Every pod that gets the VF has one and the same MAC address: the place of a filter.
  const more = { ipam: staticIpam('10.1.0.5/24'), announce: { count: 0 }, mac: '02:00:00:00:00:77' }
  list = listOf(attachConfig(vf, { ...more, bridge: 'br-dead' }), {
    ...{ type: 'vf-offload', deviceID: vf, offload: 'require' },
    capabilities: { bandwidth: true, portMappings: true },
  })
  before = await lookAtHost()
})
afterAll(async () => {
  await lab.must('ip link del br-dead')
  await unloadSimnic(lab)
})
afterEach(async () => {
  for (const pod of pods) {
    await runtime.del(list, of(pod))
    await deletePod(lab, pod)
  }
})

/** Gives the VF to a pod by vf-attach alone. */
async function attach(pod: Pod): Promise<CniResult> {
  await newPod(lab, pod)
  const attached = await runtime.add({ ...list, plugins: list.plugins.slice(0, 1) }, of(pod))
  await linkIsReady(lab, pod)
  return attached
}

/** ADD of vf-offload that succeeds; what it says on stderr. */
async function add(pod: Pod, wishes: Record<string, unknown>, prevResult: CniResult): Promise<string> {
  const [, plugin] = list.plugins
  if (plugin === undefined) throw new TypeError('no plugin')
  const { code, stdout, stderr } = await runtime.call('ADD', list, plugin, of(pod, wishes), { prevResult })
  expect(code, `${stdout}${stderr}`).toBe(0)
  return stderr
}

/** Filters in the card by their text, which names the VF and no pod, and the limits of the one record. */
const inCard = async () => ({
  rules: (await hardwareRules(lab, card)).map(({ text }) => text).sort(),
  limits: await recordedLimits(lab),
})

const { egressRate, egressBurst, ingressRate, ingressBurst } = limits.software
test.each([
  ['port mappings', ports],
  ['a limit of what the pod sends', { bandwidth: { egressRate, egressBurst } }],
  ['a limit of what comes to the pod', { bandwidth: { ingressRate, ingressBurst } }],
  ['port mappings and limits', { ...ports, bandwidth: limits.software }],
])('the next pod that gets the VF has %s of the dead one in the card anew', async (_, wishes) => {
  await add('pod-one', wishes, await attach('pod-one'))
  const first = await inCard()
  expect(first.rules.length + first.limits.length).toBeGreaterThan(0)
  await deletePod(lab, 'pod-one')
  const prevResult = await attach('pod-two')
  expect(await add('pod-two', wishes, prevResult)).toContain('the namespace of container "pod-one"')
  const { rules, limits: now } = await inCard()
  expect(now).toEqual(first.limits)
  expect(rules.length).toBe(first.rules.length)
  await runtime.del(list, of('pod-two'))
  expect(await hardwareRules(lab, card)).toEqual([])
  expect(stateDifferences(before, await lookAtHost())).toEqual([])
})

test('the rate of a dead pod goes with its ports, and does not become the next one’s', async () => {
  await add('pod-one', { ...ports, bandwidth: limits.nic }, await attach('pod-one'))
  expect(await lab.must('devlink port function rate show')).toContain('tx_max 9Mbit')
  await deletePod(lab, 'pod-one')
  await add('pod-two', ports, await attach('pod-two'))
  expect(await lab.must('devlink port function rate show')).not.toContain('tx_max 9Mbit')
  await runtime.del(list, of('pod-two'))
  expect(stateDifferences(before, await lookAtHost())).toEqual([])
})
