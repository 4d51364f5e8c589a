// Limits in a card whose record was lost are known by cookie: a second ADD keeps its hands off them, and GC takes them,
// with the report. On a VF of a simulated NIC in switchdev mode (simnic, from source, not hardware).
// test/native/offload/lost.test.ts and test/native/bandwidth/detour.test.ts have pods behind a bridge.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { webAndDns } from '../../../hack/lab/bed/bridge-bed.ts'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  silently,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { stateDifferences, stateScript } from '../../../hack/lab/bed/port-state.ts'
import {
  bridgedVf,
  type Card,
  hardwareRules,
  loadSimnic,
  unloadSimnic,
} from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, linkIsReady, newPod } from '../../../hack/lab/bed/topology.ts'
import type {
  Attachment,
  CniResult,
  ConfigList,
  PluginConfig,
  Runtime,
} from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { limits } from '../../soak/offload-subject.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const records = '/var/lib/cni/vf-flower/offload'
const pod = 'pod-one'
const own: Attachment = attachment(`/run/netns/${pod}`)
const wishes = { ...limits.software }
const { egressRate, egressBurst } = wishes
const ports = { portMappings: webAndDns }

let lab: Lab
let runtime: Runtime
let card: Card
let list: ConfigList
let plugin: PluginConfig
/** The pod's interface as vf-attach left it, once for all tests: they call vf-offload alone. */
let attached: CniResult
/** The host then, and what rules and limits change. */
let host: Snapshot
let state: string
let hostState: string

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  ;[card] = (await loadSimnic(lab)) as [Card]
  const vf = await bridgedVf(lab, card, 'br-lost')
  await newPod(lab, pod)
  const main = attachConfig(vf, {
    ipam: staticIpam('10.1.0.5/24'),
    announce: { count: 0 },
    bridge: 'br-lost',
  })
  plugin = {
    type: 'vf-offload',
    deviceID: vf,
    capabilities: { bandwidth: true, portMappings: true },
    offload: 'require',
  }
  list = listOf(main, plugin)
  attached = await runtime.add(listOf(main), own)
  await linkIsReady(lab, pod)
  host = await snapshot(lab)
  state = await lookAtState()
  hostState = await lookAtState([])
})
afterAll(async () => {
  try {
    // After all that the tests have done.
    expect(diffSnapshot(host, await snapshot(lab))).toEqual([])
  } finally {
    await runtime.del(list, own)
    await deletePod(lab, pod)
    await lab.must('ip link del br-lost')
    await unloadSimnic(lab)
  }
})

/** All that rules and limits change on the host and in the pod. */
const lookAtState = (pods = [{ name: pod }]) => lab.must(stateScript(card.pf, pods))

const add = (capabilityArgs: Record<string, unknown>) =>
  runtime.call('ADD', list, plugin, { ...own, capabilityArgs }, { prevResult: attached })

/** GC as a runtime calls it that knows these attachments and no others. */
const gc = (valid: readonly Attachment[], keys: Record<string, unknown> = {}) =>
  runtime.call('GC', { ...list, cniVersion: '1.1.0' }, { ...plugin, ...keys }, attachment(''), {
    config: {
      'cni.dev/valid-attachments': valid.map(({ containerID, ifname }) => ({ containerID, ifname })),
    },
  })

test.each([
  ['both limits', { bandwidth: wishes }],
  ['a limit of what the pod sends', { bandwidth: { egressRate, egressBurst } }],
  ['limits and port mappings', { bandwidth: wishes, ...ports }],
])(
  'in switchdev mode, %s, record lost: another ADD is refused; GC with gcLive leads back to the host as before and an empty card',
  async (_, first) => {
    const { code, stdout, stderr } = await add(first)
    expect(code, `${stdout}${stderr}`).toBe(0)
    await lab.must(`rm ${records}/*.json; ls ${records}/report/*.json`)
    const there = await lookAtState()
    for (const again of [first, ports]) {
      const error = errorOf(await add(again))
      expect([error.code, `${error.msg}; ${error.details ?? ''}`]).toEqual([
        11,
        expect.stringMatching(/needs a DEL first; its record is lost, there is its policer in the NIC/),
      ])
    }
    // GC takes nothing either: it is listed, or lives by what its report says.
    await silently(gc([own]))
    expect(errorOf(await gc([]))).toMatchObject({ code: 103, msg: expect.stringContaining('gcLive') })
    expect(stateDifferences(there, await lookAtState())).toEqual([])
    expect(await lab.must('tc actions list action police')).toContain('police 0x')
    await silently(gc([], { gcLive: true }))
    expect(stateDifferences(hostState, await lookAtState([]))).toEqual([])
    expect(await hardwareRules(lab, card)).toEqual([])
    expect((await lab.must(`tc actions list action police; find ${records} -type f`)).trim()).toBe('')
    // Things in the pod go with the pod, or by DEL.
    await silently(runtime.call('DEL', list, plugin, own))
    expect(stateDifferences(state, await lookAtState())).toEqual([])
  },
)
