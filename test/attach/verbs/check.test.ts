// CHECK of vf-attach compares the fake kernel with the record, GC sorts the living from the dead, and DEL succeeds for a
// device that is gone.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readAttachConfig } from '../../../src/attach/config/config.ts'
import { restoreAttachment } from '../../../src/attach/restore/attachment.ts'
import { checkAttachment } from '../../../src/attach/verbs/check.ts'
import { collectGarbage } from '../../../src/attach/verbs/gc.ts'
import type { LinkFacts, RouteFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { Machine } from '../../../src/kernel/api/machine.ts'
import { type AttachJournal, attachJournal } from '../../../src/records/attach.ts'
import { type RecordStore, recordStore } from '../../../src/records/store.ts'
import { refusalOf, requestOf } from '../../support/request.ts'
import { spawnInNode } from '../../support/spawn.ts'
import { factsOf } from '../model.ts'

// No machine has this function: whatever owns it is gone.
const device = 'ffff:ff:1f.7'
const mac = '02:00:00:00:00:05'
const sandbox = '/var/run/netns/pod'
const net1: LinkFacts = {
  ...factsOf({ name: 'net1', altnames: [], mac, mtu: 1500, up: true }),
  parent: device,
}
const prevResult = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'net1', mac: mac.toUpperCase(), mtu: 1500, sandbox }],
  ips: [{ address: '10.1.0.5/24', interface: 0 }, { address: '2001:DB8::5/64' }],
}

let stateDir: string
let store: RecordStore<AttachJournal>
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'attach-'))
  store = recordStore(stateDir, 'attach', attachJournal)
})
afterEach(() => rmSync(stateDir, { recursive: true }))

function own(
  containerID = 'container',
  network = 'net',
  subject = device,
  netnsId = '4:1',
  more: Partial<AttachJournal> = {},
) {
  const owner = { containerID, ifname: 'net1', network, netns: sandbox, netnsId, bootId: 'boot-1' }
  const { name, mac: ownMac, mtu, up } = net1
  const journal: AttachJournal = {
    device: { id: subject, pci: subject, parents: [subject] },
    original: { link: { name, altnames: [], mac: ownMac, mtu, up } },
    ...more,
  }
  return store.write(subject, { schema: 1, plugin: 'vf-attach', phase: 'attached', owner, journal })
}

/** A pod that holds one interface and its addresses. */
function podWith(
  link: LinkFacts | undefined,
  addresses = ['10.1.0.5/24', '2001:db8::5/64', 'fe80::1/64'],
  more: Partial<Kernel> = {},
): Kernel {
  const never = (): never => {
    throw new TypeError('no CHECK asks for this')
  }
  return {
    ...{
      run: never,
      lookBeforeMove: never,
      residue: never,
      tuning: never,
      tuningOps: never,
      podUppers: never,
      carried: never,
      otherEnd: never,
      lowerNetns: never,
      settings: never,
      settingOps: never,
      rates: never,
      sourceRules: never,
      hasDefaultRoute: never,
      probe: never,
      verify: never,
      conflicts: never,
      guardFacts: never,
      isVepa: never,
      filterCounters: never,
      linkCounters: never,
      vfCounters: never,
      measure: never,
      openedPorts: never,
      everyOpenedPort: never,
      reservedCookies: never,
      hasReservation: never,
      portTable: never,
      reservePorts: never,
      completeTable: never,
      tcOffload: never,
      missingNeeds: never,
      links: never,
      linksAt: never,
      linksOfKind: never,
      eswitchPorts: never,
      nodeAddresses: never,
      peer: never,
      routes: never,
      ownFilters: never,
      removeFilters: never,
      placedFilters: never,
      removeReplies: never,
      removeTable: never,
      bridgeVlans: never,
    },
    ...{
      dropPodTable: never,
      releasePorts: never,
      forgetConnections: never,
      listeners: never,
      foreignNat: never,
      programWith: never,
      interfaceTo: never,
      openConnections: never,
      localPorts: never,
      steeredPorts: never,
      loopbackPorts: never,
      hasIngress: never,
      dropEmptyClsact: never,
      eswitch: never,
      isSwitchdev: never,
    },
    link: (side, name) => (side === 'pod' && name === link?.name ? link : undefined),
    addresses: (_, ifindex = 0) => addresses.map((address) => ({ ifindex, address, scope: 0 })),
    sysctl: (_, key) => (key.endsWith('/disable_ipv6') ? '0' : '1'),
    close: () => undefined,
    ...more,
  }
}

