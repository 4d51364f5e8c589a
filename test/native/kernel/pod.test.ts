// The kernel's answers and its refusals, on both sides of a pod: compared with what ip says.
// needs: veth, macvlan
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { apply, ask, drive, json, run, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import type { Op } from '../../../src/ops/op.ts'
import { lab } from '../../support/lab.ts'

// `on` plays the host; the driver enters the pod from there.
const [on, pod] = ['kernel-host', 'kernel-pod'] as const
const netns = `/run/netns/${pod}`
const side = 'pod'
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await newPod(vm, on)
  await newPod(vm, pod)
  await vm.must(`ip -n ${on} -b - <<END
      link add port address 02:00:00:00:00:11 up type veth peer name net1 netns ${pod}
END
    ip -n ${pod} -b - <<END
      link set net1 address 02:00:00:00:00:12 up
      address add 10.1.0.5/24 dev net1
      address add fd00:1::5/64 dev net1 nodad
      link add link net1 name upper type macvlan mode bridge
      link property add dev net1 altname other
      route add default via 10.1.0.254
      route add 10.9.0.0/16 via 10.1.0.254 table 70000 metric 9
END
    while [ -n "$(ip -n ${pod} -6 address show tentative)" ]; do sleep 0.05; done`)
})
afterAll(async () => {
  await deletePod(vm, on)
  await deletePod(vm, pod)
})

/** All that an operation could have changed in the pod. */
function state(): Promise<string> {
  return vm.must(`for what in link address 'route show table all' '-6 route show table all' rule '-6 rule'; do
    ip -n ${pod} -d -j $what; done`)
}

test('interfaces, addresses and routes are what ip says, on each side', async () => {
  const at = (namespace: string, words: string) => json(vm, `ip -n ${namespace} -d -j ${words}`)
  const shown = await at(pod, 'link')
  const index = (name: string) => shown.find(({ ifname }) => ifname === name)?.ifindex as number
  const [host, inside, byAltname, absent, upper, addresses, routes, port] = await drive(
    vm,
    [
      ask('links', 'host'),
      ask('links', 'pod'),
      ask('link', 'pod', 'other'),
      ask('link', 'pod', 'port'),
      ask('link', 'pod', 'upper'),
      ask('addresses', 'pod', index('net1')),
      ask('routes', 'pod'),
      ask('link', 'host', 'port'),
    ],
    { on, netns },
  )
  const names = async (namespace: string) =>
    (await at(namespace, 'link')).map(({ ifindex, ifname }) => `${ifindex} ${ifname}`)
  expect(host.map(({ ifindex, name }) => `${ifindex} ${name}`)).toEqual(await names(on))
  expect(inside.map(({ ifindex, name }) => `${ifindex} ${name}`)).toEqual(await names(pod))
  expect(byAltname).toEqual({
    afSpec: expect.any(Object),
    qdisc: 'noqueue',
    ifindex: index('net1'),
    name: 'net1',
    altnames: ['other'],
    mac: '02:00:00:00:00:12',
    mtu: 1500,
    up: true,
    carrier: true,
    lower: port?.ifindex,
    lowerNetns: expect.any(Number),
    kind: 'veth',
    ...{ alias: '', promisc: false, allmulti: false, txqlen: 1000, xdp: [], xdpIn: [] },
    ...{ type: 1, promiscuity: 0 },
    // IFF_MULTICAST
    traits: expect.objectContaining({ flags: 0x1000, mode: 0, group: 0, broadcast: 'ff:ff:ff:ff:ff:ff' }),
  })
  expect(absent).toBeUndefined()
  expect(upper).toMatchObject({ kind: 'macvlan', lower: index('net1'), up: false })
  expect(addresses.map(({ address, scope }) => `${address} ${scope}`).sort()).toEqual([
    '10.1.0.5/24 0',
    expect.stringMatching(/^fd00:1::5\/64 0$/),
    expect.stringMatching(/^fe80::.*\/64 253$/),
  ])
  const unicast = [
    ...(await at(pod, 'route show table all type unicast')),
    ...(await at(pod, '-6 route show table all type unicast')),
  ]
  const mine = routes.map(({ dst, gw, table, metric }) => `${dst} ${gw} ${table} ${metric}`)
  expect(mine).toHaveLength(new Set(unicast.map((route) => JSON.stringify(route))).size)
  expect(mine).toContain('0.0.0.0/0 10.1.0.254 254 0')
  expect(mine).toContain('10.9.0.0/16 10.1.0.254 70000 9')
  expect(mine).toContain('fd00:1::/64 undefined 254 256')
})

