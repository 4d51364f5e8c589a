// Links are read from the kernel's messages, and changed by requests that name them by number.
import { describe, expect, test } from 'vitest'
import {
  allLinks,
  changeAltname,
  findLink,
  linkFacts,
  mustFindLink,
  setLinkAttributes,
} from '../../../src/kernel/link/links.ts'
import { NLM_F } from '../../../src/netlink/message.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { IFF, type LinkRequest, linkMessage } from '../../../src/netlink/rtnl/link.ts'
import type { LinkAttributes, LinkSet } from '../../../src/ops/op.ts'
import { fixture, payloadOf } from '../../netlink/fixtures.ts'
import { answering } from '../answers.ts'

const mac = '02:00:00:00:00:05'
const other = '02:00:00:00:00:99'

describe('facts', () => {
  test('of an answer without attributes are empty', () => {
    const bare = linkMessage.decode(linkMessage.encode({ ifi_index: 7, IFLA_IFNAME: 'x' }))
    expect(linkFacts(bare)).toEqual({
      ...{ ifindex: 7, name: 'x', altnames: [], mac: '', permanentMac: undefined, mtu: 0, up: false },
      ...{ carrier: false, master: undefined, lower: undefined, kind: undefined, vlanId: undefined },
      ...{ parent: undefined, parentBus: undefined, physSwitchId: undefined, physPortName: undefined },
      ...{
        vfs: undefined,
        alias: '',
        promisc: false,
        allmulti: false,
        txqlen: 0,
        slaveKind: undefined,
        xdp: [],
        xdpIn: [],
        type: 0,
        traits: { flags: 0 },
      },
    })
  })

  test('have the numbers of switch and port in hex', () => {
    const ids = { IFLA_PHYS_SWITCH_ID: Uint8Array.of(1, 2), IFLA_PHYS_PORT_ID: Uint8Array.of(0, 255) }
    const facts = linkFacts(linkMessage.decode(linkMessage.encode({ ifi_index: 7, ...ids })))
    expect(facts).toMatchObject({ physSwitchId: '0102', physPortId: '00ff' })
  })

  test('have each XDP program once, and the kind of the master', () => {
    const facts = linkFacts(
      linkMessage.decode(
        linkMessage.encode({
          ifi_index: 7,
          IFLA_XDP: {
            IFLA_XDP_ATTACHED: 4,
            IFLA_XDP_PROG_ID: 9,
            IFLA_XDP_DRV_PROG_ID: 9,
            IFLA_XDP_SKB_PROG_ID: 8,
          },
          IFLA_LINKINFO: { IFLA_INFO_SLAVE_KIND: 'openvswitch' },
        }),
      ),
    )
    expect(facts).toMatchObject({ xdp: [9, 8], slaveKind: 'openvswitch' })
  })

  test('have the VLAN id of a VLAN interface, from a real answer', () => {
    expect(linkFacts(linkMessage.decode(payloadOf('answer-link-vlan')))).toMatchObject({
      ...{ name: 'pf0.100', kind: 'vlan', vlanId: 100, lower: 2, mtu: 1500, up: false },
      mac: '02:00:00:00:00:f0',
    })
  })

  test('have no VLAN id for a VLAN interface of service tags (802.1ad)', () => {
    const of = (IFLA_VLAN_PROTOCOL: number) =>
      linkFacts(
        linkMessage.decode(
          linkMessage.encode({
            ifi_index: 7,
            IFLA_LINKINFO: {
              IFLA_INFO_KIND: 'vlan',
              IFLA_INFO_DATA: { IFLA_VLAN_ID: 100, IFLA_VLAN_PROTOCOL },
            },
          }),
        ),
      )
    expect([of(0x8100).vlanId, of(0x88a8).vlanId]).toEqual([100, undefined])
    expect(of(0x88a8).kind).toBe('vlan')
  })

  test('have the namespace of the other end of a pair, if it is another one', () => {
    const facts = (more: object) =>
      linkFacts(linkMessage.decode(linkMessage.encode({ ifi_index: 7, IFLA_LINK: 3, ...more })))
    expect(facts({ IFLA_LINK_NETNSID: 0 }).lowerNetns).toBe(0)
    expect(facts({}).lowerNetns).toBeUndefined()
  })

  test('have the attributes of four VFs of a PF', () => {
    const facts = linkFacts(linkMessage.decode(payloadOf('answer-vf-list')))
    expect(facts).toMatchObject({ name: 'pf0', up: true, carrier: true, kind: undefined })
    expect([...(facts.vfs?.keys() ?? [])]).toEqual([0, 1, 2, 3])
    expect(facts.vfs?.get(2)).toMatchObject({ trust: true, spoofchk: false })
  })

  test('have the bus address and the altnames of hardware in a pod', () => {
    const link = {
      ifi_index: 4,
      ifi_flags: IFF.IFF_UP,
      IFLA_IFNAME: 'net1',
      IFLA_PROP_LIST: ['enp59s0f0v3', 'x'],
      IFLA_PERM_ADDRESS: other,
      IFLA_PARENT_DEV_NAME: '0000:3b:02.3',
      IFLA_MASTER: 9,
    }
    expect(linkFacts(linkMessage.decode(linkMessage.encode(link)))).toMatchObject({
      ...{ altnames: ['enp59s0f0v3', 'x'], permanentMac: other, parent: '0000:3b:02.3', master: 9, up: true },
    })
  })
})