/** A VF has no other end that the node would be asked for. */
const noMachine = {} as Machine

const check = (kernel: Kernel, prev: object | null = prevResult, netnsId = '4:1') => {
  const request = requestOf(
    { deviceID: device, ...(prev === null ? {} : { prevResult: prev }) },
    { CNI_COMMAND: 'CHECK' },
  )
  checkAttachment(
    { machine: noMachine, kernel, pod: { id: netnsId, path: sandbox }, store },
    request,
    readAttachConfig(request),
  )
}

describe('CHECK', () => {
  test('an attachment as ADD left it', () => {
    own()
    expect(() => check(podWith(net1))).not.toThrow()
    const bare = { ...prevResult, interfaces: [{ name: 'net1', sandbox }] }
    expect(() => check(podWith({ ...net1, mtu: 9000 }), bare)).not.toThrow()
    // Addresses of other interfaces are theirs.
    const ips = [{ address: '10.7.0.5/24', interface: 3 }]
    expect(() => check(podWith(net1), { ...prevResult, ips })).not.toThrow()
  })

  test.each<[string, LinkFacts | undefined, string[], object]>([
    ['interface "net1" is not in the pod', undefined, [], prevResult],
    ['interface "net1" is "0000:3b:02.2"', { ...net1, parent: '0000:3b:02.2' }, [], prevResult],
    ['interface "net1" is no software interface', { ...net1, parent: undefined }, [], prevResult],
    ['interface "net1" is of kind "veth"', { ...net1, parent: undefined, kind: 'veth' }, [], prevResult],
    ['interface "net1" is down', { ...net1, up: false }, [], prevResult],
    ['prevResult does not list interface "net1"', net1, [], { ...prevResult, interfaces: [] }],
    ['prevResult does not list', net1, [], { ...prevResult, interfaces: [{ name: 'net1', sandbox: '' }] }],
    [
      `has MAC 02:00:00:00:00:99, not ${mac.toUpperCase()}`,
      { ...net1, mac: '02:00:00:00:00:99' },
      [],
      prevResult,
    ],
    ['has MTU 9000, not 1500', { ...net1, mtu: 9000 }, [], prevResult],
    ['lacks address 10.1.0.5/24', net1, ['10.1.0.5/16'], prevResult],
    ['lacks address 2001:DB8::5/64', net1, ['10.1.0.5/24'], prevResult],
  ])('code 104: %s', (words, link, addresses, prev) => {
    own()
    const { code, message } = refusalOf(() => check(podWith(link, addresses), prev))
    expect(message).toContain('Attachment is not as ADD left it: ')
    expect(message).toContain(words)
    expect(code).toBe(104)
  })

  test('code 104 without a record, and with one of another container or device', () => {
    expect(() => check(podWith(net1))).toThrow('there is no record of this attachment')
    own('other')
    expect(refusalOf(() => check(podWith(net1))).code).toBe(104)
    own('container', 'net', '0000:3b:02.2')
    expect(refusalOf(() => check(podWith(net1)))).toMatchObject({
      code: 104,
      message: expect.stringContaining(`deviceID is "${device}", the record's device "0000:3b:02.2"`),
    })
  })

  test('code 104 for another namespace at the same path', () => {
    own()
    const { code, message } = refusalOf(() => check(podWith(net1), prevResult, '4:2'))
    expect(message).toContain(`"${sandbox}" is not the namespace of the ADD`)
    expect(code).toBe(104)
  })

  test('a route that the pod had before ADD is not asked for, another one to its destination is', () => {
    const routes = [{ dst: '0.0.0.0/0' }, { dst: '0.0.0.0/0', gw: '10.1.0.9', priority: 7 }]
    const ips = [{ address: '10.1.0.5/24', gateway: '10.1.0.1', interface: 0 }]
    const pod = podWith(net1, undefined, { routes: () => [] })
    const prev = { ...prevResult, ips, routes }
    own('container', 'net', device, '4:1', { othersRoutes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }] })
    expect(refusalOf(() => check(pod, prev)).message).toBe(
      'Attachment is not as ADD left it: the pod lacks route 0.0.0.0/0 via 10.1.0.9 dev net1 metric 7',
    )
    own()
    expect(refusalOf(() => check(pod, prev)).message).toContain('lacks route 0.0.0.0/0 via 10.1.0.1 dev net1')
  })

  const ips = [
    { address: '10.1.0.5/24', gateway: '10.1.0.1', interface: 0 },
    { address: '2001:db8::5/64', gateway: '2001:db8::1' },
  ]
  const plain: RouteFacts = {
    ...{ dst: '10.2.0.0/16', gw: '10.1.0.1', ifindex: net1.ifindex, table: 254 },
    ...{ metric: 0, scope: 0, mtu: 0, advmss: 0 },
  }
  const six = { ...plain, dst: 'fd00:2::/64', gw: '2001:db8::1', metric: 1024 }
  const link = { ...plain, gw: undefined, scope: 253 }
  const bare = { ips: [{ address: '10.1.0.5/24' }] }

  test.each<[string, object, RouteFacts, object?]>([
    ['by the gateway of the address', { dst: '10.2.0.0/16' }, plain],
    ['of IPv6, in another spelling', { dst: 'FD00:2:0::/64' }, six],
    [
      'with everything',
      { dst: '10.2.0.0/16', priority: 7, table: 100, mtu: 1400, advmss: 1360, scope: 0 },
      {
        ...{ ...plain, metric: 7, table: 100, mtu: 1400, advmss: 1360 },
      },
    ],
    ['without a gateway', { dst: '10.2.0.0/16' }, link, bare],
    ['without one, in another scope', { dst: '10.2.0.0/16', scope: 0 }, { ...link, scope: 0 }, bare],
    [
      'with what the kernel takes for its defaults',
      { dst: 'fd00:2::/64', priority: 0, table: 0, scope: 253 },
      six,
    ],
    [
      'with more than the kernel takes',
      { dst: '10.2.0.0/16', mtu: 70_000, advmss: 70_000 },
      {
        ...{ ...plain, mtu: 65_520, advmss: 65_495 },
      },
    ],
  ])('a route as ADD left it: %s', (_, route, found, more = {}) => {
    own()
    const pod = podWith(net1, undefined, { routes: () => [found] })
    expect(() => check(pod, { ...prevResult, ips, ...more, routes: [route] })).not.toThrow()
  })

  test.each<[string, object, RouteFacts, string]>([
    ['metric', { dst: '10.2.0.0/16' }, { ...plain, metric: 5 }, '10.2.0.0/16 via 10.1.0.1 dev net1 metric 5'],
    ['metric of IPv6', { dst: 'fd00:2::/64', priority: 9 }, six, 'fd00:2::/64 via 2001:db8::1 dev net1'],
    ['table', { dst: '10.2.0.0/16' }, { ...plain, table: 9 }, '10.2.0.0/16 via 10.1.0.1 dev net1 table 9'],
    [
      'MTU',
      { dst: '10.2.0.0/16', mtu: 1400 },
      { ...plain, mtu: 1300 },
      '10.2.0.0/16 via 10.1.0.1 dev net1 mtu 1300',
    ],
    ['MSS', { dst: '10.2.0.0/16', advmss: 1360 }, plain, '10.2.0.0/16 via 10.1.0.1 dev net1'],
    ['gateway', { dst: '10.2.0.0/16' }, { ...plain, gw: '10.1.0.7' }, '10.2.0.0/16 via 10.1.0.7 dev net1'],
    ['no gateway', { dst: '10.2.0.0/16' }, link, '10.2.0.0/16 dev net1'],
    ['scope', { dst: '10.2.0.0/16', scope: 200 }, plain, '10.2.0.0/16 via 10.1.0.1 dev net1'],
  ])('code 104: another %s of a route', (_, route, found, instead) => {
    own()
    const pod = podWith(net1, undefined, { routes: () => [found] })
    const { code, message } = refusalOf(() => check(pod, { ...prevResult, ips, routes: [route] }))
    expect(message).toContain('the pod lacks route ')
    expect(message).toContain(`, but has ${instead}`)
    expect(message).not.toContain(`lacks route ${instead},`)
    expect(code).toBe(104)
  })

  test.each([
    'net/ipv4/conf/net1/arp_notify',
    'net/ipv6/conf/net1/ndisc_notify',
    'net/ipv6/conf/net1/optimistic_dad',
  ])('code 104: another value of %s, but not without it', (setting) => {
    own()
    const pod = (value: string | undefined) =>
      podWith(net1, undefined, {
        sysctl: (_, key) => (key === setting ? value : key.endsWith('/disable_ipv6') ? '0' : '1'),
      })
    expect(refusalOf(() => check(pod('0')))).toMatchObject({
      code: 104,
      message: expect.stringContaining(`setting ${setting} is 0, not 1`),
    })
    // A kernel that lacks it got none.
    expect(() => check(pod(undefined))).not.toThrow()
  })

  test('code 7 without prevResult, code 6 with one that can’t be compared', () => {
    own()
    expect(refusalOf(() => check(podWith(net1), null)).code).toBe(7)
    const ips = [{ address: '10.1.0.5' }]
    expect(refusalOf(() => check(podWith(net1), { ...prevResult, ips })).code).toBe(6)
  })
})

