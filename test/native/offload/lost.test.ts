// Things of a pod behind the distribution's Go bridge plugin whose record was lost are known by name and owner: a second
// ADD keeps its hands off them, and DEL and GC take them, with the report. test/lab/offload/lost.test.ts has filters and
// limits in a card.
// needs: veth, bridge, tbf, nft
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { bridgeIsIdle, bridgeList, warmBridge, webAndDns } from '../../../hack/lab/bed/bridge-bed.ts'
import { attachment, errorOf, silently, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod } from '../../../hack/lab/bed/topology.ts'
import type { Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { RatePod, SMALL_TO_POD } from '../../support/rate-veth.ts'

const records = '/var/lib/cni/vf-flower/offload'
const pod = 'pod-one'
const plugin = { type: 'vf-offload', capabilities: { bandwidth: true, portMappings: true } }
const ports = { portMappings: webAndDns }
const limit = { bandwidth: SMALL_TO_POD }

let lab: Lab
let runtime: Runtime
let bed: RatePod
/** The host before the pod came. */
let before: Snapshot

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  await warmBridge(lab, runtime)
})
afterAll(() => lab.must('ip link del cni0'))
beforeEach(async () => {
  before = await snapshot(lab)
  bed = await RatePod.attach(lab, runtime, pod)
  await bed.remember()
})
afterEach(() => bed.end())

const call = (command: string, wishes: Record<string, unknown>) =>
  runtime.call(command, bridgeList(pod), plugin, bed.attachment(wishes), { prevResult: bed.attached })

async function add(wishes: Record<string, unknown>): Promise<void> {
  const { code, stdout, stderr } = await call('ADD', wishes)
  expect(code, `${stdout}${stderr}`).toBe(0)
}

/** GC as a runtime calls it that knows these containers and no others. */
const gc = (...valid: readonly string[]) =>
  runtime.call('GC', { ...bridgeList(pod), cniVersion: '1.1.0' }, plugin, attachment(''), {
    config: { 'cni.dev/valid-attachments': valid.map((containerID) => ({ containerID, ifname: 'eth0' })) },
  })

const loseRecord = () => lab.must(`rm ${records}/*.json; ls ${records}/report/*.json`)

/** An ADD with these wishes is refused with these words; that, and GC while the pod lives, change nothing. */
async function expectRefused(wishes: Record<string, unknown>, words: RegExp): Promise<void> {
  const there = await snapshot(lab)
  const inPod = await snapshot(lab, { namespace: pod })
  const { code, msg, details = '' } = errorOf(await call('ADD', wishes))
  expect([code, `${msg}; ${details}`]).toEqual([11, expect.stringMatching(words)])
  // GC takes nothing either: it is listed, or lives by what its report says.
  await silently(gc(pod))
  expect(errorOf(await gc())).toMatchObject({ code: 103, msg: expect.stringContaining('gcLive') })
  expect(diffSnapshot(there, await snapshot(lab))).toEqual([])
  expect(diffSnapshot(inPod, await snapshot(lab, { namespace: pod }))).toEqual([])
}

test('a shaper on the pair whose record is lost refuses another ADD behind a bridge until a DEL', async () => {
  await add(limit)
  await loseRecord()
  await expectRefused(limit, /Cannot limit "veth.*": it has a limit of ours already/)
  await bed.del()
  await add(limit)
  await bed.leavesNothing()
})

test('port mappings whose record is lost refuse another ADD, and GC takes them with the report when the pod is gone', async () => {
  await add(ports)
  await loseRecord()
  await expectRefused(ports, /served already and needs a DEL first; its record is lost/)
  await deletePod(lab, pod)
  expect(await lab.must('nft list table inet vf-flower')).toContain('8080')
  await silently(gc())
  expect(await lab.must(`nft list tables; find ${records} -type f`)).toBe('')
  await bridgeIsIdle(lab)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})

test('DEL takes port mappings whose record is lost, with next to nothing to go by', async () => {
  await add(ports)
  await loseRecord()
  await bed.leavesNothing()
  await bed.del()
})

test('DEL and GC clear records of a node that comes back after a crash without anything that they speak of', async () => {
  await add({ ...ports, ...limit })
  // As a node is after it was switched off and on, but for the pod, which the runtime makes anew.
  await lab.must(`nft flush ruleset; rm -rf /run/vf-flower; tc qdisc del dev ${bed.peer} root
    tc qdisc del dev cni0 clsact; echo 0 >/proc/sys/net/ipv4/conf/cni0/route_localnet`)
  await deletePod(lab, pod)
  await silently(gc())
  expect(await lab.must(`nft list tables; find ${records} -type f`)).toBe('')
  await bed.del()
  await bridgeIsIdle(lab)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
