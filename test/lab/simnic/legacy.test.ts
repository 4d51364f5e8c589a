// The embedded switch: two pods with a VF each, a client on the wire, the host behind the PF.
import { beforeEach, describe, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import { type Card, cardCounters, refusal, setMode } from '../../../hack/lab/bed/simnic.ts'
import { buildTopology, deletePod, newPod, type Topology, tearDown } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

let vm: Lab
let card: Card
let net: Topology

const MAC = ['02:00:00:00:01:00', '02:00:00:00:01:01'] as const
const ADDRESS = ['10.1.0.20', '10.1.0.21'] as const

async function setUp(machine: Lab, cards: readonly Card[]): Promise<void> {
  vm = machine
  ;[card] = cards as [Card]
  net = await buildTopology(vm, card, 2)
  for (const vf of [0, 1]) {
    await newPod(vm, `pod${vf}`)
    await vm.must(`set -e
      ip link set ${card.pf} vf ${vf} mac ${MAC[vf]}
      cd /sys/class/net/${card.pf}/device/virtfn${vf}/driver
      address=$(basename "$(readlink -f /sys/class/net/${card.pf}/device/virtfn${vf})")
      echo $address >unbind; echo $address >/sys/bus/pci/drivers/simnic/bind
      ip netns exec pod${vf} sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
      ip link set ${card.pf}vf${vf} netns pod${vf} name net1
      ip -n pod${vf} address add ${ADDRESS[vf]}/24 dev net1
      ip -n pod${vf} link set net1 up`)
  }
}
useSimnic({}, setUp, async () => {
  await deletePod(vm, 'pod0')
  await deletePod(vm, 'pod1')
  await tearDown(vm, card)
})
beforeEach(() =>
  vm.must(`
    for vf in 0 1; do
      for attribute in 'vlan 0' 'spoofchk on' 'trust off' 'state auto'; do
        echo "link set ${card.pf} vf $vf $attribute"
      done
    done | ip -b -
    for vf in 0 1; do
      ip -n pod$vf neigh flush all
      tc -n pod$vf qdisc delete dev net1 clsact 2>/dev/null
    done
    ip neigh flush all; ip -n client-a neigh flush all`),
)

/** Does the namespace (null: the host) get an answer within a second? */
async function reaches(from: string | null, address: string): Promise<boolean> {
  const enter = from === null ? '' : `ip netns exec ${from}`
  return (await vm.sh(`${enter} ping -q -c 1 -w 1 ${address}`)).code === 0
}

const vfInfo = async (vf: number) => {
  const json = await vm.must(`ip -d -s -j link show ${card.pf}`)
  return (JSON.parse(json) as [{ vfinfo_list: Record<string, unknown>[] }])[0].vfinfo_list[vf]
}
const set = (what: string) => vm.must(`ip link set ${card.pf} vf ${what}`)
const counters = async (vf: number) => (await cardCounters(vm, card))[`vf${vf}`] as Record<string, number>

describe('switching by MAC', () => {
  test('connects VFs with each other, with the host behind the PF and with the wire', async () => {
    const pairs = [
      ['pod0', ADDRESS[1]],
      ['pod0', '10.1.0.1'],
      ['pod0', '10.1.0.10'],
      ['client-a', ADDRESS[1]],
      [null, ADDRESS[0]],
    ] as const
    const reached = await Promise.all(pairs.map(async (pair) => [...pair, await reaches(pair[0], pair[1])]))
    expect(reached).toEqual(pairs.map((pair) => [...pair, true]))
  })

  test('keeps unicast between VFs off the wire, and sends broadcast and multicast everywhere', async () => {
    const atWire = await capture(vm, 'wire', card.wire, `host ${ADDRESS[1]}`)
    const atOther = await capture(vm, 'pod1', 'net1', 'arp')
    expect(await reaches('pod0', ADDRESS[1])).toBe(true)
    const seen = await atWire.stop()
    expect(seen.map(({ text }) => text).filter((text) => !text.includes('who-has'))).toEqual([])
    expect(seen.length).toBeGreaterThan(0)
    expect((await atOther.stop()).some(({ text }) => text.includes(`who-has ${ADDRESS[1]}`))).toBe(true)

    // A group that nobody has joined.
    const group = 'dst 224.9.9.9'
    const everywhere = [
      await capture(vm, 'wire', card.wire, group),
      await capture(vm, 'pod1', 'net1', group),
      await capture(vm, null, card.pf, group),
    ]
    await vm.sh('ip netns exec pod0 ping -q -c 1 -W 1 -I net1 224.9.9.9')
    for (const place of everywhere) {
      expect((await place.stop()).map(({ destination }) => destination)).toEqual(['01:00:5e:09:09:09'])
    }
  })

  test('a frame that the PF sends to the address of a VF reaches that VF', async () => {
    const before = (await counters(0)).rx_packets ?? 0
    await vm.must(`ip neigh replace 10.1.0.99 lladdr ${MAC[0]} dev ${card.pf}
      ping -q -c 2 -i 0.2 -W 1 10.1.0.99; ip neigh delete 10.1.0.99 dev ${card.pf}`)
    expect(((await counters(0)).rx_packets ?? 0) - before).toBeGreaterThanOrEqual(2)
  })

  test('in VEPA mode all goes by the switch at the other end, which may send it back', async () => {
    await vm.must(`bridge link set dev ${card.pf} hwmode vepa`)
    expect(JSON.parse(await vm.must(`bridge -j link show dev ${card.pf}`))).toMatchObject([
      { hwmode: 'VEPA' },
    ])
    expect(await reaches('pod0', ADDRESS[1])).toBe(false)
    await vm.must(`bridge -n wire link set dev ${card.wire} hairpin on`)
    expect(await reaches('pod0', ADDRESS[1])).toBe(true)
    await vm.must(`bridge -n wire link set dev ${card.wire} hairpin off
      bridge link set dev ${card.pf} hwmode veb`)
    expect(JSON.parse(await vm.must(`bridge -j link show dev ${card.pf}`))).toMatchObject([{ hwmode: 'VEB' }])
  })

  test('counts for every VF what it sent and received', async () => {
    const before = await counters(1)
    expect(await reaches('pod0', ADDRESS[1])).toBe(true)
    const after = await counters(1)
    expect(after.rx_packets).toBeGreaterThanOrEqual((before.rx_packets ?? 0) + 1)
    // A frame of IPv6's own may come between two looks: the looks agree as soon as none does.
    type Shown = { stats: { rx: { packets: number }; tx: { tx_packets: number } } }
    await expect
      .poll(
        async () => {
          const { stats } = (await vfInfo(1)) as Shown
          const { rx_packets, tx_packets } = await counters(1)
          return [stats.rx.packets - (rx_packets ?? 0), stats.tx.tx_packets - (tx_packets ?? 0)]
        },
        { timeout: 30_000 },
      )
      .toEqual([0, 0])
    // The VF itself sees the same by ethtool, without the right to look into the card.
    const shown = await vm.must('ip netns exec pod1 ethtool -S net1')
    expect(Number(/vport_rx_packets: (\d+)/.exec(shown)?.[1])).toBeGreaterThanOrEqual(after.rx_packets ?? 0)
    expect(await vm.must(`ethtool -S ${card.pf}`)).toMatch(
      /vport_hw_misses: \d+\n\s*vport_hw_drops: \d+\n\s*vfs_tx_spoof_mac: \d+/,
    )
  })
})

describe('a VF in a VLAN', () => {
  test('is alone with the members of that VLAN, and tagged on the wire with its priority', async () => {
    await set('0 vlan 100 qos 3')
    expect(await vfInfo(0)).toMatchObject({ vlan_list: [{ vlan: 100, qos: 3 }] })
    const atOther = await capture(vm, 'pod1', 'net1', 'arp')
    const tagged = await vm.spawn(
      [
        'ip',
        'netns',
        'exec',
        'wire',
        'timeout',
        '20',
        'tcpdump',
        '-i',
        card.wire,
        '-enl',
        '-c1',
        'vlan',
        '100',
      ],
      { stdin: '' },
    )
    await expect.poll(() => tagged.stderr(), { timeout: 30_000 }).toMatch(/listening/)
    const lost = [reaches('pod0', ADDRESS[1]), reaches('pod0', '10.1.0.10'), reaches('pod1', ADDRESS[0])]
    expect(await Promise.all(lost)).toEqual([false, false, false])
    expect((await tagged.wait()).stdout).toMatch(/vlan 100, p 3, ethertype ARP/)
    expect((await atOther.stop()).filter(({ text }) => text.includes(`tell ${ADDRESS[0]}`))).toEqual([])

    await set('1 vlan 100')
    expect(await reaches('pod0', ADDRESS[1])).toBe(true)
    await set('1 vlan 101')
    expect(await reaches('pod0', ADDRESS[1])).toBe(false)
  })

  test('may be in a service VLAN', async () => {
    await set('0 vlan 200 proto 802.1ad')
    const atWire = await capture(vm, 'wire', card.wire, '')
    expect(await reaches('pod0', '10.1.0.10')).toBe(false)
    const frames = (await atWire.stop()).filter(({ source }) => source === MAC[0])
    expect(frames.length).toBeGreaterThan(0)
    for (const frame of frames) expect(frame).toMatchObject({ vlan: 200 })
    expect(await vfInfo(0)).toMatchObject({ vlan_list: [{ vlan: 200, protocol: '802.1ad' }] })
  })

  test.each(['on', 'off'])('cannot send into another VLAN, spoof check %s', async (spoofchk) => {
    await set('0 vlan 100')
    await set('1 vlan 101')
    await set(`0 spoofchk ${spoofchk}`)
    // The stack would not do it: tc puts the tag on what leaves the pod.
    await vm.must(`set -e
      tc -n pod0 qdisc add dev net1 clsact
      tc -n pod0 filter add dev net1 egress matchall action vlan push id 101`)
    const before = (await counters(0)).tx_spoof_vlan ?? 0
    const received = (await counters(1)).rx_packets
    expect(await reaches('pod0', ADDRESS[1])).toBe(false)
    expect((await counters(0)).tx_spoof_vlan).toBeGreaterThan(before)
    expect((await counters(1)).rx_packets).toBe(received)
    expect(await refusal(vm, 'ip -n pod0 link add link net1 name tagged type vlan id 101')).toMatch(
      /Operation not permitted/,
    )
  })
})

test('a VF without VLAN receives and sends the VLANs it has asked for, and no other', async () => {
  // Router solicitations would be counted too.
  await vm.must(`echo 0 >/proc/sys/net/ipv6/conf/${card.pf}/router_solicitations
    for ns in pod0 pod1; do
      ip netns exec $ns sh -c 'echo 0 >/proc/sys/net/ipv6/conf/net1/router_solicitations
        echo 0 >/proc/sys/net/ipv6/conf/default/router_solicitations'
      ip -n $ns link delete tagged 2>/dev/null
    done; true`)
  await vm.must(`set -e
    for ns in pod0 pod1; do ip -n $ns link add link net1 name tagged type vlan id 300; ip -n $ns link set tagged up; done
    ip -n pod0 address add 10.3.0.20/24 dev tagged; ip -n pod1 address add 10.3.0.21/24 dev tagged`)
  expect(await reaches('pod0', '10.3.0.21')).toBe(true)
  await vm.must('ip -n pod1 link delete tagged')
  // A frame of IPv6's own may come meanwhile: once none does, nothing has come.
  await expect
    .poll(
      async () => {
        const received = (await counters(1)).rx_packets ?? 0
        expect(await reaches('pod0', '10.3.0.21')).toBe(false)
        return ((await counters(1)).rx_packets ?? 0) - received
      },
      { timeout: 60_000 },
    )
    .toBe(0)

  // pod1 now sends tags of a VLAN it never asked for.
  const before = (await counters(1)).tx_spoof_vlan ?? 0
  await vm.must(`set -e
    tc -n pod1 qdisc add dev net1 clsact
    tc -n pod1 filter add dev net1 egress matchall action vlan push id 300`)
  expect(await reaches('pod1', '10.1.0.1')).toBe(false)
  expect((await counters(1)).tx_spoof_vlan).toBeGreaterThan(before)
  await vm.must('ip -n pod0 link delete tagged')
})

describe('anti-spoof', () => {
  test('drops and counts frames with a foreign source address', async () => {
    await vm.must(`set -e
      tc -n pod0 qdisc add dev net1 clsact
      tc -n pod0 filter add dev net1 egress matchall action pedit ex munge eth src set 02:00:00:00:00:99
      # Without it the stack would go on asking for the neighbour while counters are compared.
      ip -n pod0 neigh replace 10.1.0.10 dev net1 lladdr $(ip netns exec client-a cat /sys/class/net/eth0/address)`)
    const before = await counters(0)
    const atWire = await capture(vm, 'wire', card.wire, 'ether src 02:00:00:00:00:99')
    expect(await reaches('pod0', '10.1.0.10')).toBe(false)
    const after = await counters(0)
    const spoofed = (after.tx_spoof_mac ?? 0) - (before.tx_spoof_mac ?? 0)
    expect(spoofed).toBeGreaterThan(0)
    expect((after.tx_dropped ?? 0) - (before.tx_dropped ?? 0)).toBe(spoofed)
    const { stats } = (await vfInfo(0)) as { stats: { tx: { dropped: number } } }
    expect(stats.tx.dropped).toBe(after.tx_dropped)
    const sum = Number(/vfs_tx_spoof_mac: (\d+)/.exec(await vm.must(`ethtool -S ${card.pf}`))?.[1])
    expect(sum).toBe((after.tx_spoof_mac ?? 0) + ((await counters(1)).tx_spoof_mac ?? 0))
    expect(await atWire.stop()).toEqual([])

    await set('0 spoofchk off')
    const unchecked = await capture(vm, 'wire', card.wire, 'ether src 02:00:00:00:00:99')
    await reaches('pod0', '10.1.0.10')
    expect((await unchecked.stop()).length).toBeGreaterThan(0)
    expect((await counters(0)).tx_spoof_mac).toBe(after.tx_spoof_mac)
    await vm.must('ip -n pod0 neigh delete 10.1.0.10 dev net1')
  })

  test('binds a VF to the address its administrator gave it, unless it is trusted', async () => {
    expect(await refusal(vm, 'ip -n pod0 link set net1 address 02:00:00:00:00:98')).toMatch(
      /Operation not permitted/,
    )
    await set('0 trust on')
    await vm.must('ip -n pod0 link set net1 address 02:00:00:00:00:98')
    expect(await reaches('pod0', ADDRESS[1])).toBe(true)
    await set('0 trust off')
    expect(await reaches('pod0', ADDRESS[1])).toBe(false)
    await vm.must(`ip -n pod0 link set net1 address ${MAC[0]}`)
    expect(await reaches('pod0', ADDRESS[1])).toBe(true)
  })
})

test('link state follows the cable, or what the administrator says', async () => {
  const carrier = async () => (await vm.must('ip netns exec pod0 cat /sys/class/net/net1/carrier')).trim()
  expect(await carrier()).toBe('1')
  await set('0 state disable')
  expect(await carrier()).toBe('0')
  expect(await reaches('pod1', ADDRESS[0])).toBe(false)
  await set('0 state auto')
  expect(await carrier()).toBe('1')
  await vm.must(`ip -n wire link set ${card.wire} down`)
  expect(await carrier()).toBe('0')
  await set('0 state enable')
  await set('1 state enable')
  expect(await carrier()).toBe('1')
  // The pods' stacks hear of a carrier from a worker of the kernel, in its own time.
  await expect.poll(() => reaches('pod0', ADDRESS[1]), { timeout: 30_000 }).toBe(true)
  await vm.must(`ip -n wire link set ${card.wire} up`)
})

test('rates are kept, and refused when they make no sense', async () => {
  await set('0 min_tx_rate 100 max_tx_rate 1000')
  expect(await vfInfo(0)).toMatchObject({ rate: { min_tx: 100, max_tx: 1000 } })
  // ip compares them itself when both are given.
  expect(await refusal(vm, `ip link set ${card.pf} vf 0 max_tx_rate 50`)).toMatch(/max_tx_rate|Invalid/)
  expect(await refusal(vm, `ip link set ${card.pf} vf 0 max_tx_rate 25001`)).toMatch(/Invalid argument/)
  expect(await vfInfo(0)).toMatchObject({ rate: { min_tx: 100, max_tx: 1000 } })
  await set('0 min_tx_rate 0 max_tx_rate 0')
})

test('in switchdev mode VLAN, spoof check and trust are refused, address and link state are not', async () => {
  await setMode(vm, card, 'switchdev')
  for (const attribute of ['vlan 100', 'spoofchk on', 'trust on']) {
    expect(await refusal(vm, `ip link set ${card.pf} vf 0 ${attribute}`)).toMatch(/Operation not supported/)
  }
  await set('0 vlan 0')
  await set(`0 mac ${MAC[0]}`)
  await set('0 state auto')
  expect(await refusal(vm, `bridge link set dev ${card.pf} hwmode vepa`)).toMatch(/belongs to legacy/)
  await setMode(vm, card, 'legacy')
  expect(net.vfs).toHaveLength(2)
})