/** Links by name. `refuses` returns the errno that refuses a change, and may change the link all the same. */
class Links {
  readonly links: LinkRequest[]
  refuses: (change: LinkRequest, link: LinkRequest) => number = () => 0
  readonly #kernel = answering((request) => {
    const asked = linkMessage.decode(request.payload)
    if (request.type === RTM.RTM_GETLINK) {
      const isDump = (request.flags & NLM_F.NLM_F_DUMP) === NLM_F.NLM_F_DUMP
      const found = this.links.filter((link) => isDump || this.#matches(link, asked))
      if (!isDump && found.length === 0) return { errno: 19 }
      return { messages: found.map((link) => ({ type: RTM.RTM_NEWLINK, payload: linkMessage.encode(link) })) }
    }
    const at = this.links.findIndex((link) => link.ifi_index === asked.ifi_index)
    const link = this.links[at]
    if (link === undefined) return { errno: 19 }
    const errno = this.refuses(asked, link)
    if (errno !== 0) return { errno }
    const { ifi_index: _, ifi_flags: flags, ifi_change: mask, ifi_family: __, ifi_type: ___, ...rest } = asked
    const kept = (this.links[at]?.ifi_flags ?? 0) & ~mask
    this.links[at] = { ...this.links[at], ...rest, ifi_flags: kept | (flags & mask) }
    return {}
  })
  readonly socket = this.#kernel.socket
  readonly asked = this.#kernel.asked

  constructor(...links: LinkRequest[]) {
    this.links = links.map((link) => ({ ...link }))
  }

  readonly indexOf = (name: string) => mustFindLink(this.socket, name).ifindex

  /** The requests that change a link. */
  changes(): LinkRequest[] {
    return this.asked
      .filter(({ type }) => type !== RTM.RTM_GETLINK)
      .map(({ payload }) => linkMessage.decode(payload))
  }

  #matches(
    link: LinkRequest,
    { ifi_index: index, IFLA_IFNAME: name, IFLA_ALT_IFNAME: altname }: LinkRequest,
  ) {
    const wanted = name ?? altname
    return index === 0
      ? [link.IFLA_IFNAME, ...(link.IFLA_PROP_LIST ?? [])].includes(wanted)
      : link.ifi_index === index
  }
}

const net1: LinkRequest = { ifi_index: 7, IFLA_IFNAME: 'net1', IFLA_ADDRESS: other, IFLA_MTU: 1500 }

