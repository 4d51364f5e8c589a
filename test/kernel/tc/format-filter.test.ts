// A filter is printed in the words that tc takes.
import { expect, test } from 'vitest'
import { filterLine } from '../../../src/kernel/tc/format-filter.ts'
import {
  actionList,
  popVlan,
  pushVlan,
  redirectTo,
  rewrite,
  updateChecksums,
  verdict,
} from '../../../src/netlink/tc/actions/action.ts'
import { peditRewrite } from '../../../src/netlink/tc/actions/pedit.ts'
import type { Flower } from '../../../src/netlink/tc/kinds/flower.ts'
import { CLSACT_EGRESS, CLSACT_INGRESS, filterInfo, type Tc, tcMessage } from '../../../src/netlink/tc/msg.ts'
import { fixture } from '../../netlink/fixtures.ts'

const nameOf = (ifindex: number) => ['', '', 'eth0', 'rep0'][ifindex] || undefined

const filter = (options: Flower, protocol = 0x800, more: Partial<Tc> = {}): Tc => ({
  ...{ tcm_family: 0, _pad: new Uint8Array(3), tcm_ifindex: 2, tcm_handle: 1, tcm_parent: CLSACT_INGRESS },
  ...{ tcm_info: filterInfo(10, protocol), TCA_KIND: 'flower', TCA_OPTIONS: options },
  ...more,
})

test('a translating filter of each family is printed as tc accepts it', () => {
  const cookie = Uint8Array.of(0x76, 0x66, 1)
  const v4 = filter({
    TCA_FLOWER_KEY_ETH_TYPE: 0x800,
    TCA_FLOWER_KEY_IP_PROTO: 6,
    TCA_FLOWER_KEY_IPV4_DST: '10.1.0.1',
    TCA_FLOWER_KEY_IPV4_DST_MASK: '255.255.255.255',
    TCA_FLOWER_KEY_IPV4_SRC: '10.2.0.0',
    TCA_FLOWER_KEY_IPV4_SRC_MASK: '255.255.255.0',
    TCA_FLOWER_KEY_TCP_DST: 8080,
    TCA_FLOWER_KEY_TCP_DST_MASK: 0xffff,
    TCA_FLOWER_FLAGS: 2 | 4,
    TCA_FLOWER_ACT: actionList([
      rewrite(
        peditRewrite(
          {
            ethDst: '02:00:00:00:00:05',
            ethSrc: '02:00:00:00:00:01',
            ipDst: '10.1.0.5',
            proto: 6,
            portDst: 80,
          },
          3,
        ),
        cookie,
      ),
      updateChecksums(1 | 8, cookie),
      redirectTo(3, cookie),
    ]),
  })
  expect(filterLine(v4, nameOf)).toBe(
    'tc filter add dev eth0 ingress protocol ip prio 10 handle 0x1 flower ip_proto tcp dst_port 8080 dst_ip 10.1.0.1 src_ip 10.2.0.0/255.255.255.0 skip_sw in_hw ' +
      'action pedit ex munge eth dst set 02:00:00:00:00:05 munge eth src set 02:00:00:00:00:01 munge ip dst set 10.1.0.5 munge tcp dport set 80 pipe cookie 766601 ' +
      'action csum ip4h and tcp pipe cookie 766601 action mirred egress redirect dev rep0 cookie 766601',
  )
  const v6 = filter(
    {
      TCA_FLOWER_KEY_ETH_TYPE: 0x8100,
      TCA_FLOWER_KEY_VLAN_ID: 7,
      TCA_FLOWER_KEY_VLAN_ETH_TYPE: 0x86dd,
      TCA_FLOWER_KEY_IP_PROTO: 17,
      TCA_FLOWER_KEY_IPV6_SRC: 'fd00::1',
      TCA_FLOWER_KEY_UDP_SRC: 53,
      TCA_FLOWER_FLAGS: 1,
      TCA_FLOWER_ACT: actionList([
        popVlan(),
        rewrite(peditRewrite({ ipSrc: 'fd00::5', proto: 17, portSrc: 5353 }, 3)),
        pushVlan(9),
        redirectTo(0),
      ]),
    },
    0x8100,
    { tcm_parent: CLSACT_EGRESS, TCA_CHAIN: 4 },
  )
  expect(filterLine(v6, nameOf)).toBe(
    'tc filter add dev eth0 egress protocol 802.1Q prio 10 chain 4 handle 0x1 flower vlan_id 7 vlan_ethtype ipv6 ip_proto udp src_port 53 src_ip fd00::1 skip_hw ' +
      'action vlan pop pipe action pedit ex munge ip6 src set fd00::5 munge udp sport set 5353 pipe action vlan push id 9 pipe action mirred egress redirect dev *',
  )
})

