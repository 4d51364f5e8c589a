// Filters against the kernel, with tc as the judge: ours and those of tc command lines, on two devices, have to look
// the same to `tc -j` and to our decoder. In a namespace of its own.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import {
  batch,
  type Came,
  draft,
  drive,
  dump,
  json,
  request,
  tryDrive,
} from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import {
  actionList,
  redirectTo,
  rewrite,
  updateChecksums,
  verdict,
} from '../../../src/netlink/tc/actions/action.ts'
import { TC_ACT } from '../../../src/netlink/tc/actions/gact.ts'
import { peditRewrite } from '../../../src/netlink/tc/actions/pedit.ts'
import { compareEcho } from '../../../src/netlink/tc/compare.ts'
import type { FilterPlace } from '../../../src/netlink/tc/filter.ts'
import { type Flower, TCA_CLS_FLAGS } from '../../../src/netlink/tc/kinds/flower.ts'
import {
  CLSACT_EGRESS,
  CLSACT_INGRESS,
  filterInfo,
  type Tc,
  type TcRequest,
} from '../../../src/netlink/tc/msg.ts'
import { ETH_P, IPPROTO } from '../../../src/netlink/tc/validate.ts'
import { lab } from '../../support/lab.ts'

const on = 'nl-tc'
const { ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q } = ETH_P
const { IPPROTO_TCP, IPPROTO_UDP } = IPPROTO
let vm: Lab
let ours: number
let theirs: number

beforeAll(async () => {
  vm = await lab()
  await newPod(vm, on)
  await vm.must(`ip -n ${on} link add ours up type dummy; ip -n ${on} link add theirs up type dummy
    tc -n ${on} qdisc add dev theirs clsact`)
  const links = await json<{ ifindex: number; ifname: string }>(vm, `ip -n ${on} -j link`)
  ours = links.find(({ ifname }) => ifname === 'ours')?.ifindex ?? 0
  theirs = links.find(({ ifname }) => ifname === 'theirs')?.ifindex ?? 0
  await drive(vm, [request(draft('newClsact', ours))], { on })
})
afterAll(() => deletePod(vm, on))

interface Case {
  /** The words behind `tc filter add dev DEVICE`. */
  readonly line: string
  readonly side?: 'egress'
  readonly priority: number
  readonly protocol: number
  readonly options: () => Flower
}

const cookie = '766601010000000000000000000000aa'
const cookieBytes = Uint8Array.from(Buffer.from(cookie, 'hex'))
const macs = { ethDst: '02:00:00:00:00:01', ethSrc: '02:00:00:00:00:02' }
const macWords = 'munge eth dst set 02:00:00:00:00:01 munge eth src set 02:00:00:00:00:02'