/** A machine on which one namespace lives, if any. */
function machineWith(netnsId: string | undefined, boot = 'boot-1'): Machine & { open: number } {
  return {
    open: 0,
    sharedDir: '/nowhere',
    openKernel: () => podWith(undefined),
    openNetns(path) {
      if (netnsId === undefined || path !== sandbox)
        throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
      this.open++
      return { fd: 0, id: netnsId, path, close: () => this.open-- }
    },
    withLock: (_path, _milliseconds, action) => action(),
    startProgram: spawnInNode,
    bootId: () => boot,
    sha256: (text) => text,
    sleep: () => undefined,
  }
}

describe('GC', () => {
  const gc = (
    machine: Machine,
    valid?: readonly string[],
    name = 'net',
    live = false,
    meanwhile = () => {},
  ) => {
    const attachments = valid?.map((one) => {
      const [containerID, ifname = 'net1'] = one.split('/')
      return { containerID, ifname }
    })
    const config = {
      name,
      ...(attachments === undefined ? {} : { 'cni.dev/valid-attachments': attachments }),
    }
    const locked: string[] = []
    const errors = collectGarbage(
      machine,
      store,
      requestOf(config, { CNI_COMMAND: 'GC' }),
      live,
      (_, subject, action) => {
        locked.push(subject)
        meanwhile()
        action()
      },
    )
    return { errors, locked, left: store.list().map(({ containerID }) => containerID) }
  }

  test.each<[string, string | undefined, readonly string[] | undefined, string[]]>([
    ['alive, no list', '4:1', undefined, ['container']],
    ['dead, no list', undefined, undefined, []],
    ['alive, listed', '4:1', ['container'], ['container']],
    ['dead, listed', undefined, ['container'], ['container']],
    ['dead, not listed', undefined, ['other'], []],
    ['dead, another interface of the same container is listed', undefined, ['container/net2'], []],
    ['its path recycled, not listed', '4:99', ['other'], []],
  ])('%s', (_, netnsId, valid, left) => {
    own()
    const machine = machineWith(netnsId)
    expect(gc(machine, valid)).toEqual({ errors: [], locked: left.length === 0 ? [device] : [], left })
    expect(machine.open).toBe(0)
  })

  test('alive and not listed: reported, kept', () => {
    own()
    const { errors, left } = gc(machineWith('4:1'), [])
    expect(errors).toEqual([
      expect.objectContaining({
        code: 103,
        message: `Cannot collect "${device}": it is not a valid attachment, but its namespace lives; key "gcLive" has it taken all the same`,
      }),
    ])
    expect(left).toEqual(['container'])
    expect(gc(machineWith('4:1'), [], 'net', true)).toMatchObject({ errors: [], left: [] })
  })

  test('a container that was restarted while GC waited for the lock keeps its device', () => {
    own()
    const machine = machineWith('4:2')
    const { errors, locked, left } = gc(machine, undefined, 'net', false, () =>
      own('container', 'net', device, '4:2'),
    )
    expect({ errors, locked, left }).toEqual({ errors: [], locked: [device], left: ['container'] })
    expect(machine.open).toBe(0)
  })

  test('a namespace number of another boot is no sign of life', () => {
    own()
    expect(gc(machineWith('4:1', 'boot-2'), []).left).toEqual([])
  })

  test('other networks are left alone, and an error does not stop the rest', () => {
    own('elsewhere', 'other-net', 'ffff:ff:1f.6')
    own('alive', 'net', 'ffff:ff:1f.5')
    own('dead', 'net', device, '4:2')
    const { errors, left } = gc(machineWith('4:1'), [])
    expect(errors.map(({ code }) => code)).toEqual([103])
    expect(left.sort()).toEqual(['alive', 'elsewhere'])
  })

  test.each<[string, string, string, boolean, string[]?]>([
    ['cut off, of a device that is gone', device, '{', false],
    ['cut off, of an interface on the host', 'netdev:eth9', '{', false],
    ['cut off, of an interface that may be in a pod', 'netdev:eth8', '{', true],
    ['cut off, of a valid attachment', device, '{', true, ['unreadable']],
    ['of a newer version', device, '{"schema":99}', true],
  ])('a record that can’t be read is no error of any network: %s', (_, subject, text, stays, valid = []) => {
    const { path } = own('unreadable', 'whose', subject)
    writeFileSync(path, text)
    own('dead')
    const machine: Machine = {
      ...machineWith(undefined),
      openKernel: () =>
        podWith(undefined, [], { link: (_side, name) => (name === 'eth9' ? net1 : undefined) }),
    }
    const { errors, locked, left } = gc(machine, valid)
    expect({ errors, left }).toEqual({ errors: [], left: stays ? ['unreadable'] : [] })
    if (!stays) expect(locked).toContain(subject)
    expect(readFileSync(stays ? path : `${path}.broken`, 'utf8')).toBe(text)
  })

  test('a record that was broken, and is another one’s once its lock is held, is kept', () => {
    const { path } = own('new')
    writeFileSync(path, '{')
    expect(gc(machineWith('4:1'), undefined, 'net', false, () => own('new'))).toMatchObject({
      errors: [],
      left: ['new'],
    })
  })
})

describe('DEL of a device that is gone', () => {
  test('succeeds, drops the record and leaves no namespace open', () => {
    const name = own()
    const machine = machineWith('4:1')
    restoreAttachment(machine, store, name, sandbox)
    restoreAttachment(machine, store, name, sandbox)
    expect(store.list()).toEqual([])
    expect(machine.open).toBe(0)
  })

  test('a broken record is put aside, one of a newer version stays', () => {
    const name = own()
    writeFileSync(name.path, '{"schema":99}')
    expect(() => restoreAttachment(machineWith('4:1'), store, name, sandbox)).toThrow('schema 99 is newer')
    expect(store.list()).toEqual([name])
    writeFileSync(name.path, '{')
    restoreAttachment(machineWith('4:1'), store, name, sandbox)
    expect(store.list()).toEqual([])
    expect(readFileSync(`${name.path}.broken`, 'utf8')).toBe('{')
  })
})
