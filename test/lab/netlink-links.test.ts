// Link messages against the kernel, with ip as the judge: what our messages make is read by `ip -j`, what `ip` makes is
// read by our decoders. All in a namespace of its own.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import { IFF } from '../../src/netlink/rtnl/link.ts'
import { type Came, draft, drive, dump, json, request } from '../support/driver.ts'
import { lab } from '../support/lab.ts'
import { deletePod, newPod } from '../support/topology.ts'

const on = 'nl-links'
let vm: Lab

beforeAll(async () => {
  vm = await lab()
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
    const dummy = draft('newLink', {
      ifi_flags: IFF.IFF_UP,
      ifi_change: IFF.IFF_UP,
      IFLA_IFNAME: 'd0',
      IFLA_MTU: 1400,
      IFLA_ADDRESS: '02:00:00:00:00:01',
      IFLA_TXQLEN: 500,
      IFLA_LINKINFO: { IFLA_INFO_KIND: 'dummy' },
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
    await drive(vm, [request(dummy), request(veth)], { on })
    const lower = await indexOf('d0')
    const vlan = draft('newLink', {
      IFLA_IFNAME: 'vlan',
      IFLA_LINK: lower,
      IFLA_LINKINFO: {
        IFLA_INFO_KIND: 'vlan',
        IFLA_INFO_DATA: { IFLA_VLAN_ID: 4094, IFLA_VLAN_PROTOCOL: 0x88a8 },
      },
    })
    await drive(
      vm,
      [request(vlan), request(draft('addAltNames', lower, ['first', 'longer-than-fifteen-bytes']))],
      { on },
    )

    const shown = new Map((await ip<{ ifname: string }>('-d link')).map((link) => [link.ifname, link]))
    expect(shown.get('d0')).toMatchObject({
      mtu: 1400,
      address: '02:00:00:00:00:01',
      txqlen: 500,
      flags: ['BROADCAST', 'NOARP', 'UP', 'LOWER_UP'],
      linkinfo: { info_kind: 'dummy' },
      altnames: ['first', 'longer-than-fifteen-bytes'],
    })
    expect(shown.get('v0')).toMatchObject({ mtu: 1300, link: 'v1', linkinfo: { info_kind: 'veth' } })
    expect(shown.get('v1')).toMatchObject({ mtu: 1280, link: 'v0', address: '02:00:00:00:00:11' })
    expect(shown.get('vlan')).toMatchObject({
      link: 'd0',
      linkinfo: { info_kind: 'vlan', info_data: { protocol: '802.1ad', id: 4094 } },
    })
  })

  test('that we change are changed, in one request and only there', async () => {
    const [before] = await ip('-d link show dev v0')
    const change = { IFLA_ADDRESS: '02:00:00:00:00:22', IFLA_MTU: 1290, ifi_flags: 0, ifi_change: IFF.IFF_UP }
    const lower = await indexOf('d0')
    await drive(
      vm,
      [
        request(draft('changeLink', { ifi_index: lower, ...change })),
        request(draft('setLink', { ifi_index: lower, IFLA_IFNAME: 'renamed' })),
        request(draft('deleteAltNames', lower, ['first'])),
        request(draft('deleteLink', await indexOf('vlan'))),
      ],
      { on },
    )
    const [after] = await ip('link show dev renamed')
    expect(after).toMatchObject({ mtu: 1290, address: '02:00:00:00:00:22', flags: ['BROADCAST', 'NOARP'] })
    expect(after?.altnames).toEqual(['longer-than-fifteen-bytes'])
    expect((await ip('link')).map((link) => link.ifname)).toEqual(['lo', 'renamed', 'v1', 'v0'])
    expect((await ip('-d link show dev v0'))[0]).toEqual(before)
  })

  test('that ip makes are read in every field', async () => {
    await vm.must(`ip -n ${on} -b - <<END
      link set renamed name d0
      link set d0 alias some_text group 7 up
      link add link d0 name d0.100 type vlan id 100
      link add link d0 name outer type vlan proto 802.1ad id 7
      link add br0 type bridge vlan_filtering 1
      link set v0 master br0 up
      link set v1 up
      link property add dev v0 altname müller
END`)
    const shown = await ip<Record<string, unknown>>('-d link')
    const [links] = await drive(vm, [dump(draft('dumpLinks'))], { on })
    const names = new Map(shown.map((link) => [link.ifindex, link.ifname]))
    expect(links.map((came) => asIpShows(came, names))).toEqual(shown.map(comparable))
    expect(shown.map((link) => link.ifname)).toEqual(['lo', 'd0', 'v1', 'v0', 'd0.100', 'outer', 'br0'])
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

const flagNames = {
  LOOPBACK: IFF.IFF_LOOPBACK,
  BROADCAST: IFF.IFF_BROADCAST,
  NOARP: IFF.IFF_NOARP,
  UP: IFF.IFF_UP,
  LOWER_UP: IFF.IFF_LOWER_UP,
} as const
const operStates = ['UNKNOWN', 'NOTPRESENT', 'DOWN', 'LOWERLAYERDOWN', 'TESTING', 'DORMANT', 'UP']

/** A decoded link in the words of `ip -d -j link`, without what those have no codec for. */
function asIpShows({ value }: Came, names: ReadonlyMap<unknown, unknown>): Record<string, unknown> {
  const info = value.IFLA_LINKINFO as Record<string, unknown> | undefined
  const data = info?.IFLA_INFO_DATA as Record<string, unknown> | undefined
  const bits = value.ifi_flags as number
  return comparable({
    ifindex: value.ifi_index,
    ifname: value.IFLA_IFNAME,
    link: names.get(value.IFLA_LINK),
    master: names.get(value.IFLA_MASTER),
    flags: Object.entries(flagNames).flatMap(([name, bit]) => (bits & bit ? [name] : [])),
    mtu: value.IFLA_MTU,
    qdisc: value.IFLA_QDISC,
    operstate: operStates[value.IFLA_OPERSTATE as number],
    txqlen: value.IFLA_TXQLEN,
    address: value.IFLA_ADDRESS,
    broadcast: value.IFLA_BROADCAST,
    group: value.IFLA_GROUP === 0 ? 'default' : String(value.IFLA_GROUP),
    promiscuity: value.IFLA_PROMISCUITY,
    allmulti: value.IFLA_ALLMULTI,
    min_mtu: value.IFLA_MIN_MTU,
    max_mtu: value.IFLA_MAX_MTU,
    num_tx_queues: value.IFLA_NUM_TX_QUEUES,
    num_rx_queues: value.IFLA_NUM_RX_QUEUES,
    gso_max_size: value.IFLA_GSO_MAX_SIZE,
    tso_max_size: value.IFLA_TSO_MAX_SIZE,
    gro_ipv4_max_size: value.IFLA_GRO_IPV4_MAX_SIZE,
    ifalias: value.IFLA_IFALIAS,
    altnames: value.IFLA_PROP_LIST,
    ...(info === undefined
      ? {}
      : {
          linkinfo: {
            info_kind: info.IFLA_INFO_KIND,
            ...(info.IFLA_INFO_KIND === 'vlan'
              ? {
                  info_data: {
                    protocol: data?.IFLA_VLAN_PROTOCOL === 0x88a8 ? '802.1ad' : '802.1Q',
                    id: data?.IFLA_VLAN_ID,
                  },
                }
              : {}),
          },
        }),
  })
}

const fields =
  `ifindex ifname link master flags mtu qdisc operstate txqlen address broadcast group promiscuity allmulti
  min_mtu max_mtu num_tx_queues num_rx_queues gso_max_size tso_max_size gro_ipv4_max_size ifalias altnames`.split(
    /\s+/,
  )

/** What of a link both sides know. */
function comparable(link: Record<string, unknown>): Record<string, unknown> {
  const { linkinfo, flags } = link as {
    linkinfo?: { info_kind: string; info_data?: { protocol: string; id: number } }
    flags: string[]
  }
  const { protocol, id } = linkinfo?.info_kind === 'vlan' ? (linkinfo.info_data ?? {}) : {}
  return {
    ...Object.fromEntries(fields.filter((key) => link[key] !== undefined).map((key) => [key, link[key]])),
    flags: flags.filter((flag) => flag in flagNames).sort(),
    kind: linkinfo?.info_kind,
    protocol,
    id,
  }
}