const cases: readonly Case[] = [
  {
    line: `ingress protocol ip prio 10 flower skip_hw ip_proto tcp dst_ip 10.1.0.1 dst_port 8080
      action pedit ex ${macWords} pipe cookie ${cookie} action mirred egress redirect dev ours cookie ${cookie}`,
    priority: 10,
    protocol: ETH_P_IP,
    options: () => ({
      TCA_FLOWER_KEY_ETH_TYPE: ETH_P_IP,
      TCA_FLOWER_KEY_IP_PROTO: IPPROTO_TCP,
      TCA_FLOWER_KEY_IPV4_DST: '10.1.0.1',
      TCA_FLOWER_KEY_TCP_DST: 8080,
      TCA_FLOWER_FLAGS: TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_HW,
      TCA_FLOWER_ACT: actionList([
        rewrite(peditRewrite(macs, TC_ACT.TC_ACT_PIPE), cookieBytes),
        redirectTo(ours, cookieBytes),
      ]),
    }),
  },
  {
    line: `ingress protocol ipv6 prio 11 flower ip_proto udp dst_ip fd00:1::1 dst_port 53 src_ip fd00::/16
      action drop cookie ${cookie}`,
    priority: 11,
    protocol: ETH_P_IPV6,
    options: () => ({
      TCA_FLOWER_KEY_ETH_TYPE: ETH_P_IPV6,
      TCA_FLOWER_KEY_IP_PROTO: IPPROTO_UDP,
      TCA_FLOWER_KEY_IPV6_DST: 'fd00:1::1',
      TCA_FLOWER_KEY_IPV6_SRC: 'fd00::',
      TCA_FLOWER_KEY_IPV6_SRC_MASK: 'ffff::',
      TCA_FLOWER_KEY_UDP_DST: 53,
      TCA_FLOWER_ACT: actionList([verdict(TC_ACT.TC_ACT_SHOT, cookieBytes)]),
    }),
  },
  {
    line: `ingress protocol 802.1Q prio 12 flower vlan_id 100 vlan_prio 3 vlan_ethtype ipv6 ip_proto tcp
      dst_ip fd00:1::1 dst_port 443 action pass`,
    priority: 12,
    protocol: ETH_P_8021Q,
    options: () => ({
      TCA_FLOWER_KEY_ETH_TYPE: ETH_P_8021Q,
      TCA_FLOWER_KEY_VLAN_ID: 100,
      TCA_FLOWER_KEY_VLAN_PRIO: 3,
      TCA_FLOWER_KEY_VLAN_ETH_TYPE: ETH_P_IPV6,
      TCA_FLOWER_KEY_IP_PROTO: IPPROTO_TCP,
      TCA_FLOWER_KEY_IPV6_DST: 'fd00:1::1',
      TCA_FLOWER_KEY_TCP_DST: 443,
      TCA_FLOWER_ACT: actionList([verdict(TC_ACT.TC_ACT_OK)]),
    }),
  },
  {
    line: `egress protocol ip prio 1 flower ip_proto udp src_ip 10.1.0.5 src_port 53 action pedit ex
      munge ip src set 10.1.0.1 munge udp sport set 5353 pipe action csum ip4h udp pipe action goto chain 7`,
    side: 'egress',
    priority: 1,
    protocol: ETH_P_IP,
    options: () => ({
      TCA_FLOWER_KEY_ETH_TYPE: ETH_P_IP,
      TCA_FLOWER_KEY_IP_PROTO: IPPROTO_UDP,
      TCA_FLOWER_KEY_IPV4_SRC: '10.1.0.5',
      TCA_FLOWER_KEY_UDP_SRC: 53,
      TCA_FLOWER_ACT: actionList([
        rewrite(peditRewrite({ ipSrc: '10.1.0.1', proto: 17, portSrc: 5353 }, TC_ACT.TC_ACT_PIPE)),
        updateChecksums(1 | 16),
        verdict(TC_ACT.TC_ACT_GOTO_CHAIN | 7),
      ]),
    }),
  },
  {
    line: `egress protocol ipv6 prio 2 flower ip_proto tcp src_ip fd00:1::5 src_port 80 action pedit ex
      munge ip6 src set fd00:1::1 munge tcp sport set 8080 pipe action csum tcp pipe action pass`,
    side: 'egress',
    priority: 2,
    protocol: ETH_P_IPV6,
    options: () => ({
      TCA_FLOWER_KEY_ETH_TYPE: ETH_P_IPV6,
      TCA_FLOWER_KEY_IP_PROTO: IPPROTO_TCP,
      TCA_FLOWER_KEY_IPV6_SRC: 'fd00:1::5',
      TCA_FLOWER_KEY_TCP_SRC: 80,
      TCA_FLOWER_ACT: actionList([
        rewrite(peditRewrite({ ipSrc: 'fd00:1::1', proto: 6, portSrc: 8080 }, TC_ACT.TC_ACT_PIPE)),
        updateChecksums(8),
        verdict(TC_ACT.TC_ACT_OK),
      ]),
    }),
  },
]

const placeOn = (ifindex: number, { side, priority, protocol }: Case): FilterPlace => ({
  ifindex,
  priority,
  protocol,
  ...(side === 'egress' ? { parent: CLSACT_EGRESS } : {}),
})