describe('a transaction', () => {
  const ops: readonly Op[] = [
    { do: 'altname.add', side, name: 'net1', altname: 'third' },
    { do: 'link.set', side, name: 'net1', set: { mtu: 1600 }, was: { mtu: 1500 } },
    { do: 'addr.add', side, link: 'net1', address: 'fd00:7::5/64' },
    { do: 'addr.add', side, link: 'net1', address: '10.7.0.5/24' },
    { do: 'route.add', side, route: { dst: '10.8.0.0/16', link: 'net1', gw: '10.7.0.254', table: 5_000 } },
    { do: 'rule.add', side, rule: { src: '10.7.0.5', table: 5_000, priority: 30_000 } },
  ]
  const bad: readonly (readonly [Op, string, object])[] = [
    [
      { do: 'route.add', side, route: { dst: '10.99.0.0/16', link: 'net1', gw: '10.98.0.1' } },
      'Cannot run "pod:ip route add 10.99.0.0/16 via 10.98.0.1 dev net1": RTM_NEWROUTE: ENETUNREACH: Nexthop has invalid gateway',
      { code: 'ENETUNREACH', extack: 'Nexthop has invalid gateway' },
    ],
    [
      { do: 'addr.add', side, link: 'net1', address: '10.7.0.5/24' },
      'Cannot run "pod:ip address add 10.7.0.5/24 dev net1": RTM_NEWADDR: EEXIST: ipv4: Address already assigned',
      { code: 'EEXIST' },
    ],
    [
      { do: 'addr.add', side, link: 'absent', address: '10.7.0.6/24' },
      'Cannot run "pod:ip address add 10.7.0.6/24 dev absent": ENODEV: no interface "absent"',
      { name: 'MissingLink', code: 'ENODEV', errno: 19 },
    ],
    [
      { do: 'link.set', side, name: 'net1', set: { mac: '01:00:00:00:00:01' }, was: {} },
      'Cannot run "pod:ip link set dev net1 address 01:00:00:00:00:01": RTM_NEWLINK: EADDRNOTAVAIL',
      { code: 'EADDRNOTAVAIL' },
    ],
    [
      { do: 'link.set', side, name: 'net1', set: { mtu: 100_000 }, was: {} },
      'Cannot run "pod:ip link set dev net1 mtu 100000": RTM_NEWLINK: EINVAL: mtu greater than device maximum',
      { code: 'EINVAL' },
    ],
    [
      { do: 'sysctl.set', side, key: 'net/ipv4/conf/net1/absent', value: '1', was: '0' },
      expect.stringContaining('Cannot run "pod:sysctl -w net/ipv4/conf/net1/absent=1": '),
      { code: 'ENOENT' },
    ],
  ]

  test('that fails takes back all that it has done, and keeps the words of the refusal', async () => {
    const before = await state()
    const results = await tryDrive(
      vm,
      bad.map(([op]) => apply(...ops, op)),
      { on, netns },
    )
    expect(results.map(({ error }) => error?.message)).toEqual(bad.map(([, message]) => message))
    expect(results.map(({ error }) => error?.cause)).toEqual(
      bad.map(([, , cause]) => expect.objectContaining(cause)),
    )
    for (const { error } of results) expect(error).toMatchObject({ name: 'ApplyError', stuck: [] })
    expect(await state()).toBe(before)
  })

  test('that fails says what it could not take back', async () => {
    const before = await state()
    const address = (last: number) => ({ side, link: 'net1', address: `10.7.0.${last}/24` }) as const
    // The kernel removes the second address of a subnet with the first.
    const ops: Op[] = [
      { do: 'addr.add', ...address(5) },
      { do: 'addr.add', ...address(6) },
      { do: 'addr.del', ...address(5) },
      { do: 'addr.del', ...address(7) },
    ]
    const [result] = await tryDrive(vm, [apply(...ops)], { on, netns })
    expect(result.error).toMatchObject({
      message:
        'Cannot run "pod:ip address del 10.7.0.7/24 dev net1": RTM_DELADDR: EADDRNOTAVAIL: ipv4: Address not found',
      stuck: [
        'not undone: pod:ip address del 10.7.0.6/24 dev net1: RTM_DELADDR: EADDRNOTAVAIL: ipv4: Address not found',
      ],
    })
    expect(await state()).toBe(before)
  })
})

