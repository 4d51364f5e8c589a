// Plans of vf-attach as lists of operations: ADD, its way back, and DEL from every state that it may find.
import { expect, describe as group, test } from 'vitest'
import type { AttachConfig } from '../../src/attach/config/config.ts'
import type { AttachFacts } from '../../src/attach/device/facts.ts'
import type { LiveState } from '../../src/attach/device/live-state.ts'
import { planAdd } from '../../src/attach/plan/add.ts'
import { type Addressing, planAddressing } from '../../src/attach/plan/addressing.ts'
import { keptByMode, planRestore } from '../../src/attach/plan/restore.ts'
import { spareName } from '../../src/attach/state/spare-names.ts'
import { commandLine } from '../../src/ops/command-line.ts'
import type { Op, VfAttributes } from '../../src/ops/op.ts'
import type { AttachJournal } from '../../src/records/attach.ts'
import { factsOf } from './model.ts'

const pfMac = '02:00:00:00:00:33'
const vfAttributes: VfAttributes = {
  mac: '00:00:00:00:00:00',
  vlan: { id: 0, qos: 0, proto: 0x8100 },
  rate: { min: 0, max: 0 },
  spoofchk: true,
  trust: false,
}
const link = { name: 'pf0v3', altnames: ['enp59s0f0v3'], mac: pfMac, mtu: 1500, up: false }
const nothing: AttachConfig = {
  selectors: [],
  pf: undefined,
  bridge: undefined,
  announce: undefined,
  vf: {},
  rate: undefined,
  mac: undefined,
  mtu: undefined,
  hasIpam: false,
  dns: undefined,
  stateDir: '/s',
  allowNodeDevice: false,
  warnings: [],
}

function facts(
  change: Partial<typeof link> = {},
  attributes: VfAttributes | null = vfAttributes,
): AttachFacts {
  return {
    device: { id: '0000:3b:02.3', pci: undefined, parents: ['0000:3b:02.3'], netdevs: ['pf0v3'] },
    vf:
      attributes === null
        ? undefined
        : {
            ...{ index: 3, pfPci: '0000:3b:00.0', pfName: 'pf0', pfMtu: 9000, pfUp: true, attributes },
            ...{ switchdev: false, representor: undefined },
          },
    port: { link: factsOf({ ...link, ...change }), master: undefined },
  }
}

const lines = (ops: readonly Op[]) => ops.map(commandLine).filter((line) => !/ dev \S+ $/.test(line))
const add = (config: Partial<AttachConfig>, from = facts()) =>
  lines(planAdd({ ...nothing, ...config }, from, 'net1'))

const move = 'ip link set dev pf0v3 netns pod name net1'

