// Addresses and neighbours against the kernel, with iproute2 as the judge: what our messages make is read by `ip -j`, what
// `ip` makes is read by our decoders. All in a namespace of its own.
// needs: ifb, veth, bridge
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { type Came, draft, drive, dump, json, request } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { AF } from '../../../src/netlink/rtnl/const.ts'
import { NTF, NUD } from '../../../src/netlink/rtnl/neigh.ts'
import { lab } from '../../support/lab.ts'

const on = 'nl'
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await vm.load('ifb numifbs=0')
  await newPod(vm, on)
  await vm.must(`ip -n ${on} -b - <<END
    link add d0 address 02:00:00:00:00:01 up type ifb
    link add v0 type veth peer name v1
    link add br0 type bridge
    link set v0 master br0 up
END`)
})
afterAll(() => deletePod(vm, on))

const ip = <T = Record<string, unknown>>(command: string): Promise<T[]> =>
  json<T>(vm, `ip -n ${on} -j ${command}`)

/** The interface's number in the namespace. */
async function indexOf(name: string): Promise<number> {
  const [link] = await ip<{ ifindex: number }>(`link show dev ${name}`)
  return link?.ifindex ?? 0
}

describe('addresses', () => {
  test('that we add and remove are what ip shows', async () => {
    const index = await indexOf('d0')
    const v4 = { ifa_family: AF.AF_INET, ifa_index: index }
    const v6 = { ifa_family: AF.AF_INET6, ifa_index: index, ifa_prefixlen: 64, IFA_FLAGS: 2 }
    const peer = { ...v4, ifa_prefixlen: 32, IFA_LOCAL: '10.5.0.2', IFA_ADDRESS: '10.6.0.1' }
    const limited = { ifa_prefered: 500, ifa_valid: 1000, cstamp: 0, tstamp: 0 }
    const doomed = { ...v4, ifa_prefixlen: 24, IFA_LOCAL: '10.5.9.1', IFA_ADDRESS: '10.5.9.1' }
    await drive(
      vm,
      [
        request(
          draft('newAddr', {
            ...v4,
            ifa_prefixlen: 24,
            IFA_LOCAL: '10.5.0.1',
            IFA_BROADCAST: '10.5.0.255',
            IFA_LABEL: 'd0:x',
          }),
        ),
        request(draft('newAddr', peer)),
        request(draft('newAddr', { ...v6, IFA_ADDRESS: 'fd05::1' })),
        request(draft('newAddr', { ...v6, IFA_ADDRESS: 'fd05::2', IFA_CACHEINFO: limited })),
        request(draft('newAddr', doomed)),
        request(draft('deleteAddr', doomed)),
      ],
      { on },
    )
    const [link] = await ip<{ addr_info: Record<string, unknown>[] }>('address show dev d0')
    const shown = link?.addr_info.filter(({ scope }) => scope === 'global')
    const forever = { valid_life_time: 4294967295, preferred_life_time: 4294967295 }
    expect(shown).toHaveLength(4)
    expect(shown).toEqual(
      expect.arrayContaining([
        {
          family: 'inet',
          local: '10.5.0.1',
          prefixlen: 24,
          broadcast: '10.5.0.255',
          scope: 'global',
          label: 'd0:x',
          ...forever,
        },
        {
          family: 'inet',
          local: '10.5.0.2',
          address: '10.6.0.1',
          prefixlen: 32,
          scope: 'global',
          label: 'd0',
          ...forever,
        },
        { family: 'inet6', local: 'fd05::1', prefixlen: 64, scope: 'global', nodad: true, ...forever },
        expect.objectContaining({ local: 'fd05::2', dynamic: true, valid_life_time: expect.any(Number) }),
      ]),
    )
  })

  test('that ip adds are read, of one interface or of all', async () => {
    await vm.must(
      `ip -n ${on} address add 10.5.7.1/31 dev v1; ip -n ${on} address add fd05:7::1/127 dev v1 nodad`,
    )
    const index = await indexOf('v1')
    const [one, all] = await drive(
      vm,
      [dump(draft('dumpAddrs', { ifa_index: index })), dump(draft('dumpAddrs'))],
      { on },
    )
    const shown = await ip<{ ifindex: number; addr_info: { local: string; prefixlen: number }[] }>('address')
    const listed = shown.flatMap(({ ifindex, addr_info }) =>
      addr_info.map(({ local, prefixlen }) => `${ifindex} ${local}/${prefixlen}`),
    )
    const read = (list: readonly Came[]) =>
      list.map(
        ({ value }) => `${value.ifa_index} ${value.IFA_LOCAL ?? value.IFA_ADDRESS}/${value.ifa_prefixlen}`,
      )
    expect(read(all).sort()).toEqual(listed.sort())
    expect(read(one).sort()).toEqual(listed.filter((line) => line.startsWith(`${index} `)))
    expect(read(one)).toContain(`${index} 10.5.7.1/31`)
  })
})

test('neighbours and forwarding entries that we add are what ip and bridge show, and theirs are read', async () => {
  const index = await indexOf('d0')
  const port = await indexOf('v0')
  const neighbour = { ndm_ifindex: index, ndm_state: NUD.NUD_PERMANENT }
  await drive(
    vm,
    [
      request(
        draft('newNeigh', {
          ...neighbour,
          ndm_family: AF.AF_INET,
          NDA_DST: '10.5.0.9',
          NDA_LLADDR: '02:00:00:00:00:09',
        }),
      ),
      request(
        draft('newNeigh', {
          ...neighbour,
          ndm_family: AF.AF_INET6,
          NDA_DST: 'fd05::9',
          NDA_LLADDR: '02:00:00:00:00:09',
        }),
      ),
      request(
        draft('newNeigh', {
          ndm_family: AF.AF_BRIDGE,
          ndm_ifindex: port,
          ndm_state: NUD.NUD_NOARP,
          ndm_flags: NTF.NTF_MASTER,
          NDA_LLADDR: '02:00:00:00:00:77',
        }),
      ),
    ],
    { on },
  )
  const permanent = { dev: 'd0', lladdr: '02:00:00:00:00:09', state: ['PERMANENT'] }
  expect(await ip('neigh show nud permanent')).toEqual([
    { dst: '10.5.0.9', ...permanent },
    { dst: 'fd05::9', ...permanent },
  ])
  const forwarding = await json(vm, `bridge -n ${on} -j fdb show brport v0`)
  expect(forwarding).toContainEqual({
    mac: '02:00:00:00:00:77',
    flags: [],
    master: 'br0',
    state: 'static',
  })
  await vm.must(`ip -n ${on} neigh replace 10.5.0.9 lladdr 02:00:00:00:00:99 dev d0 nud permanent router`)
  const [found] = await drive(
    vm,
    [dump(draft('dumpNeighs', { ndm_family: AF.AF_INET, NDA_IFINDEX: index }))],
    { on },
  )
  expect(found.map(({ value }) => value)).toMatchObject([
    {
      NDA_DST: '10.5.0.9',
      NDA_LLADDR: '02:00:00:00:00:99',
      ndm_state: NUD.NUD_PERMANENT,
      ndm_flags: NTF.NTF_ROUTER,
    },
  ])
})