const asked = (ifindex: number, one: Case): TcRequest => ({
  tcm_ifindex: ifindex,
  tcm_parent: one.side === 'egress' ? CLSACT_EGRESS : CLSACT_INGRESS,
  tcm_info: filterInfo(one.priority, one.protocol),
  TCA_KIND: 'flower',
  TCA_OPTIONS: one.options(),
})

/** Filters as tc shows them, without what no two of them have in common. */
async function shown(device: string, side: string): Promise<unknown[]> {
  const filters = await json(vm, `tc -n ${on} -j filter show dev ${device} ${side}`)
  const text = JSON.stringify(filters.filter((filter) => 'options' in filter))
  return JSON.parse(text, (key, value) =>
    /^(index|installed|last_used|ref|bind)$/.test(key) ? undefined : value,
  )
}

test('our filters look to tc as those of its own command lines do', async () => {
  const echoes = await drive(
    vm,
    cases.map((one) => request(draft('newFlower', placeOn(ours, one), one.options()))),
    { on },
  )
  await vm.must(`tc -n ${on} -b - <<END
${cases.map(({ line }) => `filter add dev theirs ${line.replaceAll('\n', ' ')}`).join('\n')}
END`)
  for (const side of ['ingress', 'egress']) {
    const mine = await shown('ours', side)
    expect(mine).toHaveLength(cases.filter((one) => (one.side ?? 'ingress') === side).length)
    expect(mine).toEqual(await shown('theirs', side))
  }
  // The echo of each says the same, in our decoder's words.
  echoes.forEach(({ messages }, index) => {
    expect(compareEcho(asked(ours, cases[index] as Case), messages[0]?.value as Tc)).toEqual([])
  })
})

test("tc's filters look to us as ours do", async () => {
  const parents = [CLSACT_INGRESS, CLSACT_EGRESS]
  const dumps = await drive(
    vm,
    parents.map((parent) => dump(draft('dumpFilters', theirs, { parent }))),
    { on },
  )
  const found = dumps.flat().filter(({ value }) => value.TCA_OPTIONS !== undefined) as (Came & {
    value: Tc
  })[]
  expect(found).toHaveLength(cases.length)
  found.forEach(({ value }, index) => {
    expect(compareEcho(asked(theirs, cases[index] as Case), value)).toEqual([])
  })
  const [first] = found
  const other = {
    ...(cases[0] as Case),
    options: () => ({ ...cases[0]?.options(), TCA_FLOWER_KEY_TCP_DST: 8081 }),
  }
  expect(compareEcho(asked(theirs, other), first?.value as Tc)).toEqual([
    'TCA_FLOWER_KEY_TCP_DST: asked 8081, kernel has 8080',
  ])
})

test('an equal key is refused whatever its handle and flags are, and taken in another priority or with another mask', async () => {
  const [first] = cases as [Case]
  const place = placeOn(ours, first)
  const { TCA_FLOWER_FLAGS: _, ...options } = first.options()
  const masked = { ...options, TCA_FLOWER_KEY_IPV4_DST_MASK: '255.255.255.0' }
  const fragments = { ...options, TCA_FLOWER_KEY_FLAGS: 0, TCA_FLOWER_KEY_FLAGS_MASK: 1 }
  const before = await shown('ours', 'ingress')
  const results = await tryDrive(
    vm,
    [
      request(draft('newFlower', place, options)),
      request(draft('newFlower', { ...place, handle: 77 }, options)),
      request(draft('newFlower', { ...place, handle: 77 }, { ...options, TCA_FLOWER_FLAGS: 1 })),
      request(draft('newFlower', { ...place, handle: 77 }, { ...options, TCA_FLOWER_FLAGS: 2 })),
      request(draft('newFlower', { ...place, handle: 78 }, masked)),
      request(draft('newFlower', { ...place, handle: 79 }, fragments)),
      request(draft('newFlower', { ...place, priority: 100, handle: 80 }, options)),
      request(draft('deleteFilter', { ...place, handle: 78 }, 'flower')),
      request(draft('deleteFilter', { ...place, handle: 79 }, 'flower')),
      request(draft('deleteFilter', { ...place, priority: 100, handle: 80 }, 'flower')),
      request(draft('deleteFilter', { ...place, handle: 78 }, 'flower')),
      request(draft('getFilter', { ...place, handle: 78 }, 'flower')),
    ],
    { on },
  )
  expect(results.map(({ error }) => error?.code)).toEqual([
    ...Array.from({ length: 4 }, () => 'EEXIST'),
    ...Array.from({ length: 6 }, () => undefined),
    'ENOENT',
    'ENOENT',
  ])
  expect(await shown('ours', 'ingress')).toEqual(before)
})

