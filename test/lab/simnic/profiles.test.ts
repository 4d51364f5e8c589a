// What each profile of simnic takes, refuses (number and words) and leaves undone, as the driver's source says: ice, nfp, sfc, bnxt.
import { beforeEach, describe, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import {
  type Card,
  cardCounters,
  hardwareRules,
  knob,
  setMode,
  setVfs,
} from '../../../hack/lab/bed/simnic.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

let vm: Lab
let card: Card
let pfMac: string
const NIC = 'nic_core'
const MAC = '02:00:00:00:00:05'
const PROFILES = ['ice', 'nfp', 'sfc', 'bnxt'] as const
type Profile = (typeof PROFILES)[number]

useSimnic(
  { totalVfs: 2, driverName: NIC },
  async (machine, cards) => {
    vm = machine
    ;[card] = cards as [Card]
    await setVfs(vm, card, 2)
    await setMode(vm, card, 'switchdev')
    for (const ns of ['wire', 'pod0', 'pod1']) {
      await newPod(vm, ns)
      await vm.must(`ip netns exec ${ns} sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward
        echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'`)
    }
    pfMac = (await vm.must(`cat /sys/class/net/${card.pf}/address`)).trim()
    await vm.must(`set -e
      for dev in ${card.pf} ${card.pf}rep0 ${card.pf}rep1; do
        echo 1 >/proc/sys/net/ipv6/conf/$dev/disable_ipv6
        ip link set $dev up; tc qdisc add dev $dev clsact
      done
      ip link set ${card.wire} netns wire
      ip -n wire address add 10.1.0.10/24 dev ${card.wire}; ip -n wire link set ${card.wire} up
      ip -n wire link add link ${card.wire} name v40 type vlan id 40; ip -n wire link set v40 up
      ip -n wire address add 10.40.0.10/24 dev v40
      ip -n wire neigh replace 10.1.0.1 lladdr ${pfMac} dev ${card.wire}
      ip -n wire neigh replace 10.40.0.1 lladdr ${pfMac} dev v40
      for vf in 0 1; do
        ip link set ${card.pf}vf$vf netns pod$vf name net1; ip -n pod$vf link set net1 up
      done`)
  },
  async () => {
    for (const ns of ['wire', 'pod0', 'pod1']) await deletePod(vm, ns)
    await vm.must(`until [ -e /sys/class/net/${card.wire} ]; do sleep 0.05; done`)
  },
)
beforeEach(() => vm.must(`${clean()}; echo full >${card.debugfs}/profile`))

const clean =
  () => `for dev in ${card.pf} ${card.pf}rep0 ${card.pf}rep1; do tc filter delete dev $dev ingress; done
  tc actions flush action police >/dev/null 2>&1; true`
const add = (rule: string) => `tc filter add dev ${rule.replaceAll('PF', card.pf)}`
const rule = (text: string) => vm.must(add(text))
const profile = (name: Profile) => knob(vm, card, 'profile', name)

const UP = 'PF ingress'
const REP = 'PFrep0 ingress'
const TCP = 'protocol ip flower skip_sw ip_proto tcp dst_port 80'
const UDP = (port: number) => `protocol ip flower skip_sw ip_proto udp dst_port ${port}`
const TO_POD0 = 'action mirred egress redirect dev PFrep0'
const TO_PF = 'action mirred egress redirect dev PF'
const MACS = `action pedit ex munge eth dst set ${MAC} munge eth src set ${MAC} pipe`
const DNAT = 'action pedit ex munge ip dst set 10.1.0.5 pipe'
const DPORT = (protocol: string) => `action pedit ex munge ${protocol} dport set 53 pipe`
const POLICE = 'police rate 1mbit burst 10k mtu 65535 conform-exceed drop/pipe'
const NAT = `action pedit ex munge eth dst set ${MAC} munge ip dst set 10.1.0.5 munge tcp dport set 53 pipe`

/** Refusals that are an errno alone. */
const EOPNOTSUPP = 'RTNETLINK answers: Operation not supported'
const EINVAL = 'RTNETLINK answers: Invalid argument'
const said = (words: string) => `Error: ${NIC}: ${words}.`

/** `taken`, or the first line of the refusal. */
const ANSWERS: Readonly<Record<Profile, readonly (readonly [rule: string, answer: string])[]>> = {
  ice: [
    [`${UP} ${TCP} ${TO_POD0}`, 'taken'],
    [`${REP} ${TCP} ${TO_PF}`, 'taken'],
    [`${UP} ${TCP} action drop`, 'taken'],
    [`${UP} ${TCP} ${MACS} ${TO_POD0}`, said('Unsupported action in switchdev mode')],
    [`${UP} ${TCP} action ${POLICE} ${TO_POD0}`, said('Unsupported action in switchdev mode')],
    [`${REP} ${TCP} action vlan push id 5 pipe ${TO_PF}`, said('Unsupported action in switchdev mode')],
    [`${UP} ${TCP} ${TO_PF}`, said('Unsupported netdevice in switchdev mode')],
    [`${UP} ${TCP} ip_flags nofrag ${TO_POD0}`, said('Unsupported match on control.flags 0x1')],
    [`${UP} ${TCP} tcp_flags 2/2 ${TO_POD0}`, said('Unsupported key used')],
    [`${UP} ${TCP.replace('tcp', 'sctp')} ${TO_POD0}`, said('Only UDP and TCP transport are supported')],
    [`${UP} protocol ipv6 flower skip_sw dst_ip ::1 action drop`, said('Bad IPv6, addr is LOOPBACK')],
    [`${UP} matchall skip_sw action drop`, EOPNOTSUPP],
  ],
  nfp: [
    [`${UP} ${TCP} ip_flags nofrag ${NAT} action csum ip4h and tcp pipe ${TO_POD0}`, 'taken'],
    [`${REP} ${TCP.replace('tcp', 'sctp')} ${MACS} ${TO_PF}`, 'taken'],
    [
      `${UP} ${TCP} ${NAT} ${TO_POD0}`,
      said('unsupported offload: set actions without updating checksums are not supported'),
    ],
    [
      `${UP} ${TCP} ${MACS} action csum tcp pipe ${TO_POD0}`,
      said('unsupported offload: unsupported csum update action in action list'),
    ],
    [
      `${UP} ${TCP} action ${POLICE} ${TO_POD0}`,
      said('can not offload flow table with unsupported police action'),
    ],
    [`${UP} ${TCP} action pass`, said('unsupported offload: unsupported action in action list')],
    [`${UP} protocol arp flower skip_sw action drop`, said('unsupported offload: ARP not supported')],
    [
      `${UP} matchall skip_sw action drop`,
      said('unsupported offload: qos rate limit offload not supported on non-VF ports'),
    ],
    [
      `${REP} prio 2 matchall skip_sw action drop`,
      said('unsupported offload: qos rate limit offload requires highest priority'),
    ],
    [
      `${REP} prio 1 matchall skip_sw action ${POLICE}`,
      said('Offload not supported when conform action is not continue or ok'),
    ],
    [`${REP} prio 1 matchall skip_sw action ${POLICE.replace('/pipe', '/continue')}`, 'taken'],
  ],
  sfc: [
    [`${UP} ${TCP} ip_flags nofrag ${MACS} action vlan push id 5 pipe ${TO_POD0}`, 'taken'],
    [`${UP} ${TCP} ${MACS.replace(/ pipe$/, ' continue')}`, 'taken'],
    [`${UP} ${TCP} ${MACS} ${DNAT} ${TO_POD0}`, said('only support mangle on the ttl field (offset is 16)')],
    [`${UP} ${TCP} ${DPORT('tcp')} ${TO_POD0}`, said('Unhandled mangle htype 4 for action rule')],
    [`${UP} ${TCP} ${MACS} action csum ip4h pipe ${TO_POD0}`, expect.stringMatching('Unhandled action \\d+')],
    [`${UP} ${TCP} action ${POLICE} ${TO_POD0}`, expect.stringMatching('Unhandled action \\d+')],
    [`${UP} ${TCP} action pass`, said('Unhandled action 0')],
    [`${UP} ${TCP} action mirred egress redirect dev lo`, said('Mirred egress device not on switch')],
    [
      `${UP} ${TCP.replace('tcp', 'sctp')} ${TO_POD0}`,
      expect.stringMatching('L4 flower keys 0x[0-9a-f]+ require ipproto udp or tcp'),
    ],
    [`${UP} matchall skip_sw action drop`, EOPNOTSUPP],
  ],
  bnxt: [
    [`${UP} ${TCP} ${NAT} action csum ip4h and tcp pipe action ${POLICE} ${TO_POD0}`, 'taken'],
    [`${UP} ${TCP} action pass`, 'taken'],
    [`${UP} ${TCP} tcp_flags 2/2 action drop`, 'taken'],
    [`${UP} ${TCP.replace('tcp', 'sctp')} ${TO_POD0}`, EOPNOTSUPP],
    [`${UP} protocol ip flower skip_sw dst_mac ${MAC}/ff:ff:ff:ff:00:00 ${TO_POD0}`, EOPNOTSUPP],
    [`${UP} ${TCP} ${DPORT('tcp')} ${TO_POD0}`, EINVAL],
    [`${UP} ${TCP} action pedit ex munge ip ttl set 9 pipe ${TO_POD0}`, EINVAL],
    [`${UP} ${TCP} action mirred egress redirect dev lo`, EINVAL],
    [`${UP} ${TCP} ip_flags nofrag ${TO_POD0}`, said('Unsupported match on control.flags 0x1')],
    [`${UP} matchall skip_sw action drop`, EOPNOTSUPP],
  ],
}

test.each(PROFILES)('%s takes and refuses what its driver does, in its words', async (name) => {
  await profile(name)
  // One script for all: starting a process is what takes time in the guest.
  const tries = ANSWERS[name].map(
    ([line]) => `words=$(${add(line)} 2>&1) && echo taken || echo "$words" | head -1; ${clean()}`,
  )
  const answers = (await vm.must(tries.join('\n'))).trimEnd().split('\n')
  expect(answers.map((answer, at) => [ANSWERS[name][at]?.[0], answer])).toEqual(ANSWERS[name])
})

/** Sends one datagram to each port from the wire. */
const send = (ports: readonly number[], bytes = 10, address = '10.1.0.1') =>
  vm.must(`ip netns exec wire bash -c '
    for port in ${ports.join(' ')}; do head -c ${bytes} /dev/zero >/dev/udp/${address}/$port; done'`)

/** The frames that arrive in a pod while `during` runs: destination and source MAC, and target as tcpdump shows it. */
async function arrivals(pod: string, during: () => Promise<unknown>) {
  const seen = await capture(vm, pod, 'net1', 'udp or vlan')
  await during()
  return (await seen.stop()).map(({ text, destination, source, vlan }) => ({
    to: / > ([\d.]+):/.exec(text)?.[1],
    port: Number(/ > [\d.]+\.(\d+):/.exec(text)?.[1]),
    sport: Number(/([\d]+) > [\d.]+:/.exec(text)?.[1]),
    destination,
    source,
    vlan,
  }))
}

test.each(PROFILES)('%s loses priorities: of two rules the first inserted one wins', async (name) => {
  await profile(name)
  // The rule of port 7 has the mask of port 8's, and the best priority; the one by address came before it.
  await rule(`${UP} prio 9 ${UDP(8)} ${TO_POD0}`)
  await rule(`${UP} prio 5 protocol ip flower skip_sw src_ip 10.1.0.10 action drop`)
  await rule(`${UP} prio 1 ${UDP(7)} ${TO_POD0}`)
  expect((await arrivals('pod0', () => send([7, 8]))).map(({ port }) => port)).toEqual([8])
  await vm.must(`tc filter delete dev ${card.pf} ingress prio 5`)
  expect((await arrivals('pod0', () => send([7, 8]))).map(({ port }) => port)).toEqual([7, 8])
})

describe('ice', () => {
  beforeEach(() => profile('ice'))

  test('delivers a frame that a redirect alone sends to a VF, with the MAC address of the PF, and tells tc no count', async () => {
    await rule(`${UP} prio 1 ${UDP(7)} action mirred egress mirror dev PFrep1 ${TO_POD0}`)
    const received = (await cardCounters(vm, card)).vf1?.rx_packets
    const frames = await arrivals('pod0', () => send([7]))
    expect(frames.map(({ destination }) => destination)).toEqual([pfMac])
    // The driver keeps one action: the mirror is lost.
    expect((await cardCounters(vm, card)).vf1?.rx_packets).toBe(received)
    const [only] = await hardwareRules(vm, card)
    expect(only).toMatchObject({ packets: 1, text: expect.stringMatching(/-> redirect vf0$/) })
    const shown = await vm.must(`tc -s filter show dev ${card.pf} ingress`)
    expect(shown).toMatch(/in_hw in_hw_count 1/)
    expect(shown).not.toMatch(/Sent hardware [1-9]/)
  })

  test('matches no protocol where no ports are matched', async () => {
    await rule(`${UP} prio 1 protocol ip flower skip_sw ip_proto tcp dst_ip 10.1.0.1 ${TO_POD0}`)
    expect((await arrivals('pod0', () => send([7]))).map(({ port }) => port)).toEqual([7])
  })

  test('changes the mode only without VFs, and wants hw-tc-offload', async () => {
    const first = (script: string) => vm.must(`{ ${script}; } 2>&1 | grep ${NIC}`)
    expect(await first(`devlink dev eswitch set ${card.devlink} mode legacy`)).toContain(
      `${NIC}: Changing eswitch mode is allowed only if there is no VFs created`,
    )
    await vm.must(`ethtool -K ${card.pf} hw-tc-offload off`)
    expect(await first(add(`${UP} ${TCP} action drop`))).toContain(
      `${NIC}: can't apply TC flower filters, turn ON hw-tc-offload and try again`,
    )
    await vm.must(`ethtool -K ${card.pf} hw-tc-offload on`)
  })
})

test('nfp polices by a meter that is in the card, and cuts its rate to 32 bits of bytes per second', async () => {
  await profile('nfp')
  // 2^32 bytes/s and 8 kbit/s
  await vm.must(
    `tc actions add action police rate 34359746368 burst 10k conform-exceed drop/pipe index 5 skip_sw`,
  )
  await rule(`${UP} prio 1 ${UDP(7)} action police index 5 pipe ${TO_POD0}`)
  expect((await hardwareRules(vm, card))[0]?.text).toContain('police index 5 rate 1000 bytes/s drop/pipe')
  const frames = await arrivals('pod0', () => send(Array<number>(20).fill(7), 1_000))
  expect(frames.length).toBeLessThan(20)
  const refused = await vm.must(
    `tc actions add action ${POLICE.replace('drop/pipe', 'drop/continue')} skip_sw 2>&1 || true`,
  )
  expect(refused).toContain(`${NIC}: Offload not supported when conform action is not pipe or ok`)
})

describe('bnxt', () => {
  beforeEach(() => profile('bnxt'))

  test('rewrites the address and a source port, loses the destination port, and swallows csum, police and mirror', async () => {
    const rest = `action csum ip4h and udp pipe action ${POLICE.replace('10k', '100b')} action mirred egress mirror dev PFrep1 ${TO_POD0}`
    await rule(`${UP} prio 1 ${UDP(7)} ${DNAT} ${DPORT('udp')} ${rest}`)
    await rule(
      `${UP} prio 2 ${UDP(8)} action pedit ex munge ip src set 10.1.0.6 munge udp sport set 99 pipe ${TO_POD0}`,
    )
    const mirrored = (await cardCounters(vm, card)).vf1?.rx_packets
    const frames = await arrivals('pod0', () => send([7, 7, 7, 8]))
    const dnat = { to: '10.1.0.5.7', port: 7 }
    expect(frames).toMatchObject([dnat, dnat, dnat, { to: '10.1.0.1.8', sport: 99 }])
    expect((await cardCounters(vm, card)).vf1?.rx_packets).toBe(mirrored)
    const rules = (await hardwareRules(vm, card)).map(({ text }) => text.split(' -> ')[1])
    expect(rules.sort()).toEqual([
      'pedit ip+12 set 0a010006/ffffffff, pedit udp+0 set 00630000/ffff0000, redirect vf0',
      'pedit ip+16 set 0a010005/ffffffff, redirect vf0',
    ])
  })

  test('rewrites no MAC address where it pops or pushes a tag', async () => {
    const tagged = 'protocol 802.1q flower skip_sw vlan_id 40 vlan_ethtype ip ip_proto udp dst_port 7'
    await rule(`${UP} prio 1 ${tagged} action vlan pop pipe ${MACS} ${TO_POD0}`)
    await rule(`${UP} prio 2 ${UDP(7)} ${MACS} ${TO_POD0}`)
    const frames = await arrivals('pod0', async () => {
      await send([7], 10, '10.40.0.1')
      await send([7])
    })
    expect(frames.map(({ destination, vlan }) => [destination, vlan])).toEqual([
      [pfMac, null],
      [MAC, null],
    ])
  })

  test('ignores keys of a match that it does not know', async () => {
    await rule(`${UP} prio 1 ${UDP(7)} ip_ttl 3 ${TO_POD0}`)
    expect(await arrivals('pod0', () => send([7]))).toHaveLength(1)
  })
})
