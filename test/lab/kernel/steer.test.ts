// Steering filters: each is what the command line that describes it makes, and its inverse takes it back. At work a frame that
// matches goes out of the same interface again with both MAC addresses rewritten, every other one is left alone; seen by tcpdump
// at the other end, counted by tc.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type CapturedFrame, capture } from '../../../hack/lab/bed/capture.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { apply, ask, drive, json, run } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { commandLine as lineOf } from '../../../src/ops/command-line.ts'
import { invert } from '../../../src/ops/invert.ts'
import type { FlowFilter, Op } from '../../../src/ops/op.ts'
import { lab } from '../../support/lab.ts'

const [on, peer] = ['steer-host', 'steer-peer'] as const
const uplinkMac = '02:00:00:00:00:01'
const vfMac = '02:00:00:00:00:aa'
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await newPod(vm, on)
  await newPod(vm, peer)
  await vm.must(`ip -n ${on} link add uplink address ${uplinkMac} up type veth peer name port netns ${peer}
    ip -n ${on} link add plain index 11 type dummy
    ip -n ${peer} link add plain index 11 type dummy
    for ns in ${on} ${peer}; do tc -n $ns qdisc add dev plain clsact; done
    ip -n ${peer} -b - <<END
      link set port address 02:00:00:00:00:02 up
      address add 10.5.0.2/24 dev port
      address add fd05::2/64 dev port nodad
      link add link port name port.100 up type vlan id 100
      address add 10.6.0.2/24 dev port.100
      address add fd06::2/64 dev port.100 nodad
      neigh add 10.5.0.1 lladdr ${uplinkMac} dev port
      neigh add fd05::1 lladdr ${uplinkMac} dev port
      neigh add 10.6.0.1 lladdr ${uplinkMac} dev port.100
      neigh add fd06::1 lladdr ${uplinkMac} dev port.100
END`)
})
afterAll(async () => {
  await deletePod(vm, on)
  await deletePod(vm, peer)
})

const common = {
  link: 'uplink',
  dstMac: vfMac,
  srcMac: uplinkMac,
  cookie: '766601010000000000000000000000aa',
} as const
const rules: readonly FlowFilter[] = [
  { ...common, prio: 10, address: '10.5.0.1', proto: 'udp', port: 53 },
  { ...common, prio: 10, address: '10.5.0.1', proto: 'tcp', port: 80 },
  { ...common, prio: 11, address: 'fd05::1', proto: 'udp', port: 53 },
  { ...common, prio: 11, address: 'fd05::1', proto: 'tcp', port: 80 },
  { ...common, prio: 12, address: '10.6.0.1', proto: 'udp', port: 53, vlan: 100 },
  { ...common, prio: 12, address: 'fd06::1', proto: 'udp', port: 53, vlan: 100 },
]

const ofPod = { link: 'plain', address: '10.5.0.5', side: 'src', cookie: common.cookie } as const
/** Filters without a port, with a condition on fragments, with a verdict: other masks, so that equal ports do not collide. */
const others: readonly FlowFilter[] = [
  ...rules.map((rule) => ({ ...rule, fragments: 'none' as const })),
  { ...common, prio: 10, address: '10.5.0.1', proto: 'udp', fragments: 'only' },
  { ...ofPod, prio: 5, peer: '10.5.0.1/32', verdict: 'pass' },
  { ...ofPod, prio: 5, mac: vfMac, verdict: 'pass' },
  { ...ofPod, prio: 5, mac: vfMac, verdict: 'pass', fragments: 'only' },
  { ...ofPod, prio: 11, address: 'fd05::5', proto: 'udp', fragments: 'only', verdict: 'drop' },
]

