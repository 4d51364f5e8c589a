// Limits on interfaces of further kinds: a macvlan and a NIC of its own that host-device has moved, both limited in the
// pod; a VF in legacy mode whose PF keeps its rates; and a VF that a program drives, which the kernel cannot shape. Main
// plugins are the distribution's and vf-attach, the card is simulated (simnic, from source, not hardware).
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  pluginPath,
  silently,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { type Meter, type Stream, startMeter } from '../../../hack/lab/bed/rate.ts'
import { type Card, loadSimnic, setVfs, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, isReachable, linkIsReady, newPod, vethWire } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, ConfigList, PluginConfig, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { expectWithin, limitFor, look, SETTLED_TCP, unlimited } from '../../support/limits.ts'
import { recordedLimits } from '../../support/rate-bed.ts'

// A look that a busy machine has spoilt is repeated, each for some seconds.
vi.setConfig({ testTimeout: 400_000 })

const POD = 'pod-one'
const POD4 = '10.1.0.5'
/** The peer at the other end of the wire: of the macvlan's, and of the card's. */
const [BEYOND, FAR] = ['beyond', 'far'] as const
const FAR4 = '10.1.0.10'

let lab: Lab
let meter: Meter
let runtime: Runtime
let card: Card
let list: ConfigList

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  ;[card] = (await loadSimnic(lab, { totalVfs: 1 })) as [Card]
  await setVfs(lab, card, 1)
  await vethWire(lab)
  for (const name of [BEYOND, FAR]) await newPod(lab, name)
  await lab.must(`set -e
    modprobe uio_pci_generic
    ip link set far0 netns ${BEYOND}; ip link set ${card.wire} netns ${FAR}
    ip link set up0 up
    ip -n ${BEYOND} -b - <<END
link set far0 up
address add ${FAR4}/24 dev far0
END
    ip -n ${FAR} -b - <<END
link set ${card.wire} up
address add ${FAR4}/24 dev ${card.wire}
END`)
})
afterAll(async () => {
  for (const name of [BEYOND, FAR]) await deletePod(lab, name)
  await lab.must(`[ ! -e /sys/class/net/up0 ] || ip link delete up0
    until [ -e /sys/class/net/${card.wire} ]; do sleep 0.05; done`)
  await unloadSimnic(lab)
})
beforeEach(async () => {
  meter = startMeter(lab)
  await newPod(lab, POD)
  // The main plugin that moves it lets it down.
  await lab.must(`ip link set ${card.pf} up`)
})
afterEach(async () => {
  await meter.end()
  await runtime.del(list, pod())
  await deletePod(lab, POD)
})

const pod = (bandwidth?: object) =>
  attachment(`/run/netns/${POD}`, bandwidth === undefined ? {} : { capabilityArgs: { bandwidth } })

function use(main: PluginConfig, config: object = {}): void {
  list = listOf(main, { type: 'vf-offload', capabilities: { bandwidth: true }, ...config })
}

/** The main plugin alone, then ours. */
const attach = (): Promise<CniResult> => runtime.add({ ...list, plugins: list.plugins.slice(0, 1) }, pod())
function ours(command: string, bandwidth: object | undefined, prevResult: CniResult, config: object = {}) {
  const [, plugin] = list.plugins
  if (plugin === undefined) throw new Error('no plugin')
  return runtime.call(command, list, { ...plugin, ...config }, pod(bandwidth), { prevResult })
}

async function add(bandwidth: object, prevResult: CniResult): Promise<void> {
  const { code, stdout, stderr } = await ours('ADD', bandwidth, prevResult)
  if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
}

const vfPci = () => `${card.pci.slice(0, -1)}1`
const vfRate = async () =>
  /max_tx_rate \d+/.exec(await lab.must(`ip link show ${card.pf} | grep 'vf 0'`))?.[0]

const ipam = { type: 'static', addresses: [{ address: `${POD4}/24` }] }
const streams = (far: string) => {
  const toPod: Stream = { from: far, to: POD, address: POD4, port: 5000, ...SETTLED_TCP }
  return { toPod, fromPod: { ...toPod, from: POD, to: far, address: FAR4, port: 5001 } }
}
/** A rate and a quarter of a second of it as a burst. */
const egress = (mbit: number) => ({ egressRate: mbit * 1e6, egressBurst: mbit * 250_000 })
const ingress = (mbit: number) => ({ ingressRate: mbit * 1e6, ingressBurst: mbit * 250_000 })