group('ADD', () => {
  test('a VF of which nothing is wanted is moved and brought up', () => {
    expect(add({})).toEqual([move, 'pod:ip link set dev net1 up'])
  })

  test('one that is up goes down before', () => {
    expect(add({}, facts({ up: true }))).toEqual([
      'ip link set dev pf0v3 down',
      move,
      'pod:ip link set dev net1 up',
    ])
  })

  test('PF side in one request, then the move, then the effective MAC and MTU', () => {
    const vf = {
      mac: '02:00:00:00:00:05',
      vlan: { id: 100, qos: 3, proto: 0x8100 },
      spoofchk: false,
      trust: true,
    }
    const rate = { min: undefined, max: 100 }
    expect(add({ vf, rate, mac: vf.mac, mtu: 9000 })).toEqual([
      'ip link set dev pf0v3 address 02:00:00:00:00:05',
      'ip link set dev pf0 vf 3 mac 02:00:00:00:00:05 vlan 100 qos 3 max_tx_rate 100 min_tx_rate 0 spoofchk off trust on',
      move,
      'pod:ip link set dev net1 address 02:00:00:00:00:05 mtu 9000 up',
    ])
  })

  test('the VF’s own try at the MAC may fail, the last word may not', () => {
    const tries = planAdd({ ...nothing, mac: '02:00:00:00:00:05' }, facts(), 'net1').filter(
      (op) => op.do === 'link.set' && op.set.mac !== undefined,
    )
    expect(tries.map((op) => op.do === 'link.set' && op.mayFail)).toEqual([true, undefined])
  })

  test('half a rate keeps the other half as it is', () => {
    const from = facts({}, { ...vfAttributes, rate: { min: 20, max: 500 } })
    expect(add({ rate: { min: undefined, max: 100 } }, from)[0]).toBe(
      'ip link set dev pf0 vf 3 max_tx_rate 100 min_tx_rate 20',
    )
    expect(add({ rate: { min: 10, max: undefined } }, from)[0]).toBe(
      'ip link set dev pf0 vf 3 max_tx_rate 500 min_tx_rate 10',
    )
    const { rate: _, ...unreported } = vfAttributes
    expect(add({ rate: { min: undefined, max: 100 } }, facts({}, unreported))[0]).toBe(
      'ip link set dev pf0 vf 3 max_tx_rate 100 min_tx_rate 0',
    )
  })

  test('a wish that is fulfilled already is asked for all the same', () => {
    expect(add({ vf: { spoofchk: true } })[0]).toBe('ip link set dev pf0 vf 3 spoofchk on')
  })

  test('an altname equal to the pod’s name goes first', () => {
    expect(add({}, facts({ altnames: ['net1', 'enp59s0f0v3'] }))).toEqual([
      'ip link property del dev pf0v3 altname net1',
      move,
      'pod:ip link set dev net1 up',
    ])
  })

  test('a NIC that is no VF has no PF side', () => {
    expect(add({ mac: '02:00:00:00:00:05' }, facts({}, null))).toEqual([
      move,
      'pod:ip link set dev net1 address 02:00:00:00:00:05 up',
    ])
  })

  test('a device without an interface has a PF side only', () => {
    const from = { ...facts(), port: undefined }
    expect(add({ vf: { trust: true } }, from)).toEqual(['ip link set dev pf0 vf 3 trust on'])
  })

  test('the first operation remembers MAC, MTU and flags even where it changes nothing', () => {
    const [first] = planAdd(nothing, facts(), 'net1')
    expect(first).toEqual({
      do: 'link.set',
      side: 'host',
      name: 'pf0v3',
      ifindex: 7,
      set: {},
      was: { mac: pfMac, mtu: 1500, up: false },
    })
  })

  test('what the driver does not report is not remembered', () => {
    const { trust: _, ...unreported } = vfAttributes
    const ops = planAdd({ ...nothing, vf: { trust: true, spoofchk: false } }, facts({}, unreported), 'net1')
    expect(ops.find((op) => op.do === 'vf.set')).toMatchObject({ was: { spoofchk: true } })
    expect(ops.find((op) => op.do === 'vf.set')).not.toHaveProperty('was.trust')
  })
})