test('keys, bytes of a rewrite, filters and actions without a tc word are printed by name', () => {
  const odd = filter({
    TCA_FLOWER_KEY_ETH_TYPE: 0x800,
    TCA_FLOWER_KEY_IP_TTL: 64,
    TCA_FLOWER_ACT: actionList([
      rewrite({
        TCA_PEDIT_PARMS_EX: {
          ...{ index: 0, capab: 0, action: 3, refcnt: 0, bindcnt: 0, flags: 0 },
          keys: [
            { mask: 0xffffff00, val: 0x11, off: 0, at: 0, offmask: 0, shift: 0 },
            { mask: 0xffff00f0, val: 0x0203, off: 8, at: 0, offmask: 0, shift: 0 },
          ],
        },
        TCA_PEDIT_KEYS_EX: [{ TCA_PEDIT_KEY_EX_HTYPE: 1 }, { TCA_PEDIT_KEY_EX_HTYPE: 2 }],
      }),
      { TCA_ACT_KIND: 'ct', TCA_ACT_OPTIONS: Uint8Array.of(1) },
      verdict(2),
      redirectTo(99),
    ]),
  })
  const line = filterLine(odd, nameOf)
  expect(line).toContain('TCA_FLOWER_KEY_IP_TTL 64')
  expect(line).toContain('munge header 1 byte 0 set 0x11')
  expect(line).toContain('munge header 2 byte 9 set 0x2')
  expect(line).toContain('munge header 2 byte 8 mask 0xf0 value 0x3')
  expect(line).toContain('action ct action drop action mirred egress redirect dev if99')
})

test('a dumped filter and a matchall filter are printed', () => {
  const dump = (name: string) =>
    fixture(name)
      .messages.filter(({ type }) => type === 44)
      .map(({ payload }) => filterLine(tcMessage.decode(payload), () => 'd0'))
  expect(dump('answer-filter-dump')[1]).toMatch(
    /^tc filter add dev d0 ingress protocol ip prio 1 handle 0x1 flower ip_proto tcp dst_port 8080 dst_ip 10\.0\.0\.1 action pedit ex munge eth dst set 02:00:00:00:00:05 munge eth src set 02:00:00:00:00:01 pipe action mirred egress redirect dev d0 cookie 00112233445566778899aabbccddeeff$/,
  )
  expect(dump('answer-matchall-dump').at(-1)).toContain(' matchall ')
  expect(dump('answer-u32-dump').at(-1)).toBe(
    'tc filter add dev d0 ingress protocol all prio 60000 handle 0x80000800 u32 match u32 0x0 0x0 at 0 skip_hw action mirred egress redirect dev d0 cookie 0102',
  )
})

test('the condition on fragments and a verdict are printed', () => {
  const words = (TCA_FLOWER_KEY_FLAGS: number, TCA_FLOWER_KEY_FLAGS_MASK: number) =>
    filterLine(
      filter({
        ...{ TCA_FLOWER_KEY_ETH_TYPE: 0x800, TCA_FLOWER_KEY_ETH_DST: '02:00:00:00:00:06' },
        ...{ TCA_FLOWER_KEY_FLAGS, TCA_FLOWER_KEY_FLAGS_MASK },
        TCA_FLOWER_ACT: actionList([verdict(0)]),
      }),
      nameOf,
    )
  const start =
    'tc filter add dev eth0 ingress protocol ip prio 10 handle 0x1 flower dst_mac 02:00:00:00:00:06'
  expect(words(0, 1)).toBe(`${start} ip_flags nofrag action ok`)
  expect(words(1, 1)).toBe(`${start} ip_flags frag action ok`)
  expect(words(2, 3)).toBe(`${start} TCA_FLOWER_KEY_FLAGS 2/3 action ok`)
})