test.each([
  ['a macvlan', () => ({ type: 'macvlan', master: 'up0', ipam }), BEYOND],
  ['a NIC of its own', () => ({ type: 'host-device', device: card.pf, ipam }), FAR],
] as const)('B9: %s is limited in the pod, both ways, and "outside" is refused', async (_, main, far) => {
  use(main())
  const result = await attach()
  await linkIsReady(lab, POD)
  await isReachable(lab, far, [POD4])
  const { toPod, fromPod } = streams(far)
  const plain = await unlimited(meter, toPod)
  const mbit = limitFor(plain)
  const wishes = { ...ingress(mbit), ...egress(mbit) }
  // Without a queue length the kernel gives the interface one with its first qdisc.
  await lab.must(`ip -n ${POD} link set net1 txqueuelen 1000`)
  const inside = await snapshot(lab, { namespace: POD })

  await add(wishes, result)
  const looks = {
    toPod: await look(meter, [toPod], mbit, [90, 105]),
    fromPod: await look(meter, [fromPod], mbit, [90, 105]),
  }
  console.info(
    `unlimited ${plain} Mbit/s, limit ${mbit}: ${looks.toPod.looks} to the pod, ${looks.fromPod.looks} from it, %`,
  )
  for (const verdict of Object.values(looks)) expectWithin(verdict, [90, 105])
  await silently(ours('CHECK', wishes, result))
  const shown = await lab.must(`${pluginPath[0]}/vfctl show`)
  expect(shown).toContain(`what comes to the pod is limited to ${mbit}000000 bit/s: in the pod,`)
  expect(shown).toMatch(/what the pod sends is limited to \d+ bit\/s: in the pod.*\(tbf, counts frames\)/)
  await silently(ours('DEL', undefined, result))
  const refused = errorOf(await ours('ADD', wishes, result, { bandwidth: { require: 'outside' } }))
  expect([refused.code, refused.msg]).toEqual([
    7,
    expect.stringMatching(/ingressRate \d+ of a (nic|other) port: only inside the pod/),
  ])
  // After both: neither has left anything.
  expect(diffSnapshot(inside, await snapshot(lab, { namespace: POD }))).toEqual([])
})

test('B9: a VF in legacy mode is limited by the PF in what it sends, and in the pod in what comes to it', async () => {
  use(attachConfig(vfPci(), { ipam }), { deviceID: vfPci() })
  const result = await attach()
  await linkIsReady(lab, POD)
  await isReachable(lab, FAR, [POD4])
  const { fromPod } = streams(FAR)
  const mbit = limitFor(await unlimited(meter, fromPod))
  const wishes = { ...ingress(mbit), ...egress(mbit) }
  await add(wishes, result)
  expect(await recordedLimits(lab)).toEqual([
    ['toPod', 'pod', 'ifb'],
    ['fromPod', 'nic', 'max_tx_rate'],
  ])
  expectWithin(await look(meter, [fromPod], mbit, [90, 105]), [90, 105])
  await silently(ours('CHECK', wishes, result))
  await silently(ours('DEL', undefined, result))
  expect(await vfRate()).toBeUndefined()
})

test('a VF that a program drives has the limits that the PF can set, and the rest is refused with the reason', async () => {
  const vf = vfPci()
  const bind = (driver: string) =>
    lab.must(`cd /sys/bus/pci/devices/${vf} || exit
      echo ${driver} >driver_override; [ ! -e driver ] || echo ${vf} >driver/unbind
      echo ${vf} >/sys/bus/pci/drivers_probe; echo >driver_override`)
  await bind('uio_pci_generic')
  use(attachConfig(vf, { mac: '02:00:00:00:00:61' }), { deviceID: vf })
  const result = await attach()
  const before = await snapshot(lab)
  for (const wishes of [
    { ingressRate: 5_000_000, ingressBurst: 800_000 },
    { egressRate: 1_500_000, egressBurst: 400_000 },
  ]) {
    const { code, msg } = errorOf(await ours('ADD', wishes, result))
    expect([code, msg]).toEqual([
      7,
      expect.stringContaining('of a userspace port: "net1" has no interface that the kernel could shape'),
    ])
  }
  const limit = { egressRate: 9_000_000, egressBurst: 900_000 }
  await add(limit, result)
  expect(await vfRate()).toBe('max_tx_rate 9')
  await silently(ours('CHECK', limit, result))
  await silently(ours('DEL', undefined, result))
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  await runtime.del(list, pod())
  await bind('simnic')
})