group('addressing', () => {
  const addressing: Addressing = { addresses: [], routes: [], gateway4: undefined, gateway6: undefined }
  const net1 = { name: 'net1', ifindex: 7, mac: pfMac }
  const plan = (change: Partial<Addressing>) =>
    lines(planAddressing(net1, { ...addressing, ...change }, nothing.announce))

  test('nothing without addresses', () => {
    expect(plan({})).toEqual([])
  })

  test('addresses, then routes in the order given, then the announcement without prefix lengths', () => {
    const routes = [
      { dst: '0.0.0.0/0', gw: '10.1.0.254' },
      { dst: '10.9.0.0/16', gw: '10.1.0.253', mtu: 1400, advmss: 1360, priority: 50, table: 100, scope: 0 },
    ]
    expect(plan({ addresses: ['10.1.0.5/24', '10.1.0.6/32'], routes })).toEqual([
      'pod:sysctl -w net/ipv4/conf/net1/arp_notify=1',
      'pod:ip address add 10.1.0.5/24 dev net1',
      'pod:ip address add 10.1.0.6/32 dev net1',
      'pod:ip route add 0.0.0.0/0 via 10.1.0.254 dev net1',
      'pod:ip route add 10.9.0.0/16 via 10.1.0.253 dev net1 table 100 metric 50 scope 0 mtu 1400 advmss 1360',
      'pod:ip neigh replace 10.1.0.5 dev net1 nud none use',
      'pod:arping -U -c 1 -I net1 10.1.0.6',
    ])
  })

  test('a route without gateway means the first gateway of its family', () => {
    const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }, { dst: '10.2.0.0/16' }]
    const both = { addresses: ['10.1.0.5/24', '2001:db8::5/64'], routes }
    expect(plan({ ...both, gateway4: '10.1.0.1', gateway6: 'fe80::1' })).toEqual([
      'pod:sysctl -w net/ipv6/conf/net1/disable_ipv6=0',
      'pod:sysctl -w net/ipv6/conf/net1/optimistic_dad=1',
      'pod:sysctl -w net/ipv6/conf/net1/ndisc_notify=1',
      'pod:sysctl -w net/ipv4/conf/net1/arp_notify=1',
      'pod:ip address add 10.1.0.5/24 dev net1',
      'pod:ip address add 2001:db8::5/64 dev net1',
      'pod:ip route add 0.0.0.0/0 via 10.1.0.1 dev net1',
      'pod:ip route add ::/0 via fe80::1 dev net1',
      'pod:ip route add 10.2.0.0/16 via 10.1.0.1 dev net1',
      'pod:ip neigh replace 10.1.0.5 dev net1 nud none use',
    ])
    expect(plan({ ...both, gateway4: '10.1.0.1' })).toContain('pod:ip route add ::/0 dev net1')
  })

  test('frames of our own where they are asked for, nothing where nothing is wanted', () => {
    const addresses = ['10.1.0.5/24', '2001:db8::5/64']
    const planned = (count: number) =>
      lines(planAddressing(net1, { ...addressing, addresses }, { count, intervalMs: 1, carrierMs: 0 }))
    expect(planned(3).at(-1)).toBe('pod:arping -U -c 3 -I net1 10.1.0.5 2001:db8::5')
    expect(planned(0)).toEqual([
      'pod:sysctl -w net/ipv6/conf/net1/disable_ipv6=0',
      'pod:sysctl -w net/ipv6/conf/net1/optimistic_dad=1',
      'pod:ip address add 10.1.0.5/24 dev net1',
      'pod:ip address add 2001:db8::5/64 dev net1',
    ])
  })
})

