// Link messages against the kernel, with ip as the judge: what our messages make is read by `ip -j`, what `ip` makes is
// read by our decoders. All in a namespace of its own. VLANs are in test/lab/netlink/links.
// needs: ifb, veth, macvlan, bridge
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { draft, drive, dump, json, request } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { IFF } from '../../../src/netlink/rtnl/link.ts'
import { asIpShows, comparable } from '../../support/ip-link.ts'
import { lab } from '../../support/lab.ts'

const on = 'nl-links'
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await vm.load('ifb numifbs=0')
  await newPod(vm, on)
})
afterAll(() => deletePod(vm, on))

const ip = <T = Record<string, unknown>>(command: string): Promise<T[]> =>
  json<T>(vm, `ip -n ${on} -j ${command}`)

/** The interface's number in the namespace. */
async function indexOf(name: string): Promise<number> {
  const [link] = await ip<{ ifindex: number }>(`link show dev ${name}`)
  return link?.ifindex ?? 0
}

describe('links', () => {
  test('that we make are what ip shows', async () => {
    const ifb = draft('newLink', {
      ifi_flags: IFF.IFF_UP,
      ifi_change: IFF.IFF_UP,
      IFLA_IFNAME: 'd0',
      IFLA_MTU: 1400,
      IFLA_ADDRESS: '02:00:00:00:00:01',
      IFLA_TXQLEN: 500,
      IFLA_LINKINFO: { IFLA_INFO_KIND: 'ifb' },
    })
    const veth = draft('newLink', {
      IFLA_IFNAME: 'v0',
      IFLA_MTU: 1300,
      IFLA_LINKINFO: {
        IFLA_INFO_KIND: 'veth',
        IFLA_INFO_DATA: {
          VETH_INFO_PEER: {
            ...noHeader,
            IFLA_IFNAME: 'v1',
            IFLA_MTU: 1280,
            IFLA_ADDRESS: '02:00:00:00:00:11',
          },
        },
      },
    })
    const doomed = draft('newLink', { IFLA_IFNAME: 'doomed', IFLA_LINKINFO: { IFLA_INFO_KIND: 'ifb' } })
    await drive(vm, [request(ifb), request(veth), request(doomed)], { on })
    const lower = await indexOf('d0')
    const upper = draft('newLink', {
      IFLA_IFNAME: 'upper',
      IFLA_LINK: lower,
      ifi_flags: IFF.IFF_UP,
      ifi_change: IFF.IFF_UP,
      IFLA_ADDRESS: '02:00:00:00:00:02',
      IFLA_LINKINFO: { IFLA_INFO_KIND: 'macvlan' },
    })
    await drive(
      vm,
      [request(upper), request(draft('addAltNames', lower, ['first', 'longer-than-fifteen-bytes']))],
      { on },
    )

    const shown = new Map((await ip<{ ifname: string }>('-d link')).map((link) => [link.ifname, link]))
    expect(shown.get('d0')).toMatchObject({
      mtu: 1400,
      address: '02:00:00:00:00:01',
      txqlen: 500,
      flags: ['BROADCAST', 'NOARP', 'UP', 'LOWER_UP'],
      linkinfo: { info_kind: 'ifb' },
      altnames: ['first', 'longer-than-fifteen-bytes'],
    })
    expect(shown.get('v0')).toMatchObject({ mtu: 1300, link: 'v1', linkinfo: { info_kind: 'veth' } })
    expect(shown.get('v1')).toMatchObject({ mtu: 1280, link: 'v0', address: '02:00:00:00:00:11' })
    expect(shown.get('upper')).toMatchObject({ link: 'd0', linkinfo: { info_kind: 'macvlan' } })
    expect(shown.get('upper')).toMatchObject({
      address: '02:00:00:00:00:02',
      flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
    })
    expect(shown.has('doomed')).toBe(true)
  })

  test('that we change are changed, in one request and only there', async () => {
    const [before] = await ip('-d link show dev v0')
    const change = { IFLA_ADDRESS: '02:00:00:00:00:22', IFLA_MTU: 1290, ifi_flags: 0, ifi_change: IFF.IFF_UP }
    const upper = await indexOf('upper')
    await drive(
      vm,
      [
        request(draft('changeLink', { ifi_index: upper, ...change })),
        request(draft('setLink', { ifi_index: upper, IFLA_IFNAME: 'renamed' })),
        request(draft('deleteAltNames', await indexOf('d0'), ['first'])),
        request(draft('deleteLink', await indexOf('doomed'))),
      ],
      { on },
    )
    const [after] = await ip('link show dev renamed')
    expect(after).toMatchObject({
      mtu: 1290,
      address: '02:00:00:00:00:22',
      flags: ['BROADCAST', 'MULTICAST'],
    })
    expect((await ip('link show dev d0'))[0]?.altnames).toEqual(['longer-than-fifteen-bytes'])
    expect((await ip('link')).map((link) => link.ifname)).toEqual(['lo', 'd0', 'v1', 'v0', 'renamed'])
    expect((await ip('-d link show dev v0'))[0]).toEqual(before)
  })

  test('that ip makes are read in every field', async () => {
    await vm.must(`ip -n ${on} -b - <<END
      link set d0 alias some_text group 7 up
      link add br0 type bridge
      link set v0 master br0 up
      link set v1 up
      link property add dev v0 altname müller
END`)
    const shown = await ip<Record<string, unknown>>('-d link')
    const [links] = await drive(vm, [dump(draft('dumpLinks'))], { on })
    const names = new Map(shown.map((link) => [link.ifindex, link.ifname]))
    expect(links.map((came) => asIpShows(came, names))).toEqual(shown.map(comparable))
    expect(shown.map((link) => link.ifname)).toEqual(['lo', 'd0', 'v1', 'v0', 'renamed', 'br0'])
    const [byName, byAltname, byLongName] = await drive(
      vm,
      [
        request(draft('getLink', 'v0')),
        request(draft('getLink', 'müller')),
        request(draft('getLink', 'longer-than-fifteen-bytes')),
      ],
      { on },
    )
    expect(byAltname.messages[0]?.value.ifi_index).toBe(byName.messages[0]?.value.ifi_index)
    expect(byName.messages[0]?.value).toMatchObject({ IFLA_IFNAME: 'v0', IFLA_PROP_LIST: ['müller'] })
    expect(byLongName.messages[0]?.value).toMatchObject({ IFLA_IFNAME: 'd0' })
  })
})

const noHeader = { ifi_family: 0, ifi_type: 0, ifi_index: 0, ifi_flags: 0, ifi_change: 0 }
