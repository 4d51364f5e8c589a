// DEL and GC take things of the attachment that they are called for, by its record or by the marks that follow from it,
// and nobody else's, whatever the namespace of the call looks like.
// needs: veth, bridge, tbf, nft, ifb, u32
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { bridgeList, type PodName, podOf, warmBridge, webAndDns } from '../../../hack/lab/bed/bridge-bed.ts'
import { json, pluginPath, silently, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { limiting, OWN_HANDLE, RatePod, SMALL, SMALL_TO_POD, shapersOf } from '../../support/rate-veth.ts'

const [one, two] = ['pod-one', 'pod-two'] as const
const records = '/var/lib/cni/vf-flower/offload'

let lab: Lab
let runtime: Runtime
let bed: RatePod
let other: RatePod

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  await warmBridge(lab, runtime)
  bed = await RatePod.attach(lab, runtime, one)
  other = await RatePod.attach(lab, runtime, two)
  await bed.remember()
})
afterAll(async () => {
  await bed?.end()
  await other?.end()
  await lab.must('ip link del cni0')
})
afterEach(async () => {
  await bed.del()
  await other.del()
})

const both = limiting({}, { bandwidth: true, portMappings: true })

/** A call for pod one with whatever differs from it. */
function call(
  command: string,
  {
    network = bridgeList(one).name,
    ...who
  }: { network?: string; containerID?: string; ifname?: string } = {},
  more: { prevResult?: CniResult; config?: object } = {},
) {
  const capabilityArgs = { portMappings: webAndDns, bandwidth: SMALL }
  const list = { ...bridgeList(one), name: network }
  const { prevResult, config } = more
  return runtime.call(
    command,
    list,
    { ...both, ...config },
    { ...podOf(one), capabilityArgs, ...who },
    {
      ...(prevResult === undefined ? {} : { prevResult }),
    },
  )
}

/** All that ours can make in a pod. */
const inPod = (pod: PodName) =>
  lab.must(`set -e; ip -n ${pod} rule; ip -n ${pod} -6 rule; ip -n ${pod} route show table all
    tc -n ${pod} qdisc show; ip netns exec ${pod} nft list ruleset; ip -n ${pod} link`)

const strangers = [
  ['another container in the same namespace', { containerID: 'stranger' }],
  ['another network', { network: 'elsewhere' }],
  ['another interface', { ifname: 'eth1' }],
] as const

test.each([
  ['with its record', false],
  ['without any record', true],
])('DEL and GC of strangers leave limits, mappings and notes of an attachment %s', async (_, isLost) => {
  const added = await call('ADD', {}, { prevResult: bed.attached, config: { localhost: true } })
  expect(added.code, added.stdout + added.stderr).toBe(0)
  expect((await shapersOf(lab)).map(({ dev }) => dev)).toContain(bed.peer)
  if (isLost) await lab.must(`rm -r ${records}`)
  const [before, pod] = [await snapshot(lab), await inPod(one)]
  const filters = () => lab.must(`tc filter show dev ${bed.peer} ingress`)
  const filter = await filters()
  for (const [, who] of strangers) {
    await silently(call('DEL', who))
    await silently(call('DEL', who))
  }
  const list = { 'cni.dev/valid-attachments': [] }
  await silently(
    runtime.call(
      'GC',
      { ...bridgeList(one), name: 'elsewhere', cniVersion: '1.1.0' },
      { ...both, ...list },
      podOf(one),
      {},
    ),
  )
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  expect([await inPod(one), await filters()]).toEqual([pod, filter])
  await silently(call('DEL'))
  await bed.isAsBefore()
})

test('a shaper of a former version is checked, shown and removed by its record, and by nobody else', async () => {
  const result = await bed.add(SMALL_TO_POD)
  const [made] = await shapersOf(lab)
  expect(made?.handle).toMatch(OWN_HANDLE)
  // That version gave all the same handle, and its records have no cookie for a shaper.
  await lab.must(`set -e
    tc qdisc del dev ${bed.peer} root
    tc qdisc add dev ${bed.peer} root handle 7666: tbf rate 8kbit burst 1518b limit 13662b
    perl -0pi -e 's/,\\s*"cookie": "[0-9a-f]+"//' ${records}/*.json`)
  await silently(bed.call('CHECK', SMALL_TO_POD, result))
  expect(await lab.must(`${pluginPath[0]}/vfctl show`)).toContain('root handle 7666: tbf')
  await silently(call('DEL', { containerID: 'stranger' }))
  expect((await shapersOf(lab)).map(({ handle }) => handle)).toEqual(['7666:'])
  await bed.leavesNothing()
})

test('a second limit of one interface is refused, whoever asks, and leaves the first', async () => {
  await bed.add(SMALL_TO_POD)
  const shapers = await shapersOf(lab)
  const again = await call('ADD', { containerID: 'stranger' }, { prevResult: bed.attached })
  expect(JSON.parse(again.stdout)).toMatchObject({
    code: 11,
    msg: expect.stringContaining('has a limit of ours already'),
  })
  expect(await shapersOf(lab)).toEqual(shapers)
})

/**
 * Has pod two look as if it were pod one: an `eth0` with the number of pod one's, whose other end has the number of the host's end, in
 * a namespace that it has a number for.
 */
async function disguise(): Promise<void> {
  const [eth0] = await json(lab, `ip -n ${one} -j link show dev eth0`)
  const [peer] = await json(lab, `ip -j link show dev ${bed.peer}`)
  await lab.must(`set -e
    ip netns add behind; ip -n ${two} link set eth0 netns behind name eth9
    ip -n ${two} link add eth0 index ${eth0?.ifindex} type veth peer name fake index ${peer?.ifindex}
    ip -n ${two} link set fake netns behind; ip -n ${two} link set eth0 up`)
}

test.each([
  ['with its record', false],
  ['without any record', true],
])('a pod that makes itself look like another one loses its own limit alone, %s', async (_, isLost) => {
  await bed.add(SMALL_TO_POD)
  await other.add(SMALL_TO_POD)
  try {
    await disguise()
    if (isLost) await lab.must(`rm -r ${records}`)
    await other.del()
    const left = (await shapersOf(lab)).map(({ dev }) => dev)
    expect(left).toContain(bed.peer)
    // Without a record nothing leads to the other end of a pair that the pod hides: it goes with the pod.
    expect(left.includes(other.peer)).toBe(isLost)
    if (isLost) await lab.must(`tc qdisc del dev ${other.peer} root`)
  } finally {
    await lab.must(`set -e
      ip -n ${two} link del eth0; ip -n behind link set eth9 netns ${two} name eth0; ip netns del behind`)
  }
})
