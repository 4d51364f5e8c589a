// simnic lets frames pass at the rates that were set: the transmit scheduler of VFs, and police in flower and matchall.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { LAST_WORDS, type Meter, type Rate, type Stream, startMeter } from '../../../hack/lab/bed/rate.ts'
import {
  type Card,
  cardCounters,
  hardwareRules,
  knob,
  refusal,
  setMode,
  setVfs,
} from '../../../hack/lab/bed/simnic.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { DATAGRAM, datagramsOf, limitFor, look, SEGMENT, unlimited } from '../../support/limits.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

// A look that the machine has spoilt is repeated, and each takes some seconds.
vi.setConfig({ testTimeout: 400_000 })

let vm: Lab
let meter: Meter
let card: Card
/** Far below what gets through without a limit, in whole Mbit/s: all rates here. */
let rate: number

const NAMESPACES = ['wire', 'pod0', 'pod1'] as const
const PORT = 5001
/** Of TCP: until it has found its window behind a queue that drops nothing. */
const SETTLING = { warmUp: 1 } as const

const fromPod = (vf: number, more: Partial<Stream> = {}): Stream => ({
  from: `pod${vf}`,
  to: 'wire',
  address: '10.1.0.10',
  port: PORT + vf,
  ...more,
})
const toPod = (more: Partial<Stream> = {}): Stream => ({
  from: 'wire',
  to: 'pod0',
  address: '10.1.0.20',
  port: PORT,
  ...more,
})

async function setUp(machine: Lab, cards: readonly Card[]): Promise<void> {
  vm = machine
  meter = startMeter(vm)
  ;[card] = cards as [Card]
  await setVfs(vm, card, 2)
  for (const ns of NAMESPACES) await newPod(vm, ns)
  await vm.must(`set -e
    modprobe act_police; modprobe cls_matchall
    ip link set ${card.pf} up
    ip link set ${card.wire} netns wire
    ip -n wire link set ${card.wire} up
    ip -n wire address add 10.1.0.10/24 dev ${card.wire}
    ip -n wire address add fd00:1::10/64 dev ${card.wire} nodad
    wire=$(ip netns exec wire cat /sys/class/net/${card.wire}/address)
    for vf in 0 1; do
      ip link set ${card.pf}vf$vf netns pod$vf name net1
      ip -n pod$vf link set net1 up
      ip -n pod$vf address add 10.1.0.2$vf/24 dev net1
      ip -n pod$vf address add fd00:1::2$vf/64 dev net1 nodad
      mac=$(ip netns exec pod$vf cat /sys/class/net/net1/address)
      for net in 10.1.0. fd00:1::; do
        ip -n pod$vf neigh replace $net\\10 lladdr $wire dev net1
        ip -n wire neigh replace $net\\2$vf lladdr $mac dev ${card.wire}
      done
    done`)
  // Datagrams cost this machine more than segments; a receiver must be far from what it can.
  const plain = await unlimited(meter, fromPod(0, { udpMbit: 1_000 }))
  rate = Math.max(2, limitFor(plain))
  console.info(`unlimited ${Math.round(plain)} Mbit/s, rate ${rate}`)
}
useSimnic({}, setUp, async () => {
  await meter.end()
  for (const ns of NAMESPACES) await deletePod(vm, ns)
  await vm.must(`until [ -e /sys/class/net/${card.wire} ]; do sleep 0.05; done`)
})

/** Frames that pass, in percent of the rate; a look that the machine has spoilt is repeated. */
async function expectLimited(
  streams: readonly Stream[],
  [low, high]: readonly [number, number],
  payload = 1,
  isFair?: (rates: readonly Rate[]) => boolean,
) {
  const verdict = await look(meter, streams, rate * payload, [low, high], isFair)
  console.info(`limit ${rate} Mbit/s: ${verdict.looks.join(', ')} %`)
  expectBetween(verdict.percent, low, high)
  return verdict
}

function expectBetween(value: number, low: number, high: number): void {
  expect(value).toBeGreaterThan(low)
  expect(value).toBeLessThan(high)
}

/** One of several streams that are measured together. */
function isLimited(one: Rate | undefined, [low, high]: readonly [number, number], payload: number): boolean {
  const percent = ((one?.mbit ?? 0) / (rate * payload)) * 100
  return percent > low && percent < high
}

const vfCounters = async (vf: number) => (await cardCounters(vm, card))[`vf${vf}`] as Record<string, number>