describe('finding', () => {
  const long = 'a-name-of-more-than-15-bytes'
  const links = () => new Links(net1, { ifi_index: 8, IFLA_IFNAME: 'pf0', IFLA_PROP_LIST: ['enp59s0', long] })

  test.each([
    ['net1', 7],
    ['enp59s0', 8],
    [long, 8],
    [8, 8],
    ['gone', undefined],
    [99, undefined],
  ])('%j is %j', (by, ifindex) => {
    expect(findLink(links().socket, by)?.ifindex).toBe(ifindex)
  })

  test('VFs are requested without statistics, and only when wanted', () => {
    const { socket, asked } = links()
    findLink(socket, 'pf0')
    findLink(socket, 'pf0', true)
    expect(asked.map(({ payload }) => linkMessage.decode(payload).IFLA_EXT_MASK)).toEqual([undefined, 9])
  })

  test('a refusal other than "no such device" is an error', () => {
    const { socket } = answering(() => ({ errno: 1, text: 'no' }))
    expect(() => findLink(socket, 'net1')).toThrow('RTM_GETLINK: EPERM: no')
  })

  test('a missing interface is named in the error', () => {
    expect(() => mustFindLink(links().socket, 'gone')).toThrow(
      expect.objectContaining({ message: 'ENODEV: no interface "gone"', code: 'ENODEV', errno: 19 }),
    )
  })

  test('a dump of all interfaces has a mask, without which the kernel leaves some out', () => {
    const { socket, asked } = links()
    expect(allLinks(socket).map(({ name }) => name)).toEqual(['net1', 'pf0'])
    const [dump] = asked.map(({ payload }) => linkMessage.decode(payload))
    expect(dump?.IFLA_EXT_MASK).toBe(8)
  })

  test('a dump of a real kernel is decoded', () => {
    const dump = fixture('answer-link-dump').messages.filter(({ type }) => type === RTM.RTM_NEWLINK)
    const { socket } = answering(() => ({ messages: dump }))
    expect(allLinks(socket).map(({ name, kind }) => [name, kind])).toEqual(
      expect.arrayContaining([
        ['lo', undefined],
        ['v0', 'veth'],
        ['v1', 'veth'],
      ]),
    )
  })
})