test('steering operations do what their command lines do, and their inverses take all of it back', async () => {
  const all: readonly FlowFilter[] = [...rules, ...others]
  const ops = all.map((rule): Op => ({ do: 'steer.add', offload: 'off', rule: { ...rule, link: 'plain' } }))
  const listing = (namespace: string) => vm.must(`tc -n ${namespace} -d filter show dev plain ingress`)
  const outcomes = await drive(vm, ops.map(run), { on })
  await vm.must(`ip netns exec ${peer} sh -e -c '${ops.map(lineOf).join('\n')}'`)
  const [ours, theirs] = [await listing(on), await listing(peer)]
  // Actions are numbered through a namespace.
  expect(ours).toBe(theirs)
  expect(ours.match(/action order 2: mirred/g)).toHaveLength(ops.length - 4)
  expect(outcomes).toEqual(ops.map(() => ({ where: 'host', handle: expect.any(Number) })))

  const inverses = ops.flatMap((op) => invert(op) ?? []).reverse()
  expect(inverses).toHaveLength(ops.length)
  await drive(vm, inverses.map(run), { on })
  expect(await listing(on)).toBe('')
})

/** A datagram from the peer, or the first segment of a connection that nobody accepts. */
const frame = (proto: string, address: string, port: number) =>
  proto === 'udp'
    ? `bash -c 'echo x >/dev/udp/${address}/${port}'`
    : `bash -c ': >/dev/tcp/${address}/${port}'`

test('frames that match leave with new MAC addresses, counted; others are left alone', async () => {
  await drive(
    vm,
    [
      run({ do: 'clsact.add', side: 'host', link: 'uplink' }),
      apply(...rules.map((rule) => ({ do: 'steer.add', offload: 'off', rule }) as const)),
    ],
    { on },
  )
  const matching = rules.map(({ proto = 'tcp', address, port = 0 }) => frame(proto, address, port))
  const strangers = [
    frame('udp', '10.5.0.1', 54),
    frame('tcp', '10.5.0.1', 53),
    frame('udp', 'fd05::1', 80),
    frame('udp', '10.6.0.1', 54),
    frame('tcp', 'fd06::1', 53),
  ]
  const seen = await capture(vm, peer, 'port', 'udp or tcp or vlan')
  const senders = [...matching, ...strangers].map((command) => `${command} &`).join('\n')
  const peers = await vm.spawn(['ip', 'netns', 'exec', peer, 'sh', '-c', `${senders}\nwait`])
  const end = ({ vlan, text }: CapturedFrame) =>
    `${vlan} ${/ > (\S+):/.exec(text)?.[1]} ${text.includes('Flags [') ? 'tcp' : 'udp'}`
  const ends = (list: readonly CapturedFrame[]) => [...new Set(list.map(end))].sort()
  const outgoing = () => seen.frames().filter(({ destination }) => destination === uplinkMac)
  await expect
    .poll(() => ends(outgoing()).length, { timeout: 30_000 })
    .toBe(matching.length + strangers.length)
  peers.kill('SIGKILL')
  const frames = await seen.stop()

  const steered = frames.filter(({ source }) => source === uplinkMac)
  expect(new Set(steered.map(({ destination }) => destination))).toEqual(new Set([vfMac]))
  expect(ends(steered)).toEqual(
    rules.map(({ address, port, vlan, proto }) => `${vlan ?? null} ${address}.${port} ${proto}`).sort(),
  )

  const [own] = await drive(vm, [ask('ownFilters', common.cookie)], { on })
  const listed = await json<Shown>(vm, `tc -n ${on} -j -s filter show dev uplink ingress`)
  const counts = listed.flatMap(({ pref, options }) =>
    options === undefined ? [] : [`${pref} ${options.handle} ${options.actions[0]?.stats.packets}`],
  )
  expect(own.map(({ prio, handle, packets }) => `${prio} ${handle} ${packets}`)).toEqual(counts)
  expect(own.every(({ packets }) => packets >= 1n)).toBe(true)
  expect(own.reduce((sum, { packets }) => sum + packets, 0n)).toBe(BigInt(steered.length))
  expect(own).toHaveLength(rules.length)
})

interface Shown {
  readonly pref: number
  readonly options?: {
    readonly handle: number
    readonly actions: readonly { readonly stats: { readonly packets: number } }[]
  }
}