test('a route that exists counts as added, a second address does not', async () => {
  const before = await state()
  const route = {
    do: 'route.add',
    side,
    route: { dst: '0.0.0.0/0', link: 'net1', gw: '10.1.0.254' },
  } as const
  const [added, address] = await tryDrive(
    vm,
    [run(route), run({ do: 'addr.add', side, link: 'net1', address: 'fd00:1::5/64' })],
    { on, netns },
  )
  expect(added).toEqual({ value: { existed: true } })
  expect(address.error).toMatchObject({ code: 'EEXIST', extack: 'ipv6: address already assigned' })
  expect(await state()).toBe(before)
})

test('removing a table takes its routes and rules of both families and nothing else', async () => {
  await vm.must(
    `ip -n ${pod} rule add from 10.1.0.5 lookup 70000 priority 77; ip -n ${pod} -6 rule add from fd00:1::5 lookup main priority 30000`,
  )
  const before = await state()
  const table = 0x76660001
  const ops: Op[] = [
    { do: 'route.add', side, route: { dst: '10.1.0.0/24', link: 'net1', table } },
    { do: 'route.add', side, route: { dst: '0.0.0.0/0', link: 'net1', gw: '10.1.0.254', table } },
    { do: 'route.add', side, route: { dst: 'fd00:1::/64', link: 'net1', table } },
    { do: 'route.add', side, route: { dst: '::/0', link: 'net1', gw: 'fd00:1::fe', table } },
    { do: 'rule.add', side, rule: { src: '10.1.0.5', table, priority: 30_000 } },
    { do: 'rule.add', side, rule: { src: 'fd00:1::5', table, priority: 30_000 } },
  ]
  await drive(vm, [apply(...ops)], { on, netns })
  expect(await json(vm, `ip -n ${pod} -6 -j route show table ${table}`)).toHaveLength(2)
  expect(await state()).not.toBe(before)
  await drive(vm, [ask('removeTable', table, 30_000), ask('removeTable', table, 30_000)], { on, netns })
  expect(await state()).toBe(before)
})