group('restore', () => {
  const journal: AttachJournal = {
    device: { id: '0000:3b:02.3', pci: '0000:3b:02.3', parents: ['0000:3b:02.3'] },
    original: {
      vf: { ...vfAttributes, vlan: { id: 0, qos: 0, proto: 0x8100 }, rate: { min: 0, max: 0 } },
      link,
    },
  }
  const live = (
    side: 'host' | 'pod',
    change: Partial<typeof link> = {},
    attributes: VfAttributes = vfAttributes,
  ): LiveState => ({
    vf: { pfName: 'pf0', index: 3, attributes, switchdev: false },
    link: { side, facts: factsOf({ ...link, ...change }) },
    representor: undefined,
    taken: new Set(),
  })
  const restore = (state: LiveState, of: Partial<NonNullable<AttachJournal['original']['link']>> = {}) =>
    lines(
      planRestore({ ...journal, original: { ...journal.original, link: { ...link, ...of } } }, state, true),
    )

  test('nothing where nothing differs', () => {
    expect(restore(live('host'))).toEqual([])
  })

  test('from the pod, as ADD left it', () => {
    const state = live('pod', { name: 'net1', mac: '02:00:00:00:00:05', mtu: 9000, up: true })
    expect(restore(state)).toEqual([
      'pod:ip link set dev net1 down',
      'pod:ip link set dev net1 netns host name pf0v3',
      `ip link set dev pf0v3 address ${pfMac} mtu 1500`,
    ])
  })

  test('from the pod, under a name that the app gave it, down', () => {
    expect(restore(live('pod', { name: 'app0' }))).toEqual(['pod:ip link set dev app0 netns host name pf0v3'])
  })

  test('on the host under the pod’s name, as the kernel hands it back', () => {
    expect(restore(live('host', { name: 'net1' }))).toEqual(['ip link set dev net1 netns host name pf0v3'])
    expect(restore(live('host', { name: 'dev7', up: true }), { up: true })).toEqual([
      'ip link set dev dev7 down',
      'ip link set dev dev7 netns host name pf0v3',
      'ip link set dev pf0v3 up',
    ])
  })

  test('at home already, only up or down', () => {
    expect(restore(live('host', { up: true }))).toEqual(['ip link set dev pf0v3 down'])
    expect(restore(live('host'), { up: true })).toEqual(['ip link set dev pf0v3 up'])
    expect(restore(live('pod', { name: 'net1', up: true }), { up: true })).toEqual([
      'pod:ip link set dev net1 down',
      'pod:ip link set dev net1 netns host name pf0v3',
      'ip link set dev pf0v3 up',
    ])
  })

  test('PF side first, and only what differs', () => {
    const changed: VfAttributes = { ...vfAttributes, vlan: { id: 100, qos: 3, proto: 0x8100 }, trust: true }
    expect(restore(live('pod', { name: 'net1', mac: '02:00:00:00:00:05' }, changed))).toEqual([
      'ip link set dev pf0 vf 3 vlan 0',
      'ip link set dev pf0 vf 3 trust off',
      'pod:ip link set dev net1 netns host name pf0v3',
      `ip link set dev pf0v3 address ${pfMac}`,
    ])
  })

  test('a name that another interface has now: home under a spare one, and left there', () => {
    const taken = new Set(['pf0v3'])
    const spare = spareName(journal.device)
    expect(spare.length).toBeLessThanOrEqual(15)
    expect(restore({ ...live('pod', { name: 'net1' }), taken })).toEqual([
      `pod:ip link set dev net1 netns host name ${spare}`,
    ])
    expect(restore({ ...live('host', { name: spare }), taken })).toEqual([])
  })

  test('an altname that another interface has now stays with that one', () => {
    const names = { altnames: ['vf-zero', 'vf-null'] }
    const state = { ...live('pod', { name: 'net1', altnames: [] }), taken: new Set(['vf-null']) }
    expect(restore(state, names)).toEqual([
      'pod:ip link set dev net1 netns host name pf0v3',
      'ip link property add dev pf0v3 altname vf-zero',
    ])
  })

  test('PF side that a journal did not record is left alone', () => {
    const original = { vf: { spoofchk: true }, link }
    const state = live('host', {}, { ...vfAttributes, trust: true, spoofchk: false })
    expect(lines(planRestore({ ...journal, original }, state, true))).toEqual([
      'ip link set dev pf0 vf 3 spoofchk on',
    ])
  })

  test('altnames: lost ones come back, those that the pod gave go before the move', () => {
    expect(restore(live('host', { altnames: [] }))).toEqual([
      'ip link property add dev pf0v3 altname enp59s0f0v3',
    ])
    expect(restore(live('pod', { name: 'net1', altnames: ['enp59s0f0v3', 'lo0', 'pf0v3'] }))).toEqual([
      'pod:ip link property del dev net1 altname lo0',
      'pod:ip link property del dev net1 altname pf0v3',
      'pod:ip link set dev net1 netns host name pf0v3',
    ])
  })

  test('on the host other altnames stay, except the one that is the name', () => {
    expect(restore(live('host', { altnames: ['enp59s0f0v3', 'byudev'] }))).toEqual([])
    expect(restore(live('host', { name: 'other', altnames: ['enp59s0f0v3', 'byudev', 'pf0v3'] }))).toEqual([
      'ip link property del dev other altname pf0v3',
      'ip link set dev other netns host name pf0v3',
    ])
  })

  test('at home and up with a MAC that was refused at an earlier try: down for another one', () => {
    expect(restore(live('host', { mac: '02:00:00:00:00:05', up: true }), { up: true })).toEqual([
      'ip link set dev pf0v3 down',
      `ip link set dev pf0v3 address ${pfMac}`,
      'ip link set dev pf0v3 up',
    ])
  })

  const macSet = { ...journal, macSet: true }
  const told = `ip link set dev pf0v3 address ${pfMac}`

  test('an administrative MAC of ours is taken away once, and the VF told its own, even if both look right', () => {
    expect(lines(planRestore(macSet, live('host'), true))).toEqual([
      'ip link set dev pf0 vf 3 mac 00:00:00:00:00:00',
      told,
    ])
    expect(lines(planRestore(macSet, live('host'), false))).toEqual([])
  })

  test('a PF that had an administrative MAC gets that one back', () => {
    const before: VfAttributes = { ...vfAttributes, mac: '02:00:00:00:00:77' }
    const original = { vf: { mac: '02:00:00:00:00:77' }, link }
    const now = live('host', {}, { ...before, mac: '02:00:00:00:00:05' })
    expect(lines(planRestore({ ...macSet, original }, now, true))).toEqual([
      'ip link set dev pf0 vf 3 mac 02:00:00:00:00:77',
    ])
    expect(lines(planRestore({ ...macSet, original }, live('host', {}, before), true))).toEqual([])
  })

  test('an administrative MAC that the VF did not use is set last: while it stands, the VF is refused its own', () => {
    const before: VfAttributes = { ...vfAttributes, mac: '02:00:00:00:00:77' }
    const original = { vf: { mac: '02:00:00:00:00:77' }, link }
    const ours = '02:00:00:00:00:05'
    const now = live('host', { mac: ours }, { ...before, mac: ours })
    expect(lines(planRestore({ ...macSet, original }, now, true))).toEqual([
      'ip link set dev pf0 vf 3 mac 00:00:00:00:00:00',
      told,
      'ip link set dev pf0 vf 3 mac 02:00:00:00:00:77',
    ])
  })

  test('a PF that shows the VF’s own MAC where it showed none is as before, one that shows another is not', () => {
    expect(restore(live('host', {}, { ...vfAttributes, mac: pfMac }))).toEqual([])
    expect(restore(live('host', {}, { ...vfAttributes, mac: '02:00:00:00:00:05' }))).toEqual([
      'ip link set dev pf0 vf 3 mac 00:00:00:00:00:00',
    ])
  })

  test('without an interface only the PF side, without a PF only the interface', () => {
    const state = live('pod', { name: 'net1' }, { ...vfAttributes, trust: true })
    expect(restore({ ...state, link: undefined })).toEqual(['ip link set dev pf0 vf 3 trust off'])
    expect(restore({ ...state, vf: undefined })).toEqual(['pod:ip link set dev net1 netns host name pf0v3'])
    expect(restore({ vf: undefined, link: undefined, representor: undefined, taken: new Set() })).toEqual([])
  })

  test('what a pod may have set: alias, promiscuous, all multicast, queue length', () => {
    const state = live('host')
    if (state.link === undefined) throw new Error('no link')
    const facts = { ...state.link.facts, alias: 'mine', promisc: true, allmulti: true, txqlen: 5 }
    const before = { alias: '', promisc: false, allmulti: false, txqlen: 1000 }
    expect(restore({ ...state, link: { side: 'host', facts } }, before)).toEqual([
      "ip link set dev pf0v3 txqueuelen 1000 promisc off allmulticast off alias ''",
    ])
    // A journal of another plugin that does not know them.
    expect(restore({ ...state, link: { side: 'host', facts } })).toEqual([])
  })

  test('enslaved by the app: released before it moves', () => {
    const state = live('pod', { name: 'net1', up: true })
    if (state.link === undefined) throw new Error('no link')
    const facts = { ...state.link.facts, master: 9 }
    expect(restore({ ...state, link: { side: 'pod', facts } })).toEqual([
      'pod:ip link set dev net1 nomaster down',
      'pod:ip link set dev net1 netns host name pf0v3',
    ])
  })

  test('a port of a bridge on the host becomes one again', () => {
    const original = { ...journal.original, link: { ...link, master: 'br0', up: true } }
    const state = live('pod', { name: 'net1' })
    expect(lines(planRestore({ ...journal, original }, state, true))).toEqual([
      'pod:ip link set dev net1 netns host name pf0v3',
      'ip link set dev pf0v3 master br0 up',
    ])
    const home = { ...live('host', { up: true }), master: 'br0' }
    expect(lines(planRestore({ ...journal, original }, home, true))).toEqual([])
  })

  test('the representor leaves the bridge, goes down, gets its MTU back', () => {
    const representor = { name: 'rep3', up: false, mtu: 1500 }
    const facts = { ...factsOf({ ...link, name: 'rep3', mtu: 9000, up: true }), ifindex: 12 }
    const state = { ...live('host'), representor: { link: facts, master: 'br0' } }
    const original = { ...journal.original, representor }
    expect(lines(planRestore({ ...journal, original }, state, true))).toEqual([
      'ip link set dev rep3 mtu 1500 nomaster down',
    ])
    expect(lines(planRestore(journal, state, true))).toEqual([])
  })

  test.each([true, false])(
    'what only one mode knows is left alone in the other one (switchdev now: %s)',
    (switchdev) => {
      const vf = { ...journal.original.vf, mac: '00:00:00:00:00:00', spoofchk: true, trust: false }
      const state = live('host', {}, { ...vf, mac: '02:00:00:00:00:09', spoofchk: false, trust: true })
      const of = (mode: boolean | undefined) => ({ ...journal, original: { vf, link, switchdev: mode } })
      const now = { ...state, vf: { pfName: 'pf0', index: 3, attributes: {}, ...state.vf, switchdev } }
      const mac = 'ip link set dev pf0 vf 3 mac 00:00:00:00:00:00'
      const others = ['ip link set dev pf0 vf 3 spoofchk on', 'ip link set dev pf0 vf 3 trust off']
      expect(lines(planRestore(of(!switchdev), now, true))).toEqual([mac])
      expect(keptByMode(of(!switchdev), now)).toEqual(['spoofchk', 'trust'])
      for (const same of [switchdev, undefined]) {
        expect(lines(planRestore(of(same), now, true))).toEqual([mac, ...others])
        expect(keptByMode(of(same), now)).toEqual([])
      }
    },
  )
})

