// VLANs against the kernel, with ip and bridge as the judges: interfaces in a VLAN, forwarding entries of a bridge that filters
// them. Everything else of links and neighbours is in test/native. In a namespace of its own.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { ask, draft, drive, dump, json, request, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { AF } from '../../../src/netlink/rtnl/const.ts'
import { NTF, NUD } from '../../../src/netlink/rtnl/neigh.ts'
import { asIpShows, comparable } from '../../support/ip-link.ts'
import { lab } from '../../support/lab.ts'

const on = 'nl-links'
const [lower, port] = [50, 51]
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await newPod(vm, on)
  await vm.must(`ip -n ${on} -b - <<END
      link add d0 index ${lower} address 02:00:00:00:00:01 up type dummy
      link add v0 index ${port} type dummy
      link add br0 type bridge vlan_filtering 1
      link set v0 master br0 up
END`)
})
afterAll(() => deletePod(vm, on))

const vlan = (name: string, id: number, protocol: number) =>
  draft('newLink', {
    IFLA_IFNAME: name,
    IFLA_LINK: lower,
    IFLA_LINKINFO: {
      IFLA_INFO_KIND: 'vlan',
      IFLA_INFO_DATA: { IFLA_VLAN_ID: id, IFLA_VLAN_PROTOCOL: protocol },
    },
  })

test('VLAN interfaces that we make are what ip shows', async () => {
  const [, refused] = await tryDrive(
    vm,
    [request(vlan('vlan', 4094, 0x88a8)), request(vlan('none', 4095, 0x8100))],
    { on },
  )
  expect(refused.error?.message).toBe('RTM_NEWLINK: ERANGE: 8021q: Invalid VLAN id')
  expect(await json(vm, `ip -n ${on} -d -j link show type vlan`)).toMatchObject([
    {
      ifname: 'vlan',
      link: 'd0',
      linkinfo: { info_kind: 'vlan', info_data: { protocol: '802.1ad', id: 4094 } },
    },
  ])
})

test('VLAN interfaces that ip makes are read in every field, and facts say what is below them', async () => {
  await vm.must(`ip -n ${on} -b - <<END
      link add link d0 name d0.100 type vlan id 100
      link add link d0 name outer type vlan proto 802.1ad id 7
END`)
  const shown = await json(vm, `ip -n ${on} -d -j link`)
  const [links, facts] = await drive(vm, [dump(draft('dumpLinks')), ask('link', 'host', 'd0.100')], { on })
  const names = new Map(shown.map((link) => [link.ifindex, link.ifname]))
  expect(links.map((came) => asIpShows(came, names))).toEqual(shown.map(comparable))
  expect(shown.map((link) => link.ifname)).toEqual(expect.arrayContaining(['d0.100', 'outer', 'br0']))
  expect(facts).toMatchObject({ kind: 'vlan', vlanId: 100, lower, up: false })
})

test('forwarding entries of one VLAN that we add are what bridge shows', async () => {
  const entry = {
    ndm_family: AF.AF_BRIDGE,
    ndm_ifindex: port,
    ndm_state: NUD.NUD_NOARP,
    ndm_flags: NTF.NTF_MASTER,
    NDA_LLADDR: '02:00:00:00:00:77',
    NDA_VLAN: 1,
  }
  await drive(vm, [request(draft('newNeigh', entry))], { on })
  expect(await json(vm, `bridge -n ${on} -j fdb show brport v0`)).toContainEqual({
    ...{ mac: '02:00:00:00:00:77', vlan: 1, flags: [], master: 'br0', state: 'static' },
  })
})