describe('legacy mode: max_tx_rate', () => {
  afterEach(() =>
    vm.must(`for vf in 0 1; do ip link set ${card.pf} vf $vf max_tx_rate 0 min_tx_rate 0; done`),
  )

  test('delays frames that a VF sends too fast and drops none; others are not limited', async () => {
    await vm.must(`ip link set ${card.pf} vf 0 max_tx_rate ${rate}`)
    const before = await vfCounters(0)
    await expectLimited([fromPod(0, SETTLING)], [90, 105])
    const after = await vfCounters(0)
    expect(after.tx_delayed ?? 0).toBeGreaterThan(before.tx_delayed ?? 0)
    expect(after.tx_dropped).toBe(before.tx_dropped)

    // UDP as well waits in the sender's socket. Beside it, the other VF has what it had: more than the limit.
    // Nothing is lost on the way; the socket of a receiver that the machine does not run for a while overflows, which is another
    // look's turn. What the card drops is counted over all looks.
    const lost = (rates: readonly Rate[]) => rates.reduce((sum, one) => sum + one.sent - one.received, 0)
    const isOneLimited = (rates: readonly Rate[]) =>
      isLimited(rates[0], [90, 105], DATAGRAM) && (rates[1]?.mbit ?? 0) > 1.2 * rate && lost(rates) === 0
    const both = [fromPod(0, { udpMbit: 2 * rate }), fromPod(1, { udpMbit: 2 * rate })]
    const { rates } = await expectLimited(both, [210, 320], DATAGRAM, isOneLimited)
    expect(isOneLimited(rates)).toBe(true)
    expect(lost(rates)).toBe(0)
    expect((await vfCounters(0)).tx_dropped).toBe(before.tx_dropped)
  })

  test('lets waiting frames go when the limit ends, and drops them with the interface', async () => {
    await vm.must(`ip link set ${card.pf} vf 0 max_tx_rate 1`)
    const burst = `ip netns exec pod0 bash -c 'for i in $(seq 40); do head -c 1400 /dev/zero >/dev/udp/10.1.0.10/9; done'`
    await vm.must(burst)
    const before = await vfCounters(0)
    await vm.must(`ip link set ${card.pf} vf 0 max_tx_rate 0`)
    await expect
      .poll(async () => (await vfCounters(0)).tx_packets, { timeout: 30_000 })
      .toBeGreaterThanOrEqual(before.tx_packets ?? 0)
    await vm.must('ip netns exec pod0 ping -q -c 1 -W 2 10.1.0.10')
    await vm.must(`ip link set ${card.pf} vf 0 max_tx_rate 1`)
    await vm.must(`${burst}
      ip -n pod0 link set net1 down; ip -n pod0 link set net1 up
      wire=$(ip netns exec wire cat /sys/class/net/${card.wire}/address)
      # What an interface loses that goes down.
      ip -n pod0 address add fd00:1::20/64 dev net1 nodad
      for address in 10.1.0.10 fd00:1::10; do ip -n pod0 neigh replace $address lladdr $wire dev net1; done`)
    await vm.must('ip netns exec pod0 ping -q -c 1 -W 2 fd00:1::10')
    await vm.must('ip netns exec pod0 ping -q -c 1 -W 2 10.1.0.10')
  })
})