test('a batch of 300 filters has 299 when one in the middle is refused', async () => {
  const place = { ifindex: ours, priority: 200, protocol: ETH_P_IP }
  const flower = (port: number): Flower => ({
    TCA_FLOWER_KEY_ETH_TYPE: ETH_P_IP,
    TCA_FLOWER_KEY_IP_PROTO: IPPROTO_UDP,
    TCA_FLOWER_KEY_UDP_DST: port,
    TCA_FLOWER_ACT: actionList([verdict(TC_ACT.TC_ACT_OK, cookieBytes)]),
  })
  const drafts = Array.from({ length: 300 }, (_, n) => draft('newFlower', place, flower(n === 150 ? 149 : n)))
  const [results] = await drive(vm, [batch(drafts)], { on })
  const failed = results.flatMap(({ error }, index) =>
    error === undefined ? [] : [`${index} ${error.code}`],
  )
  expect(failed).toEqual(['150 EEXIST'])
  const filters = await json(vm, `tc -n ${on} -j filter show dev ours ingress prio 200`)
  const ports = filters.flatMap((filter) => {
    const keys = (filter.options as { keys: { dst_port: number } } | undefined)?.keys
    return keys === undefined ? [] : [keys.dst_port]
  })
  expect(ports.sort((a, b) => a - b)).toEqual(
    Array.from({ length: 300 }, (_, n) => n).filter((n) => n !== 150),
  )
  const echoed = results.map(
    ({ value }) => (value?.messages[0]?.value.TCA_OPTIONS as Flower)?.TCA_FLOWER_KEY_UDP_DST,
  )
  expect(echoed).toEqual(Array.from({ length: 300 }, (_, n) => (n === 150 ? undefined : n)))
})

test('the echo shows what the kernel has left out', async () => {
  // A port without a protocol, and an attribute that this kernel doesn't know: it takes both filters and says nothing.
  const header = {
    tcm_ifindex: ours,
    tcm_parent: CLSACT_INGRESS,
    tcm_info: filterInfo(300, ETH_P_IP),
    TCA_KIND: 'flower',
  }
  const act = actionList([verdict(TC_ACT.TC_ACT_OK)])
  const blind = { TCA_FLOWER_KEY_ETH_TYPE: ETH_P_IP, TCA_FLOWER_KEY_TCP_DST: 80, TCA_FLOWER_ACT: act }
  const future = { TCA_FLOWER_KEY_ETH_TYPE: ETH_P_IP, '#999': new Uint8Array(4), TCA_FLOWER_ACT: act }
  const flags = 0x400 | 0x200 | 8
  const send = (options: object, info: number) =>
    request(draft('raw', 'RTM_NEWTFILTER', flags, { ...header, tcm_info: info, TCA_OPTIONS: options }))
  const [first, second] = await drive(
    vm,
    [send(blind, header.tcm_info), send(future, filterInfo(301, ETH_P_IP))],
    { on },
  )
  const differences = (options: object, info: number, came: Came | undefined) =>
    compareEcho({ ...header, tcm_info: info, TCA_OPTIONS: options } as TcRequest, came?.value as Tc)
  expect(differences(blind, header.tcm_info, first.messages[0])).toEqual([
    'TCA_FLOWER_KEY_TCP_DST: asked 80, kernel has nothing',
  ])
  expect(differences(future, filterInfo(301, ETH_P_IP), second.messages[0])).toEqual([
    expect.stringMatching(/^#999: asked .*, kernel has nothing$/),
  ])
})