test('rules and routes that a record has go one by one, by their table, whatever their interface is called by now', async () => {
  const replies = (table: number) => {
    const on = { link: 'net1', table }
    const routes = [
      { dst: '10.1.0.0/24', ...on },
      { dst: '10.9.0.0/16', gw: '10.1.0.253', metric: 7, ...on },
      { dst: '0.0.0.0/0', gw: '10.1.0.254', ...on },
      { dst: 'fd00:1::/64', ...on },
      { dst: '::/0', gw: 'fd00:1::fe', ...on },
    ]
    const rules = ['10.1.0.5', 'fd00:1::5'].map((src) => ({ src, table, priority: 30_000 }))
    const ops: Op[] = [
      ...routes.map((route): Op => ({ do: 'route.add', side, route })),
      ...rules.map((rule): Op => ({ do: 'rule.add', side, rule })),
    ]
    return { routes, rules, ops }
  }
  const [mine, theirs] = [replies(0x70000001), replies(0x70000002)]
  const none = await state()
  await drive(vm, [apply(...theirs.ops)], { on, netns })
  const before = await state()
  // The rules are there already, as an ADD finds them whose predecessor's record was lost.
  const [, again] = await drive(vm, [apply(...mine.ops), apply(...mine.ops)], { on, netns })
  expect(again).toEqual(mine.ops.map(() => ({ existed: true })))
  await vm.must(
    `ip -n ${pod} link set net1 down; ip -n ${pod} link set net1 name moved; ip -n ${pod} link set moved up`,
  )
  await vm.must(`ip -n ${pod} route add 10.1.0.0/24 dev moved table ${0x70000001} proto boot`)
  const remove = ask('removeReplies', mine.rules, mine.routes)
  await drive(vm, [remove, remove], { on, netns })
  expect(await vm.must(`ip -n ${pod} route show table ${0x70000001} 2>&1 || true`)).not.toContain('10.1.0.0')
  expect(await vm.must(`ip -n ${pod} rule; ip -n ${pod} -6 rule`)).not.toContain(`lookup ${0x70000001}`)
  await vm.must(
    `ip -n ${pod} link set moved down; ip -n ${pod} link set moved name net1; ip -n ${pod} link set net1 up`,
  )
  // The search for another node with its link-local address is seen by whoever listens next.
  const passed = `ip -n ${pod} -6 -o address show dev net1 scope link -tentative | grep -q inet6`
  await vm.must(`timeout 20 sh -c 'until ${passed}; do sleep 0.05; done'`)
  expect(before).not.toBe(none)
  await drive(vm, [ask('removeReplies', theirs.rules, theirs.routes)], { on, netns })
  expect(await vm.must(`ip -n ${pod} rule; ip -n ${pod} -6 rule`)).not.toContain(`lookup ${0x70000002}`)
})

test('an announcement is gratuitous ARP, request and reply, and an unsolicited advertisement, each round of it', async () => {
  const seen = await capture(vm, on, 'port', '-vv ether src 02:00:00:00:00:12')
  const addresses = ['10.1.0.5', 'fd00:1::5']
  const twice = { count: 2, intervalMs: 5, carrierMs: 200 }
  const op: Op = { do: 'announce', link: 'net1', mac: '02:00:00:00:00:12', addresses, ...twice }
  await drive(vm, [run(op), run({ ...op, count: 0 })], { on, netns })
  // An interface that has come up a moment ago asks for routers and reports its multicast groups, more than once.
  const isOfKernel = /ICMP6, (router solicitation|multicast listener report)/
  const frames = (await seen.stop())
    .filter(({ text }) => !isOfKernel.test(text))
    .map(({ source, destination, text }) => `${source} > ${destination} ${text}`)
  const round = [
    '02:00:00:00:00:12 > ff:ff:ff:ff:ff:ff Ethernet (len 6), IPv4 (len 4), Request who-has 10.1.0.5 tell 10.1.0.5, length 46',
    '02:00:00:00:00:12 > ff:ff:ff:ff:ff:ff Ethernet (len 6), IPv4 (len 4), Reply 10.1.0.5 is-at 02:00:00:00:00:12, length 46',
    expect.stringMatching(
      /^02:00:00:00:00:12 > 33:33:00:00:00:01 \(hlim 255.* fd00:1::5 > ff02::1: \[icmp6 sum ok\] ICMP6, neighbor advertisement, .* tgt is fd00:1::5, Flags \[override\]/,
    ),
  ]
  expect(frames).toEqual([...round, ...round])
})
