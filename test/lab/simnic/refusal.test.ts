// simnic refuses rules with the reason, by its knobs and profiles too; and a rule does other things besides NAT.
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Card, hardwareRules, knob, refusal, setMode, setVfs } from '../../../hack/lab/bed/simnic.ts'
import { type RuleTimes, timeRules } from '../../../hack/lab/bed/simnic-scale.ts'
import { draft, request, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { actionList, verdict } from '../../../src/netlink/tc/actions/action.ts'
import { TC_ACT } from '../../../src/netlink/tc/actions/gact.ts'
import { TCA_CLS_FLAGS } from '../../../src/netlink/tc/kinds/flower.ts'
import { ETH_P, IPPROTO } from '../../../src/netlink/tc/validate.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

let vm: Lab
let card: Card
let other: Card
const DRIVER = 'nic_core'

useSimnic({ cards: 2, totalVfs: 4, driverName: DRIVER }, async (machine, cards) => {
  vm = machine
  ;[card, other] = cards as [Card, Card]
  for (const each of [card, other]) {
    await setVfs(vm, each, 2)
    await setMode(vm, each, 'switchdev')
  }
  await vm.must(`set -e
    for dev in ${card.pf} ${card.pf}rep0 ${card.pf}rep1; do tc qdisc add dev $dev clsact; done`)
})
beforeEach(async () => {
  await vm.must(`
    tc filter delete dev ${card.pf} ingress
    echo 0 >${card.debugfs}/max_rules; echo full >${card.debugfs}/profile; echo full >${other.debugfs}/profile
    echo >${card.debugfs}/liar; echo 0 >${card.debugfs}/fail_next`)
})

const TCP = 'protocol ip flower skip_sw ip_proto tcp dst_port 80'
const MAC = 'action pedit ex munge eth dst set 02:00:00:00:00:05 pipe'
const add = (rule: string, device = card.pf, hook = 'ingress') =>
  `tc filter add dev ${device} ${hook} ${rule.replaceAll('REP', `${card.pf}rep`)}`
const police = (control: string) => `action police rate 1mbit burst 10k mtu 65535 conform-exceed ${control}`
const TO_REP = 'action mirred egress redirect dev REP0'

const REFUSED: readonly (readonly [rule: string, reason: string])[] = [
  [`${TCP} tcp_flags 2/2 action drop`, 'cannot match on TCP flags'],
  ['protocol ip flower skip_sw ip_proto tcp dst_port 80-90 action drop', 'cannot match on a range of ports'],
  ['protocol ip flower skip_sw ip_proto icmp type 8 action drop', 'cannot match on ICMP type or code'],
  ['protocol arp flower skip_sw arp_op request action drop', 'cannot match on ARP fields'],
  [`${TCP} indev lo action drop`, "can match on indev only when it is the filter's own"],
  [`${TCP} ${police('pipe/pipe')} ${TO_REP}`, 'police: exceed must be drop'],
  [`${TCP} ${police('drop/drop')}`, 'police: conform must be pipe, ok or continue'],
  [`${TCP} ${police('drop/ok')} ${TO_REP}`, 'action redirect after police never runs'],
  [
    `${TCP} ${police('drop/pipe').replace('mtu', 'overhead 4 mtu')} ${TO_REP}`,
    'police: no peakrate, avrate or overhead',
  ],
  [`${TCP} action police index 99 pipe ${TO_REP}`, 'police: exceed must be drop'],
  [`${TCP} action goto chain 0`, 'cannot go from chain 0 to chain 0: must be a higher one'],
  ['flower skip_sw num_of_vlans 3 action drop', 'cannot match on more than 2 VLAN tags'],
  [`${TCP} action skbedit mark 1 pipe ${TO_REP}`, 'action skbedit mark is not supported'],
  [`${TCP} action mirred ingress redirect dev REP0`, 'action redirect to ingress is not supported'],
  [`${TCP} action mirred egress redirect dev lo`, 'cannot forward to lo: not on the same switch'],
  [
    `${TCP} action mirred egress redirect dev simpf1rep0`,
    'cannot forward to simpf1rep0: not on the same switch',
  ],
  [`${TCP} action mirred egress redirect dev simwire0`, 'cannot forward to simwire0: not on the same switch'],
  [
    `${TCP} action mirred egress redirect dev simpf0vf0`,
    'cannot forward to simpf0vf0: not on the same switch',
  ],
  [`${TCP} action mirred egress redirect dev simpf0`, 'cannot forward from simpf0 to itself'],
  [`${TCP} ${MAC} action drop`, 'cannot rewrite and drop'],
  [`${TCP} action pedit ex munge ip ihl set 0x40 pipe ${TO_REP}`, 'cannot rewrite offset 0 of the ip header'],
  [`${TCP} action pedit ex munge ip tos add 4 pipe ${TO_REP}`, 'pedit add works on TTL and hop limit only'],
  [
    `${TCP} action pedit ex munge udp dport set 4 pipe ${TO_REP}`,
    'rewriting the udp header needs eth_type and ip_proto matched',
  ],
  [`${TCP} action csum ip4h pipe ${TO_REP}`, 'csum is offloaded only after pedit'],
  [`${TCP} ${MAC} action csum sctp pipe ${TO_REP}`, 'csum works on ip4h, tcp and udp only'],
  [`${TCP} action vlan pop pipe ${TO_REP}`, 'vlan pop and modify need a match on a VLAN tag'],
  [
    `${TCP} action vlan push id 1 pipe action vlan push id 2 pipe ${TO_REP}`,
    'cannot push more than one VLAN tag',
  ],
]

describe('refused, with the reason', () => {
  // One script for all: starting a process is what takes time in the guest.
  let answers: string[]
  beforeAll(async () => {
    const lines = REFUSED.map(([rule]) => `${add(rule)} 2>&1 | head -1`)
    answers = (await vm.must(lines.join('\n'))).trimEnd().split('\n')
    expect(await hardwareRules(vm, card)).toEqual([])
  })

  test.each(REFUSED)('%s', (rule, reason) => {
    expect(answers[REFUSED.findIndex((refused) => refused[0] === rule)]).toBe(`Error: ${DRIVER}: ${reason}.`)
  })

  test('unlike a rule that the card can do', async () => {
    await vm.must(add(`${TCP} action pass`))
    expect(await hardwareRules(vm, card)).toHaveLength(1)
  })

  test('unlike egress and offload turned off, which the kernel itself refuses', async () => {
    expect(await refusal(vm, add(`${TCP} action drop`, card.pf, 'egress'))).toBe(
      'RTNETLINK answers: Operation not supported',
    )
    await vm.must(`ethtool -K ${card.pf} hw-tc-offload off`)
    expect(await refusal(vm, add(`${TCP} action drop`))).toBe('Error: TC offload is disabled on net device.')
    await vm.must(`ethtool -K ${card.pf} hw-tc-offload on`)
    await vm.must(add(`${TCP} action drop`))
    expect(await refusal(vm, `ethtool -K ${card.pf} hw-tc-offload off`)).toMatch(/Could not change/)
    expect(await hardwareRules(vm, card)).toHaveLength(1)
  })

  test('everything in legacy mode', async () => {
    await setMode(vm, card, 'legacy')
    expect(await refusal(vm, add(`${TCP} action drop`))).toBe(
      `Error: ${DRIVER}: flower offload needs eswitch mode switchdev.`,
    )
    await setMode(vm, card, 'switchdev')
    await vm.must(`for rep in 0 1; do tc qdisc add dev ${card.pf}rep$rep clsact; done`)
  })
})

describe('knobs', () => {
  const drop = (port: number) =>
    add(`protocol ip prio 5 flower skip_sw ip_proto udp dst_port ${port} action drop`)

  test('max_rules fills the table, until something is deleted', async () => {
    await knob(vm, card, 'max_rules', 3)
    await vm.must(`set -e\n${[1, 2, 3].map(drop).join('\n')}`)
    const { code, stderr } = await vm.sh(drop(4))
    expect({ code, text: stderr.split('\n')[0] }).toEqual({
      code: 2,
      text: `Error: ${DRIVER}: flow table is full: 3 rules.`,
    })
    await vm.must(`tc filter delete dev ${card.pf} ingress protocol ip prio 5 handle 2 flower`)
    await vm.must(drop(4))
    const ports = (await hardwareRules(vm, card)).map(({ text }) => /dst_port (\d+)/.exec(text)?.[1])
    expect(ports.sort()).toEqual(['1', '3', '4'])
  })

  test('fail_next lets so many operations fail, with this errno and text', async () => {
    await knob(vm, card, 'fail_next', '2 EBUSY eswitch is being reset')
    expect(await vm.readFile(`${card.debugfs}/fail_next`)).toBe('2 16 eswitch is being reset\n')
    for (const port of [1, 2]) {
      expect(await refusal(vm, drop(port))).toBe(`Error: ${DRIVER}: eswitch is being reset.`)
    }
    await vm.must(drop(3))
    await knob(vm, card, 'fail_next', '1 -12')
    // Without skip_sw the kernel keeps the rule in software; verbose lets it say why.
    const { code, stderr } = await vm.sh(drop(4).replace('skip_sw', 'verbose'))
    expect({ code, stderr: stderr.trim() }).toEqual({
      code: 0,
      stderr: `Warning: ${DRIVER}: hardware failure.`,
    })
    expect(await hardwareRules(vm, card)).toHaveLength(1)
    expect((await vm.sh(`echo 1 EFOO >${card.debugfs}/fail_next`)).code).not.toBe(0)
  })

  test('max_rules and fail_next give their errno, which tc does not show', async () => {
    await knob(vm, card, 'max_rules', 1)
    await knob(vm, card, 'fail_next', '1 ETIMEDOUT no answer from the firmware')
    const ifindex = Number(await vm.must(`cat /sys/class/net/${card.pf}/ifindex`))
    const flower = (port: number) =>
      request(
        draft(
          'newFlower',
          { ifindex, priority: 5, protocol: ETH_P.ETH_P_IP },
          {
            TCA_FLOWER_KEY_ETH_TYPE: ETH_P.ETH_P_IP,
            TCA_FLOWER_KEY_IP_PROTO: IPPROTO.IPPROTO_UDP,
            TCA_FLOWER_KEY_UDP_DST: port,
            TCA_FLOWER_FLAGS: TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_SW,
            TCA_FLOWER_ACT: actionList([verdict(TC_ACT.TC_ACT_SHOT)]),
          },
        ),
      )
    const results = await tryDrive(vm, [flower(1), flower(2), flower(3)])
    expect(results.map(({ error }) => [error?.code, error?.extack])).toEqual([
      ['ETIMEDOUT', `${DRIVER}: no answer from the firmware`],
      [undefined, undefined],
      ['ENOSPC', `${DRIVER}: flow table is full: 1 rules`],
    ])
  })

  test('liar accepts a rule and shows it in hardware, and does not do its action', async () => {
    await knob(vm, card, 'liar', 'csum')
    await vm.must(add(`${TCP} ${MAC} action csum ip4h pipe ${TO_REP}`))
    expect(await vm.must(`tc filter show dev ${card.pf} ingress`)).toMatch(/in_hw_count 1[\s\S]*csum/)
    const [rule] = await hardwareRules(vm, card)
    expect(rule?.text).toMatch(/redirect vf0$/)
    expect(rule?.text).not.toMatch(/csum/)
  })
})

test('2,000 rules go in and out, the last as fast as the first', async () => {
  const looks: RuleTimes[] = []
  /** Time of the last step by that of the first, of the best of all looks: a busy machine spoils single ones. */
  const slowdown = (way: 'in' | 'out') => {
    const best = (step: number) =>
      Math.min(...looks.map((look) => look[way][step] ?? Number.POSITIVE_INFINITY))
    return best(3) / best(0)
  }
  const worst = () => Math.max(slowdown('in'), slowdown('out'))
  do {
    const look = await timeRules(vm, card, { steps: 4, rounds: 2 })
    expect(look.counts).toEqual([2_000, 0])
    looks.push(look)
  } while (worst() >= 2 && looks.length < 4)
  expect(worst(), JSON.stringify(looks)).toBeLessThan(2)
}, 900_000)

test('a change of mode drops all rules, though tc goes on showing those of the uplink in hardware', async () => {
  await vm.must(add(`${TCP} ${TO_REP}`))
  await vm.must(add(`${TCP} action drop`, `${card.pf}rep0`))
  expect(await hardwareRules(vm, card)).toHaveLength(2)
  await setMode(vm, card, 'legacy')
  expect(await hardwareRules(vm, card)).toEqual([])
  await setMode(vm, card, 'switchdev')
  expect(await hardwareRules(vm, card)).toEqual([])
  expect(await vm.must(`tc filter show dev ${card.pf} ingress`)).toMatch(/in_hw in_hw_count 1/)
  await vm.must(`tc filter delete dev ${card.pf} ingress`)
})