describe('link.set', () => {
  const op = (set: LinkAttributes, more: Partial<LinkSet> = {}): LinkSet => ({
    ...{ do: 'link.set', side: 'pod', name: 'net1', set, was: {} },
    ...more,
  })
  const stateOf = (links: Links) => links.links[0]

  test('sends MAC, MTU and flags in one request', () => {
    const links = new Links(net1)
    setLinkAttributes(links.socket, op({ mac, mtu: 9000, up: true }), links.indexOf)
    expect(stateOf(links)).toMatchObject({ IFLA_ADDRESS: mac, IFLA_MTU: 9000, ifi_flags: IFF.IFF_UP })
    expect(links.changes()).toHaveLength(1)
  })

  test('changes only the named attributes, flags by their mask', () => {
    const links = new Links({ ...net1, ifi_flags: IFF.IFF_UP | IFF.IFF_PROMISC })
    setLinkAttributes(links.socket, op({ up: false }), links.indexOf)
    expect(stateOf(links)).toMatchObject({ IFLA_ADDRESS: other, IFLA_MTU: 1500, ifi_flags: IFF.IFF_PROMISC })
  })

  test('without attributes sends no request, but the interface must exist', () => {
    const links = new Links(net1)
    setLinkAttributes(links.socket, op({}), links.indexOf)
    expect(links.changes()).toEqual([])
    expect(() => setLinkAttributes(links.socket, op({}, { name: 'gone' }), links.indexOf)).toThrow(
      'no interface "gone"',
    )
  })

  test('with ifDifferent does not set a MAC that the interface has', () => {
    const links = new Links(net1)
    setLinkAttributes(links.socket, op({ mac: other, up: true }, { ifDifferent: true }), links.indexOf)
    expect(links.changes()).toEqual([expect.not.objectContaining({ IFLA_ADDRESS: other })])
    setLinkAttributes(links.socket, op({ mac: other }), links.indexOf)
    expect(links.changes()[1]).toMatchObject({ IFLA_ADDRESS: other })
  })

  test('throws a refusal unless the operation may fail', () => {
    const links = new Links({ ...net1, ifi_flags: IFF.IFF_UP })
    links.refuses = () => 16
    expect(() => setLinkAttributes(links.socket, op({ mac }), links.indexOf)).toThrow('EBUSY')
    setLinkAttributes(links.socket, op({ mac }, { mayFail: true }), links.indexOf)
    expect(stateOf(links)).toMatchObject({ IFLA_ADDRESS: other })
  })

  test('asks a driver again that is busy when it must go up', () => {
    const links = new Links(net1)
    let busy = 3
    links.refuses = (change, link) => {
      if (change.ifi_flags !== IFF.IFF_UP || busy === 0) return 0
      busy--
      // The kernel sets MAC and MTU before the flags.
      links.links[0] = { ...link, IFLA_ADDRESS: mac, IFLA_MTU: 9000 }
      return 16
    }
    setLinkAttributes(links.socket, op({ mac, mtu: 9000, up: true }), links.indexOf)
    expect(stateOf(links)).toMatchObject({ IFLA_ADDRESS: mac, IFLA_MTU: 9000, ifi_flags: IFF.IFF_UP })
  })

  test('asks once when the driver is busy with anything but going up', () => {
    const links = new Links(net1)
    links.refuses = () => 16
    expect(() => setLinkAttributes(links.socket, op({ mtu: 9000, up: true }), links.indexOf)).toThrow('EBUSY')
    expect(links.changes()).toHaveLength(1)
  })

  test('throws when the driver stays busy', () => {
    const links = new Links(net1)
    links.refuses = () => 16
    expect(() => setLinkAttributes(links.socket, op({ up: true }), links.indexOf)).toThrow('EBUSY')
    expect(links.changes().length).toBeGreaterThan(10)
  })

  test('resets a VF that refuses a MAC and takes the MAC from its PF at a reset', () => {
    const links = new Links(net1)
    links.refuses = (change, link) => {
      if (change.IFLA_ADDRESS !== undefined) return 1
      if (change.ifi_flags === IFF.IFF_UP)
        Object.assign(links.links[0] as object, { ...link, IFLA_ADDRESS: mac })
      return 0
    }
    setLinkAttributes(links.socket, op({ mac, mtu: 9000, up: true }), links.indexOf)
    expect(stateOf(links)).toMatchObject({ IFLA_ADDRESS: mac, IFLA_MTU: 9000, ifi_flags: IFF.IFF_UP })
  })

  test('throws the refusal when the VF keeps its MAC over a reset, and leaves the VF down as before', () => {
    const links = new Links(net1)
    links.refuses = (change) => (change.IFLA_ADDRESS === undefined ? 0 : 1)
    expect(() => setLinkAttributes(links.socket, op({ mac, mtu: 9000, up: true }), links.indexOf)).toThrow(
      'EPERM',
    )
    expect(stateOf(links)).toMatchObject({ IFLA_ADDRESS: other, IFLA_MTU: 1500, ifi_flags: 0 })
  })
})

