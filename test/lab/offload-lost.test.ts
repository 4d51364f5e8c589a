// Limits whose record was lost: they are known by cookie and name, so that a second ADD keeps its hands off them and GC takes
// them, with the report. Behind the distribution's Go bridge plugin, and on a VF of a simulated NIC in switchdev mode (simnic,
// from source, not hardware).
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type Attachment,
  type CniResult,
  type ConfigList,
  cniRuntime,
  type PluginConfig,
  type Runtime,
} from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { limits } from '../soak/offload-subject.ts'
import { attachToBridge, bridgeList, mainOnly, podOf, warmBridge, webAndDns } from '../support/bridge-bed.ts'
import { lab as sharedLab } from '../support/lab.ts'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  pluginPath,
  silently,
  staticIpam,
} from '../support/plugins.ts'
import { type Card, hardwareRules, loadSimnic, setMode, setVfs, unloadSimnic } from '../support/simnic.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../support/snapshot.ts'
import { deletePod, newPod } from '../support/topology.ts'

const records = '/var/lib/cni/vf-flower/offload'
const pod = 'pod-one'
const wishes = { ...limits.software }
const { ingressRate, ingressBurst, egressRate, egressBurst } = wishes
const toPod = { ingressRate, ingressBurst }
const fromPod = { egressRate, egressBurst }

let lab: Lab
let runtime: Runtime
/** The pod's interface as its main plugin left it, and how ours is called. */
let attached: CniResult
let list: ConfigList
let plugin: PluginConfig
let own: Attachment

beforeAll(async () => {
  lab = await sharedLab()
  runtime = cniRuntime(lab, pluginPath)
})

function call(command: string, capabilityArgs: Record<string, unknown>) {
  return runtime.call(command, list, plugin, { ...own, capabilityArgs }, { prevResult: attached })
}

async function add(capabilityArgs: Record<string, unknown>): Promise<void> {
  const { code, stdout, stderr } = await call('ADD', capabilityArgs)
  if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
}

const del = () => silently(runtime.call('DEL', list, plugin, { ...own, capabilityArgs: {} }))

/** GC as a runtime calls it that knows these attachments and no others. */
const gc = (valid: readonly Attachment[], keys: Record<string, unknown> = {}) =>
  runtime.call('GC', { ...list, cniVersion: '1.1.0' }, { ...plugin, ...keys }, attachment(''), {
    config: {
      'cni.dev/valid-attachments': valid.map(({ containerID, ifname }) => ({ containerID, ifname })),
    },
  })

const loseRecord = () => lab.must(`rm ${records}/*.json; ls ${records}/report/*.json`)

/** ADDs with these wishes are refused with these words, and change nothing on the host and in the pod. */
async function expectRefused(
  ...all: readonly (readonly [wishes: Record<string, unknown>, words: RegExp])[]
): Promise<void> {
  const looks = async () => [await snapshot(lab), await snapshot(lab, { namespace: pod })] as const
  const [host, inPod] = await looks()
  for (const [capabilityArgs, words] of all) {
    const { code, msg, details = '' } = errorOf(await call('ADD', capabilityArgs))
    expect([code, `${msg}; ${details}`]).toEqual([11, expect.stringMatching(words)])
  }
  // GC takes nothing either: it is listed, or lives by what its report says.
  await silently(gc([own]))
  expect(errorOf(await gc([]))).toMatchObject({ code: 103, msg: expect.stringContaining('gcLive') })
  const [hostNow, inPodNow] = await looks()
  expect([diffSnapshot(host, hostNow), diffSnapshot(inPod, inPodNow)]).toEqual([[], []])
}

describe('behind a bridge', () => {
  let before: Snapshot

  beforeAll(async () => {
    await warmBridge(lab, runtime)
  })
  afterAll(() => lab.must('ip link del cni0'))
  beforeEach(async () => {
    before = await snapshot(lab)
    await newPod(lab, pod)
    attached = await attachToBridge(lab, runtime, pod)
    plugin = { type: 'vf-offload', capabilities: { bandwidth: true, portMappings: true } }
    list = bridgeList(pod)
    own = podOf(pod)
  })
  afterEach(async () => {
    await del()
    await runtime.del(mainOnly(list), own)
    await deletePod(lab, pod)
  })

  test('limits whose record is lost: another ADD is refused, GC takes them with the report when the pod is gone', async () => {
    await add({ bandwidth: wishes })
    await loseRecord()
    const words = /served already and needs a DEL first; its record is lost, there is its "vfr/
    await expectRefused([{ bandwidth: wishes }, words], [{ portMappings: webAndDns }, words])
    // The shaper on the pair dies with the pod.
    await deletePod(lab, pod)
    expect(await lab.must('ip -br link show type ifb')).toContain('vfr')
    await silently(gc([]))
    expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
    expect(await lab.must(`find ${records} -type f`)).toBe('')
  })

  test('a shaper on the pair whose record is lost: another ADD is refused until a DEL', async () => {
    await add({ bandwidth: toPod })
    await loseRecord()
    await expectRefused([{ bandwidth: wishes }, /Cannot limit "veth.*": it has a limit of ours already/])
    await del()
    await add({ bandwidth: wishes })
  })
})

describe('in switchdev mode', () => {
  let card: Card
  let host: Snapshot

  beforeAll(async () => {
    ;[card] = (await loadSimnic(lab)) as [Card]
    await setVfs(lab, card, 1)
    await setMode(lab, card, 'switchdev')
    await lab.must(`set -e
      ip link add br-lost up type bridge stp_state 0 forward_delay 0 mcast_snooping 0
      ip link set ${card.pf} master br-lost up
      ip link set ${card.pf}rep0 up
      ip address add 10.1.0.1/24 dev br-lost`)
  })
  afterAll(async () => {
    await lab.must('ip link del br-lost')
    await unloadSimnic(lab)
  })
  beforeEach(async () => {
    const vf = (await lab.must(`basename $(readlink /sys/class/net/${card.pf}/device/virtfn0)`)).trim()
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
    own = attachment(`/run/netns/${pod}`)
    attached = await runtime.add(listOf(main), own)
    host = await snapshot(lab)
  })
  afterEach(async () => {
    await runtime.del(list, own)
    await deletePod(lab, pod)
  })

  const ports = { portMappings: webAndDns }
  test.each([
    ['both limits', { bandwidth: wishes }, 'there is its policer in the NIC'],
    ['a limit of what the pod sends', { bandwidth: fromPod }, 'there is its policer in the NIC'],
    ['limits and port mappings', { bandwidth: wishes, ...ports }, 'there is its policer in the NIC'],
  ])(
    '%s, record lost: another ADD is refused; GC with gcLive leads back to the host as before and an empty card',
    async (_, first, words) => {
      await add(first)
      await loseRecord()
      const told = new RegExp(`needs a DEL first; its record is lost, ${words}`)
      await expectRefused([first, told], [ports, told])
      expect(await lab.must('tc actions list action police')).toContain('police 0x')
      await silently(gc([], { gcLive: true }))
      expect(diffSnapshot(host, await snapshot(lab))).toEqual([])
      expect(await hardwareRules(lab, card)).toEqual([])
      expect((await lab.must('tc actions list action police')).trim()).toBe('')
      expect(await lab.must(`find ${records} -type f`)).toBe('')
    },
  )
})