describe('switchdev mode', () => {
  const devlinkRate = (vf: number, what: string) =>
    vm.must(`devlink port function rate set ${card.devlink}/${1 + vf} ${what}`)
  const flush = () =>
    vm.must(`for dev in ${card.pf} ${card.pf}rep0 ${card.pf}rep1; do tc filter delete dev $dev ingress; done
      tc actions flush action police; true`)
  const add = (rule: string, device = card.pf) =>
    `tc filter add dev ${device} ingress ${rule.replaceAll('REP', `${card.pf}rep`)}`
  const rule = (text: string, device?: string) => vm.must(add(text, device))
  const TO_POD = `action mirred egress redirect dev REP0`
  const TO_WIRE = () => `action mirred egress redirect dev ${card.pf}`
  const FORWARD = 50
  /** Everything between wire and pods in hardware, behind the rules of a test. */
  const forward = async () => {
    const both = [0, 1].flatMap((vf) => [
      `mac=$(ip netns exec pod${vf} cat /sys/class/net/net1/address)`,
      add(
        `protocol all prio ${FORWARD} flower skip_sw dst_mac $mac action mirred egress redirect dev REP${vf}`,
      ),
      add(`protocol all prio ${FORWARD} flower skip_sw ${TO_WIRE()}`, `${card.pf}rep${vf}`),
    ])
    await vm.must(['set -e', ...both].join('\n'))
  }
  const police = (tail: string, mbit = rate) =>
    `action police rate ${mbit}mbit burst ${Math.ceil(mbit * 12_500)} mtu 65535 conform-exceed ${tail}`
  const drops = async (prio: number) => (await hardwareRules(vm, card)).find((one) => one.prio === prio)

  /** Also the beginning of every test: what one that failed has left does not count. */
  const switchdev = async () => {
    await setMode(vm, card, 'switchdev')
    await vm.must(`set -e
      for dev in ${card.pf} ${card.pf}rep0 ${card.pf}rep1; do ip link set $dev up; tc qdisc replace dev $dev clsact; done
      for vf in 0 1; do until [ "$(ip netns exec pod$vf cat /sys/class/net/net1/carrier)" = 1 ]; do sleep 0.05; done; done`)
  }
  beforeEach(async () => {
    await switchdev()
    await knob(vm, card, 'profile', 'full')
    await flush()
    await forward()
  })

  test('has tx_max as the limit of a VF, and tx_share as its part of tx_capacity whatever others send', async () => {
    await devlinkRate(0, `tx_max ${rate}mbit`)
    await expectLimited([fromPod(0, SETTLING)], [90, 105])
    await devlinkRate(0, 'tx_max 0')

    const share = Math.max(1, Math.floor(rate * 0.7))
    await knob(vm, card, 'tx_capacity', rate)
    await devlinkRate(0, `tx_share ${share}mbit`)
    const both = [fromPod(0, { seconds: 4, warmUp: 1 }), fromPod(1, { seconds: 4, warmUp: 1 })]
    const hasShare = ([first]: readonly Rate[]) => (first?.mbit ?? 0) > 0.9 * share * SEGMENT
    const { rates } = await expectLimited(both, [80, 105], SEGMENT, hasShare)
    expect(rates[0]?.mbit).toBeGreaterThan(0.9 * share * SEGMENT)
    await devlinkRate(0, 'tx_share 0')
    await knob(vm, card, 'tx_capacity', 0)
  })

  test('polices in flower: frames beyond the rate are dropped and counted, and the counters are those of the receiver', async () => {
    await rule(
      `protocol ip prio 1 flower skip_sw ip_proto udp dst_port ${PORT} ${police('drop/pipe')} ${TO_POD}`,
    )
    const { looks, received, sent } = await expectLimited([toPod({ udpMbit: 2 * rate })], [95, 105], DATAGRAM)
    const hardware = await drops(1)
    const json = JSON.parse(await vm.must(`tc -j -s filter show dev ${card.pf} ingress`)) as {
      pref: number
      options?: { actions: { kind: string; stats: Record<string, number> }[] }
    }[]
    const stats = json.find(({ pref, options }) => pref === 1 && options)?.options?.actions[0]?.stats
    // The last words of each sender are in the counters, too: short frames.
    const lastWords = LAST_WORDS * looks.length
    const passed = (hardware?.packets ?? 0) - (hardware?.drops ?? 0)
    expectBetween(passed - received / 1_000, -1, lastWords + 1)
    expect((hardware?.packets ?? 0) - sent / 1_000).toBe(lastWords)
    expect(stats).toMatchObject({ hw_packets: hardware?.packets, drops: hardware?.drops })
    expect(hardware?.text).toMatch(/police index \d+ rate \d+ bytes\/s drop\/pipe drops [1-9]/)
  })

  test('ends at the host by conform ok, and goes on with the next priority by continue', async () => {
    await rule(`protocol ip prio 1 flower skip_sw ip_proto udp dst_port 7 ${police('drop/continue')}`)
    await rule(`protocol ip prio 2 flower skip_sw ip_proto udp dst_port 7 ${police('drop/ok')}`)
    await rule(`protocol ip prio 3 flower skip_sw ip_proto udp dst_port 7 action drop`)
    await vm.must(`ip netns exec wire bash -c 'for i in 1 2 3; do echo >/dev/udp/10.1.0.20/7; done'`)
    const counts = (await hardwareRules(vm, card)).filter(({ prio }) => prio < FORWARD)
    expect(counts.map(({ packets, drops }) => [packets, drops])).toEqual([
      [3, 0],
      [3, 0],
      [0, 0],
    ])
  })

  test('has one limit for all filters that share a standalone police by index', async () => {
    await vm.must(`tc actions add ${police('drop/pipe')} index 77 skip_sw`)
    expect(await vm.must('tc -s actions list action police')).toMatch(/in_hw in_hw_count 1/)
    for (const [family, prio, proto] of [
      ['ip', 1, 'udp'],
      ['ipv6', 2, 'udp'],
    ] as const) {
      await rule(
        `protocol ${family} prio ${prio} flower skip_sw ip_proto ${proto} action police index 77 ${TO_POD}`,
      )
    }
    const { rates } = await expectLimited(
      [toPod({ udpMbit: rate }), toPod({ udpMbit: rate, address: 'fd00:1::20', port: PORT + 1 })],
      [95, 105],
      datagramsOf(1, 1),
    )
    expect(Math.min(...rates.map(({ mbit }) => mbit))).toBeGreaterThan(0)

    const rules = (await hardwareRules(vm, card)).filter(({ prio }) => prio < FORWARD)
    const [action] = (
      JSON.parse(await vm.must('tc -j -s actions list action police')) as {
        actions?: { stats: Record<string, number> }[]
      }[]
    ).flatMap(({ actions = [] }) => actions)
    const total = (what: 'packets' | 'drops') => rules.reduce((n, one) => n + one[what], 0)
    expect(action?.stats).toMatchObject({ hw_packets: total('packets'), drops: total('drops') })

    // A new rate takes effect where it is shared.
    await vm.must(`tc actions replace ${police('drop/pipe', rate * 2)} index 77 skip_sw`)
    expect((await hardwareRules(vm, card))[0]?.text).toContain(`rate ${rate * 2 * 125_000} bytes/s`)
    expect(await refusal(vm, 'tc actions delete action police index 77')).toMatch(
      /Failed to delete TC action/,
    )
    expect(await vm.must('tc actions list action police')).toMatch(/police 0x4d [\s\S]*bind 2/)
    await flush()
    expect((await vm.must('tc actions list action police')).trim()).toBe('')
  })

  test('forgets standalone actions at a change of mode', async () => {
    await vm.must(`tc actions add ${police('drop/pipe')} index 77 skip_sw
      tc actions add ${police('drop/pipe')} index 78`)
    await setMode(vm, card, 'legacy')
    // The action that only the card does is gone, the other is in software.
    const left = await vm.must('tc actions list action police')
    expect(left).toMatch(/total acts 1\n[\s\S]*police 0x4e [\s\S]*not_in_hw/)
    expect(await refusal(vm, `tc actions add ${police('drop/pipe')} index 79 skip_sw`)).toMatch(
      /Invalid argument/,
    )
    await switchdev()
    expect(await vm.must('tc actions list action police')).toMatch(/in_hw_count 1/)
  })

  test('polices all frames that come in by matchall, on the uplink and on a representor', async () => {
    await rule(`protocol all prio 1 matchall skip_sw ${police('drop/continue')}`)
    await rule(`protocol all prio 1 matchall skip_sw ${police('drop/continue')}`, `${card.pf}rep0`)
    const both = [toPod({ udpMbit: 2 * rate }), fromPod(0, { udpMbit: 2 * rate })]
    const areLimited = (rates: readonly Rate[]) => rates.every((one) => isLimited(one, [95, 105], DATAGRAM))
    const { rates } = await expectLimited(both, [190, 210], DATAGRAM, areLimited)
    expect(areLimited(rates)).toBe(true)
    for (const one of (await hardwareRules(vm, card)).filter(({ prio }) => prio === 1)) {
      expect(one.drops).toBeGreaterThan(0)
    }
  })

  describe('profile mlx5', () => {
    beforeEach(() => knob(vm, card, 'profile', 'mlx5'))

    test('has matchall on a representor as the rate limiter of the VF', async () => {
      await rule(`protocol all prio 1 matchall skip_sw ${police('drop/continue')}`, `${card.pf}rep0`)
      const dropped = (await vfCounters(0)).hw_drops
      await expectLimited([fromPod(0, SETTLING)], [90, 105])
      expect((await vfCounters(0)).hw_drops).toBe(dropped)
      const [one] = (await hardwareRules(vm, card)).filter(
        ({ ingress, prio }) => ingress === 'vf0' && prio === 1,
      )
      expect(one?.text).toMatch(new RegExp(`limit ${rate} Mbit/s$`))
      expect(one?.packets).toBeGreaterThan(0)
      await vm.must(`tc filter delete dev ${card.pf}rep0 ingress prio 1`)
      const free = await look(meter, [fromPod(0, { seconds: 2 })], rate, [150, 1e6])
      expect(free.percent).toBeGreaterThan(150)
    })
  })
})
