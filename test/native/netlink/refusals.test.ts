// Our errors keep the errno of a refusal, the kernel's words and the attribute that it points at, and a batch goes on
// behind a refusal. In a namespace of its own.
// needs: veth
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import {
  batch,
  type Draft,
  draft,
  drive,
  dump,
  json,
  request,
  tryDrive,
} from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { AF } from '../../../src/netlink/rtnl/const.ts'
import { lab } from '../../support/lab.ts'

const on = 'nl-refusals'
let vm: Lab
let d0: number

beforeAll(async () => {
  vm = await lab()
  await newPod(vm, on)
  await vm.must(
    `ip -n ${on} link add d0 up type veth peer name p0; ip -n ${on} address add 10.5.0.1/24 dev d0`,
  )
  const [link] = await json<{ ifindex: number }>(vm, `ip -n ${on} -j link show dev d0`)
  d0 = link?.ifindex ?? 0
})
afterAll(() => deletePod(vm, on))

test('keeps errno, text and attribute of a refusal', async () => {
  const v4 = { ifa_family: AF.AF_INET, ifa_prefixlen: 24, ifa_index: d0 }
  const route = { rtm_family: AF.AF_INET, rtm_type: 1, RTA_OIF: d0 }
  const rule = { family: AF.AF_INET, action: 1 }
  const neighbour = { ndm_family: AF.AF_INET, ndm_ifindex: d0 }
  const kind = (name: string) => ({ IFLA_LINKINFO: { IFLA_INFO_KIND: name } })
  const cases: [Draft, string][] = [
    [draft('getLink', 'absent'), 'RTM_GETLINK: ENODEV'],
    [
      draft('newAddr', { ...v4, IFA_LOCAL: '10.5.0.1' }),
      'RTM_NEWADDR: EEXIST: ipv4: Address already assigned',
    ],
    [
      draft('deleteAddr', { ...v4, IFA_LOCAL: '10.5.0.77' }),
      'RTM_DELADDR: EADDRNOTAVAIL: ipv4: Address not found',
    ],
    [
      draft('newRoute', { ...route, RTA_GATEWAY: '10.99.0.1' }),
      'RTM_NEWROUTE: ENETUNREACH: Nexthop has invalid gateway',
    ],
    [draft('newRoute', { ...route, RTA_OIF: 9_999 }), 'RTM_NEWROUTE: ENODEV'],
    [draft('deleteRoute', route), 'RTM_DELROUTE: ESRCH'],
    [draft('newLink', kind('nonsense')), 'RTM_NEWLINK: EOPNOTSUPP: Unknown device type'],
    [draft('newLink', { IFLA_IFNAME: 'd0', ...kind('veth') }), 'RTM_NEWLINK: EEXIST'],
    [draft('changeLink', { ifi_index: d0, IFLA_ADDRESS: '01:00:00:00:00:01' }), 'RTM_NEWLINK: EADDRNOTAVAIL'],
    [draft('addAltNames', d0, ['d0']), 'RTM_NEWLINKPROP: EEXIST'],
    [
      draft('newRule', { ...rule, src_len: 33, FRA_SRC: '10.0.0.1' }),
      'RTM_NEWRULE: EINVAL: Invalid source address',
    ],
    [draft('newNeigh', neighbour), 'RTM_NEWNEIGH: EINVAL: Network address not specified'],
    [
      draft('newNeigh', { ...neighbour, NDA_FLAGS_EXT: 0x8000_0000 }),
      'RTM_NEWNEIGH: EINVAL: reserved bit set (NDA_FLAGS_EXT)',
    ],
  ]
  const steps = cases.map(([message]) => request(message))
  const results = await tryDrive(
    vm,
    [...steps, dump(draft('dumpAddrs', { ifa_family: AF.AF_INET, IFA_LABEL: 'd0' }))],
    { on },
  )
  expect(results.map(({ error }) => error?.message)).toEqual([
    ...cases.map(([, message]) => message),
    'RTM_GETADDR: EINVAL: ipv4: Unsupported attribute in dump request',
  ])
  expect(results[1]?.error).toEqual({
    name: 'NetlinkError',
    message: 'RTM_NEWADDR: EEXIST: ipv4: Address already assigned',
    code: 'EEXIST',
    errno: 17,
    extack: 'ipv4: Address already assigned',
  })
})

test('a batch has an answer for each request, and goes on behind one that failed', async () => {
  const address = (n: number) => ({
    ifa_family: AF.AF_INET,
    ifa_prefixlen: 32,
    ifa_index: d0,
    IFA_LOCAL: `10.6.${n >> 8}.${n & 255}`,
  })
  const drafts = Array.from({ length: 300 }, (_, n) => draft('newAddr', address(n === 150 ? 149 : n)))
  const [results] = await drive(vm, [batch(drafts)], { on })
  expect(results).toHaveLength(300)
  const failed = results.flatMap(({ error }, index) =>
    error === undefined ? [] : [{ index, code: error.code }],
  )
  expect(failed).toEqual([{ index: 150, code: 'EEXIST' }])
  const [link] = await json<{ addr_info: { local: string }[] }>(vm, `ip -n ${on} -j -4 address show dev d0`)
  expect(link?.addr_info.filter(({ local }) => local.startsWith('10.6.'))).toHaveLength(299)
})