describe('link.set of many attributes', () => {
  const br0: LinkRequest = { ifi_index: 9, IFLA_IFNAME: 'br0' }
  const was = {
    mac: other,
    mtu: 1500,
    alias: 'old',
    promisc: false,
    allmulti: true,
    txqlen: 1000,
    master: '',
  }
  const set = { mac, mtu: 9000, alias: 'new', promisc: true, allmulti: false, txqlen: 500, master: 'br0' }
  const before: LinkRequest = {
    ...{ ...net1, IFLA_IFALIAS: 'old', IFLA_TXQLEN: 1000, ifi_flags: IFF.IFF_ALLMULTI | IFF.IFF_NOARP },
  }
  const op = (more: Partial<LinkSet> = {}): LinkSet => ({
    ...{ do: 'link.set', side: 'pod', name: 'net1', ifindex: 7, set, was },
    ...more,
  })

  test('is one request, and by ifindex only the master is looked up', () => {
    const links = new Links(before, br0)
    setLinkAttributes(links.socket, op({ name: 'renamed meanwhile' }), links.indexOf)
    expect(links.asked.map(({ type }) => type)).toEqual([RTM.RTM_GETLINK, RTM.RTM_NEWLINK])
    expect(links.changes()[0]).toEqual({
      ...{ ifi_family: 0, ifi_type: 0, ifi_index: 7, IFLA_ADDRESS: mac, IFLA_MTU: 9000, IFLA_MASTER: 9 },
      ...{ ifi_flags: IFF.IFF_PROMISC, ifi_change: IFF.IFF_PROMISC | IFF.IFF_ALLMULTI },
      ...{ IFLA_IFALIAS: 'new', IFLA_TXQLEN: 500 },
    })
    expect(links.links[0]?.ifi_flags).toBe(IFF.IFF_PROMISC | IFF.IFF_NOARP)
  })

  test('removes an alias and a master by empty names', () => {
    const links = new Links({ ...before, IFLA_MASTER: 9 })
    setLinkAttributes(links.socket, op({ set: { alias: '', master: '' } }), links.indexOf)
    expect(links.asked).toHaveLength(1)
    expect(links.changes()[0]).toMatchObject({ IFLA_IFALIAS: '', IFLA_MASTER: 0 })
  })

  test('joins the master before it goes up, whatever the kernel’s order is', () => {
    const links = new Links(before, br0)
    setLinkAttributes(links.socket, op({ set: { ...set, up: true } }), links.indexOf)
    const [first, second] = links.changes()
    expect(first).toMatchObject({ IFLA_MASTER: 9, IFLA_TXQLEN: 500, ifi_flags: IFF.IFF_PROMISC })
    expect(second).toMatchObject({ ifi_flags: IFF.IFF_UP, ifi_change: IFF.IFF_UP })
  })

  /** Refuses the flags, after the kernel has set all attributes before them. */
  function halfway(): Links {
    const links = new Links(before, br0)
    links.refuses = (change) => {
      if (change.IFLA_TXQLEN !== 500) return 0
      const { IFLA_ADDRESS, IFLA_MTU, IFLA_IFALIAS, IFLA_MASTER } = change
      links.links[0] = { ...links.links[0], IFLA_ADDRESS, IFLA_MTU, IFLA_IFALIAS, IFLA_MASTER } as LinkRequest
      return 16
    }
    return links
  }

  test('that the kernel stops half-way is set back', () => {
    const links = halfway()
    expect(() => setLinkAttributes(links.socket, op(), links.indexOf)).toThrow('EBUSY')
    expect(links.links[0]).toEqual({ ...before, IFLA_MASTER: 0 })
  })

  test('that may fail is set back too, and is no error', () => {
    const links = halfway()
    setLinkAttributes(links.socket, op({ mayFail: true }), links.indexOf)
    expect(links.links[0]).toMatchObject({ ...before, IFLA_MASTER: 0 })
    // The request, then what differs: master, alias, MTU, MAC. Flags and queue length are unchanged.
    expect(links.changes()).toHaveLength(5)
  })

  test('throws the first refusal when an attribute cannot be set back', () => {
    const links = halfway()
    const refuse = links.refuses
    links.refuses = (change, link) => (change.IFLA_ADDRESS === other ? 1 : refuse(change, link))
    expect(() => setLinkAttributes(links.socket, op(), links.indexOf)).toThrow('EBUSY')
    expect(links.links[0]).toMatchObject({ ...before, IFLA_ADDRESS: mac, IFLA_MASTER: 0 })
  })

  test('leaves an attribute without an old value as it is', () => {
    const links = halfway()
    const { mtu, ...others } = was
    expect(() => setLinkAttributes(links.socket, op({ was: others }), links.indexOf)).toThrow('EBUSY')
    expect(links.links[0]).toMatchObject({ ...before, IFLA_MTU: 9000, IFLA_MASTER: 0 })
    expect(mtu).toBe(1500)
  })
})

test('altnames are added and removed by ifindex', () => {
  const links = new Links(net1)
  changeAltname(links.socket, true, 7, 'x')
  changeAltname(links.socket, false, 7, 'x')
  const changes = links.asked.filter(({ type }) => type !== RTM.RTM_GETLINK)
  expect(changes.map(({ type }) => type)).toEqual([RTM.RTM_NEWLINKPROP, RTM.RTM_DELLINKPROP])
  expect(links.changes()).toEqual([
    expect.objectContaining({ ifi_index: 7, IFLA_PROP_LIST: ['x'] }),
    expect.objectContaining({ ifi_index: 7, IFLA_PROP_LIST: ['x'] }),
  ])
})
