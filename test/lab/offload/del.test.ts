// DEL and GC of vf-offload when there is nothing left to go by but cookies: the record lost, the uplink under another
// name, in another mode or gone, and other programs at work on the same device. On simnic (from source, not hardware), which
// is there once for all tests: the last ones take it away.
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  offloadConfig,
  silently,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { stateDifferences, stateScript } from '../../../hack/lab/bed/port-state.ts'
import { type Card, loadSimnic, setMode, setVfs, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { identityOf } from '../../../src/offload/state/identity.ts'
import { lab } from '../../support/lab.ts'

const HOST = '10.1.0.1'
const records = '/var/lib/cni/vf-flower/offload'
/** Each with a VF of its own; the second is there for the end. */
const pods = [
  { name: 'pod-one', address: '10.1.0.5', ports: [8080, 5353] },
  { name: 'pod-two', address: '10.1.0.6', ports: [8081, 5354] },
] as const
type Pod = (typeof pods)[number]
const [one, two] = pods

let vm: Lab
let runtime: Runtime
let card: Card
let vfs: readonly string[]
const attached = new Map<Pod, CniResult>()
/** Host and pod with both VFs attached, before vf-offload came. */
let host: Snapshot
let inPod: Snapshot

beforeAll(async () => {
  vm = await lab()
  runtime = testRuntime(vm)
  ;[card] = (await loadSimnic(vm)) as [Card]
  await setVfs(vm, card, 2)
  await setMode(vm, card, 'switchdev')
  vfs = (
    await vm.must(`set -e
      ip -b - <<END
link set ${card.pf} up
link set ${card.pf}rep0 up
link set ${card.pf}rep1 up
address add ${HOST}/24 dev ${card.pf}
END
      for vf in 0 1; do basename $(readlink /sys/class/net/${card.pf}/device/virtfn$vf); done`)
  )
    .trim()
    .split('\n')
  for (const pod of pods) {
    await newPod(vm, pod.name)
    attached.set(pod, await runtime.add(listOf(mainOf(pod)), of(pod)))
  }
  host = await snapshot(vm)
  inPod = await snapshot(vm, { namespace: one.name })
})
afterAll(async () => {
  for (const pod of pods) {
    await runtime.del(listOf(mainOf(pod), ours(pod)), of(pod))
    await deletePod(vm, pod.name)
  }
  await unloadSimnic(vm)
})

const vfOf = (pod: Pod) => vfs[pods.indexOf(pod)] ?? ''
const mainOf = (pod: Pod) =>
  attachConfig(vfOf(pod), { ipam: staticIpam(`${pod.address}/24`), announce: { count: 0 } })
const ours = (pod: Pod, more: Record<string, unknown> = {}) => offloadConfig(vfOf(pod), more)
const list = () => listOf(mainOf(one), ours(one))

const of = ({ name, ports: [web, dns] }: Pod) =>
  attachment(`/run/netns/${name}`, {
    containerID: name,
    capabilityArgs: {
      portMappings: [
        { hostPort: web, containerPort: 80, protocol: 'tcp' },
        { hostPort: dns, containerPort: 53, protocol: 'udp' },
      ],
    },
  })
const add = (pod: Pod) => {
  const prevResult = attached.get(pod)
  return runtime.call('ADD', list(), ours(pod), of(pod), { prevResult })
}
const del = (pod: Pod = one) =>
  silently(
    runtime.call('DEL', list(), ours(pod), {
      ...attachment(`/run/netns/${pod.name}`),
      containerID: pod.name,
    }),
  )
const recordOf = ({ name }: Pod) => `'${records}/lab-net ${name}@net1.json'`

describe('the card there', () => {
  beforeEach(async () => {
    expect((await add(one)).code).toBe(0)
  })

  test('DEL takes all of ours, in the pod too, when the record is lost, the report left and the uplink renamed', async () => {
    await vm.must(`rm ${records}/*.json; ls ${records}/report/*.json
      ip link set ${card.pf} down; ip link set ${card.pf} name other0 up`)
    await del()
    await vm.must(`ip link set other0 down; ip link set other0 name ${card.pf} up`)
    expect(diffSnapshot(host, await snapshot(vm))).toEqual([])
    expect(diffSnapshot(inPod, await snapshot(vm, { namespace: one.name }))).toEqual([])
  })

  const podTable = () =>
    identityOf({ network: list().name, containerID: one.name, ifname: of(one).ifname }, (text) =>
      createHash('sha256').update(text).digest('hex'),
    ).podTable
  const again = (more: Record<string, unknown>) =>
    runtime.call('ADD', list(), ours(one, more), of(one), { prevResult: attached.get(one) })

  test('DEL leaves the host as before and tells of a pod that owns the table of our name, and ADD is refused in words', async () => {
    const loads = `{ echo 'destroy table inet ${podTable()}'; echo 'add table inet ${podTable()} { flags owner; }'; sleep 600; } | nft -i`
    const owner = await vm.spawn(['ip', 'netns', 'exec', one.name, 'sh', '-c', loads], { timeoutMs: 0 })
    try {
      await vm.must(
        `until ip netns exec ${one.name} nft list table inet ${podTable()} | grep owner; do sleep 0.1; done`,
      )
      const { code, stdout, stderr } = await runtime.call('DEL', list(), ours(one), of(one))
      expect([code, stdout]).toEqual([0, ''])
      expect(stderr).toContain(`table "${podTable()}" stays in the pod (EPERM: a program there owns it`)
      expect(diffSnapshot(host, await snapshot(vm))).toEqual([])
      expect(errorOf(await again({ nat: 'pod' }))).toMatchObject({
        code: 102,
        msg: expect.stringContaining('another program may own the table of that name (flags owner)'),
      })
      expect(diffSnapshot(host, await snapshot(vm))).toEqual([])
    } finally {
      owner.kill('SIGKILL')
      await owner.wait().catch(() => undefined)
    }
    expect(diffSnapshot(inPod, await snapshot(vm, { namespace: one.name }))).toEqual([])
  })

  test('others come and go while a pod with routes by the ten thousand goes; by its VF it may have a thousand', async () => {
    await vm.must(`ip -n ${one.name} link add crowd type veth peer name crowd-far
      ip -n ${one.name} link set crowd up
      for high in $(seq 0 99); do for low in $(seq 0 255); do echo "route add 172.16.$high.$low/32 dev lo"; done; done |
        ip -n ${one.name} -b -`)
    const [gone, ...others] = await Promise.all([
      runtime.call('DEL', list(), ours(one), of(one)),
      add(two).then(() => silently(runtime.call('DEL', list(), ours(two), of(two)))),
    ])
    expect([gone?.code, gone?.stdout, gone?.stderr, others]).toEqual([0, '', '', [undefined]])
    await vm.must(`for high in $(seq 0 4); do for low in $(seq 0 255); do echo "route add 172.17.$high.$low/32 dev net1"; done; done |
        ip -n ${one.name} -b -
      ip -n ${one.name} route add default dev crowd`)
    expect(errorOf(await add(one))).toMatchObject({
      code: 7,
      msg: expect.stringMatching(
        /^Cannot map ports to "net1": 1\d\d\d routes lead out of it, .* must be at most 1000$/,
      ),
    })
    await vm.must(`ip -n ${one.name} link del crowd
      ip -n ${one.name} route flush 172.16.0.0/16 table main; ip -n ${one.name} route flush root 172.16.0.0/15`)
    expect(diffSnapshot(host, await snapshot(vm))).toEqual([])
    expect(diffSnapshot(inPod, await snapshot(vm, { namespace: one.name }))).toEqual([])
  })

  test('another ADD is code 11 when the record is lost, and everything of the first stays whole', async () => {
    await vm.must(`rm ${records}/*.json`)
    const look = () => vm.must(stateScript(card.pf, pods))
    const before = await look()
    expect(errorOf(await add(one))).toMatchObject({
      code: 11,
      details: expect.stringContaining('record is lost'),
    })
    expect(stateDifferences(before, await look())).toEqual([])
    await del()
  })

  test('GC takes all of ours without a record while others add and remove filters on the same device all the time', async () => {
    const words = (prio: number) => `dev ${card.pf} ingress protocol ip prio ${prio}`
    const churn = [1, 3, 4, 5].flatMap((prio) => [
      `filter add ${words(prio)} flower ip_proto udp dst_port 7 action pass`,
      `filter del ${words(prio)}`,
    ])
    await vm.writeFile('/run/churn', `${churn.join('\n')}\n`)
    await vm.must(`tc filter add ${words(2)} flower ip_proto icmp action pass`)
    const churner = await vm.spawn(['sh', '-c', 'while tc -b /run/churn; do echo -n .; done'], {
      timeoutMs: 0,
    })
    await expect.poll(() => churner.stdout().length).toBeGreaterThan(1)
    const gc = (valid: readonly { containerID: string; ifname: string }[]) =>
      // By its report the pod lives.
      runtime.call('GC', { ...list(), cniVersion: '1.1.0' }, ours(one, { gcLive: true }), attachment(''), {
        config: { 'cni.dev/valid-attachments': valid },
      })
    await vm.must(`rm ${records}/*.json`)
    await silently(gc([{ containerID: one.name, ifname: 'net1' }]))
    const filters = async () =>
      (
        await vm.must(`tc filter show dev ${card.pf} ingress; tc filter show dev ${card.pf}rep0 ingress`)
      ).split('cookie 7666').length - 1
    expect(await filters()).toBeGreaterThan(0)
    await silently(gc([]))
    churner.kill()
    await churner.wait()
    expect(await filters()).toBe(0)
    const left = await vm.must(`tc filter show dev ${card.pf} ingress; nft list tables`)
    expect(left).toMatch(/pref 2 flower.*ip_proto icmp/s)
    expect(left).not.toContain('vf-flower')
    await vm.must(`tc qdisc del dev ${card.pf} clsact; rm /run/churn`)
  })

  test('filters of the uplink that lead nowhere go when the record is lost and the eSwitch in the other mode', async () => {
    await setMode(vm, card, 'legacy')
    expect(await vm.must(`tc filter show dev ${card.pf} ingress`)).toContain('dst_port 8080')
    await vm.must(`rm ${records}/*.json`)
    await del()
    expect(await vm.must(`tc filter show dev ${card.pf} ingress; nft list tables`)).toBe('')
    expect(await vm.must('ip -n pod-one rule; ip -n pod-one -6 rule')).not.toContain('30000')
    // The change of mode has taken the VF's carrier. Without record nobody knows whose the note about a representor's clsact was.
    const left = diffSnapshot(inPod, await snapshot(vm, { namespace: one.name }))
    expect(
      left.filter(
        (line) => !/linkdown|NO-CARRIER|operstate|"dev":"net1".*"flags":\[\]|clsact-\d+:/.test(line),
      ),
    ).toEqual([])
    await setMode(vm, card, 'switchdev')
    await vm.must(`ip link set ${card.pf}rep0 up; ip link set ${card.pf}rep1 up`)
  })
})

describe('the card gone', () => {
  // It goes once for both: one pod has lost its record, the other has not.
  beforeAll(async () => {
    expect((await add(one)).code).toBe(0)
    expect((await add(two)).code).toBe(0)
    await vm.must(`rm ${recordOf(one)}`)
    await unloadSimnic(vm)
    expect(await vm.must('nft list table inet vf-flower')).toMatch(/8080[\s\S]*8081|8081[\s\S]*8080/)
  })

  test('DEL takes the reservation and the pod’s part when all filters and the record are gone', async () => {
    await del(one)
    expect(await vm.must('nft list table inet vf-flower')).not.toContain('8080')
    expect(await vm.must('ip netns exec pod-one nft list tables; ip -n pod-one rule | grep -c lookup')).toBe(
      '3\n',
    )
    expect(await vm.must(`find ${records} -type f -name '*pod-one*'`)).toBe('')
  })

  test('DEL succeeds and leaves nothing when the record is there', async () => {
    await del(two)
    expect(await vm.must('nft list tables; ip netns exec pod-two nft list tables')).toBe('')
    expect(await vm.must(`find ${records} -type f`)).toBe('')
  })
})
