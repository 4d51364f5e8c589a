// DEL and GC of vf-offload when there is nothing left to go by but cookies: the record lost, the uplink under another
// name, in another mode or gone, and other programs at work on the same device. On simnic (from source, not hardware).
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { CniResult, ConfigList, Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { lab } from '../support/lab.ts'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  offloadConfig,
  silently,
  staticIpam,
  testRuntime,
} from '../support/plugins.ts'
import { type Card, loadSimnic, setMode, setVfs, unloadSimnic } from '../support/simnic.ts'
import { diffSnapshot, snapshot } from '../support/snapshot.ts'
import { deletePod, newPod } from '../support/topology.ts'

const HOST = '10.1.0.1'
const portMappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp' },
]
const records = '/var/lib/cni/vf-flower/offload'

let vm: Lab
let runtime: Runtime
let card: Card
let vf: string
let list: ConfigList
let attached: CniResult

beforeAll(async () => {
  vm = await lab()
  runtime = testRuntime(vm)
})

beforeEach(async () => {
  ;[card] = (await loadSimnic(vm)) as [Card]
  await setVfs(vm, card, 1)
  await setMode(vm, card, 'switchdev')
  await vm.must(
    `ip link set ${card.pf} up; ip link set ${card.pf}rep0 up; ip address add ${HOST}/24 dev ${card.pf}`,
  )
  vf = (await vm.must(`basename $(readlink /sys/class/net/${card.pf}/device/virtfn0)`)).trim()
  await newPod(vm, 'pod-one')
  const attach = attachConfig(vf, { ipam: staticIpam('10.1.0.5/24'), announce: { count: 0 } })
  list = listOf(attach, offloadConfig(vf))
  attached = await runtime.add(listOf(attach), pod())
})

afterEach(async () => {
  await runtime.del(list, pod())
  await deletePod(vm, 'pod-one')
  await unloadSimnic(vm)
})
afterAll(async () => {
  await vm.must('rm -rf /run/churn')
})

/** The ADD of vf-offload: the VF is attached, and nothing is mapped yet. */
async function mapPorts(): Promise<void> {
  const done = await runtime.call('ADD', list, offloadConfig(vf), pod(), { prevResult: attached })
  expect(done).toMatchObject({ code: 0 })
}

const pod = () => attachment('/run/netns/pod-one', { capabilityArgs: { portMappings } })
const del = () => silently(runtime.call('DEL', list, offloadConfig(vf), attachment('/run/netns/pod-one')))

test('record lost, report left, uplink renamed: all of ours goes, in the pod too', async () => {
  const [host, inPod] = [await snapshot(vm), await snapshot(vm, { namespace: 'pod-one' })]
  await mapPorts()
  await vm.must(`rm ${records}/*.json; ls ${records}/report/*.json
    ip link set ${card.pf} down; ip link set ${card.pf} name other0 up`)
  await del()
  await vm.must(`ip link set other0 down; ip link set other0 name ${card.pf} up`)
  expect(diffSnapshot(host, await snapshot(vm))).toEqual([])
  expect(diffSnapshot(inPod, await snapshot(vm, { namespace: 'pod-one' }))).toEqual([])
})

test('record lost, then another ADD: code 11, and what the first made stays whole', async () => {
  await mapPorts()
  await vm.must(`rm ${records}/*.json`)
  const looks = async () => [await snapshot(vm), await snapshot(vm, { namespace: 'pod-one' })] as const
  const [before, beforeInPod] = await looks()
  const again = runtime.call('ADD', list, offloadConfig(vf), pod(), { prevResult: attached })
  expect(errorOf(await again)).toMatchObject({ code: 11, details: expect.stringContaining('record is lost') })
  const [after, afterInPod] = await looks()
  expect([diffSnapshot(before, after), diffSnapshot(beforeInPod, afterInPod)]).toEqual([[], []])
})

test('record lost, eSwitch in the other mode: the uplink’s filters, which lead nowhere, go', async () => {
  const inPod = await snapshot(vm, { namespace: 'pod-one' })
  await mapPorts()
  await setMode(vm, card, 'legacy')
  expect(await vm.must(`tc filter show dev ${card.pf} ingress`)).toContain('dst_port 8080')
  await vm.must(`rm ${records}/*.json`)
  await del()
  expect(await vm.must(`tc filter show dev ${card.pf} ingress; nft list tables`)).toBe('')
  expect(await vm.must('ip -n pod-one rule; ip -n pod-one -6 rule')).not.toContain('30000')
  // The change of mode has taken the VF's carrier. Without record nobody knows whose the note about a representor's clsact was.
  const left = diffSnapshot(inPod, await snapshot(vm, { namespace: 'pod-one' }))
  expect(
    left.filter((line) => !/linkdown|NO-CARRIER|operstate|"dev":"net1".*"flags":\[\]|clsact-\d+:/.test(line)),
  ).toEqual([])
})

test('record lost and the card gone, with all filters: the reservation and the pod’s part go', async () => {
  await mapPorts()
  await vm.must(`rm ${records}/*.json`)
  await unloadSimnic(vm)
  expect(await vm.must('nft list table inet vf-flower')).toContain('8080')
  await del()
  expect(
    await vm.must(
      'nft list tables; ip netns exec pod-one nft list tables; ip -n pod-one rule | grep -c lookup',
    ),
  ).toBe('3\n')
  expect((await vm.must(`find ${records} -type f`)).trim()).toBe('')
})

test('the card gone, the record there: DEL succeeds and leaves nothing', async () => {
  await mapPorts()
  await unloadSimnic(vm)
  await del()
  expect(await vm.must('nft list tables; ip netns exec pod-one nft list tables')).toBe('')
  expect((await vm.must(`find ${records} -type f`)).trim()).toBe('')
})

test('GC with the record lost, while others add and remove filters on the same device all the time', async () => {
  await mapPorts()
  const words = (prio: number) => `dev ${card.pf} ingress protocol ip prio ${prio}`
  const churn = [1, 3, 4, 5].flatMap((prio) => [
    `filter add ${words(prio)} flower ip_proto udp dst_port 7 action pass`,
    `filter del ${words(prio)}`,
  ])
  await vm.writeFile('/run/churn', `${churn.join('\n')}\n`)
  await vm.must(`tc filter add ${words(2)} flower ip_proto icmp action pass`)
  const churner = await vm.spawn(['sh', '-c', 'while tc -b /run/churn; do echo -n .; done'], { timeoutMs: 0 })
  await expect.poll(() => churner.stdout().length).toBeGreaterThan(1)
  const gc = (valid: readonly { containerID: string; ifname: string }[]) =>
    // By its report the pod lives.
    runtime.call(
      'GC',
      { ...list, cniVersion: '1.1.0' },
      offloadConfig(vf, { gcLive: true }),
      attachment(''),
      {
        config: { 'cni.dev/valid-attachments': valid },
      },
    )
  await vm.must(`rm ${records}/*.json`)
  await silently(gc([{ containerID: 'pod-one', ifname: 'net1' }]))
  const ours = async () =>
    (await vm.must(`tc filter show dev ${card.pf} ingress; tc filter show dev ${card.pf}rep0 ingress`)).split(
      'cookie 7666',
    ).length - 1
  expect(await ours()).toBeGreaterThan(0)
  await silently(gc([]))
  churner.kill()
  await churner.wait()
  expect(await ours()).toBe(0)
  const left = await vm.must(`tc filter show dev ${card.pf} ingress; nft list tables`)
  expect(left).toMatch(/pref 2 flower.*ip_proto icmp/s)
  expect(left).not.toContain('vf-flower')
})