group('switchdev', () => {
  const representor = (change = {}, master?: string) => ({
    link: { ...factsOf({ ...link, name: 'rep3', altnames: [] }), ifindex: 12, ...change },
    master,
  })
  const from = (port: ReturnType<typeof representor>): AttachFacts => {
    const some = facts()
    if (some.vf === undefined) throw new Error('no VF')
    return { ...some, vf: { ...some.vf, switchdev: true, representor: port } }
  }
  const up = 'pod:ip link set dev net1 up'

  test('the representor goes up and gets the pod’s MTU', () => {
    expect(add({}, from(representor()))).toEqual(['ip link set dev rep3 up', move, up])
    expect(add({ mtu: 9000 }, from(representor()))).toContain('ip link set dev rep3 mtu 9000 up')
    expect(add({}, from(representor({ up: true })))).toEqual([move, up])
  })

  test('it becomes a port of the bridge, alone in its VLAN', () => {
    const bridge = { name: 'br0', vlan: 100 }
    expect(add({ bridge }, { ...from(representor()), bridgeVlan: 1 }).slice(0, 3)).toEqual([
      'ip link set dev rep3 master br0 up',
      'bridge vlan del dev rep3 vid 1 pvid untagged',
      'bridge vlan add dev rep3 vid 100 pvid untagged',
    ])
    expect(add({ bridge: { name: 'br0', vlan: undefined } }, from(representor({ up: true }, 'br0')))).toEqual(
      [move, up],
    )
  })

  test('the VLAN that the bridge gives a new port is taken away if it is another one', () => {
    const bridge = { name: 'br0', vlan: 100 }
    const vlans = (bridgeVlan: number) =>
      add({ bridge }, { ...from(representor()), bridgeVlan }).filter((line) => line.startsWith('bridge'))
    const own = 'bridge vlan add dev rep3 vid 100 pvid untagged'
    expect(vlans(0)).toEqual([own])
    expect(vlans(7)).toEqual(['bridge vlan del dev rep3 vid 7 pvid untagged', own])
    expect(vlans(100)).toEqual([own])
  })
})
