// Each reason against a device: when it is told, in which words, and when it is not.
import { describe, expect, test } from 'vitest'
import type { HealthConfig } from '../../../device-plugin/config/plugin-config.ts'
import type { Attached, Held } from '../../../device-plugin/health/health.ts'
import { nextHealth } from '../../../device-plugin/health/next.ts'
import type { Device, Netdev, Pf } from '../../../device-plugin/inventory/snapshot.ts'
import { assignPools } from '../../../device-plugin/pools/assign.ts'
import {
  config,
  netdev,
  pf,
  pfDevice,
  pool,
  snapshot,
  subfunction,
  vf,
} from '../../support/device-plugin/devices.ts'

const parent = '0000:3b:00.0'
const pod = { namespace: 'shop', name: 'web-0' }
const other = { namespace: 'shop', name: 'web-1' }

/** Reasons against one device that is seen for the first time, as texts. */
function reasons(
  own: Device,
  {
    held,
    attachments = [],
    pfs = {},
    checks = {},
  }: {
    held?: Partial<Held>
    attachments?: readonly Partial<Attached>[]
    pfs?: Partial<Pf>
    checks?: Partial<HealthConfig>
  } = {},
) {
  const defaults = pool('a', [{}])
  const health = { ...defaults.health, ...checks }
  const one = { ...defaults, deviceType: own.type, health }
  const { view } = nextHealth(
    {
      assignment: assignPools(config(one), snapshot([own], [pf(parent, 'ens1f0', pfs)])),
      held: new Map(held === undefined ? [] : [[own.id, { resource: 'test/a', ...held }]]),
      attachments: attachments.map((each) => ({
        device: own.id,
        alive: true,
        pendingClose: false,
        pod,
        ...each,
      })),
      now: 0,
    },
    undefined,
  )
  const [device] = view.pools[0]?.devices ?? []
  expect(device?.health.healthy).toBe(device?.health.reasons.length === 0)
  return device?.health.reasons.map(({ reason, text }) => `${reason}: ${text}`)
}

const uplink = (changes: Partial<Netdev>) => ({ uplink: netdev('ens1f0', changes) })
const link = (linkState: 'auto' | 'enable' | 'disable') => ({
  vf: { mac: '02:00:00:00:00:01', vlan: 0, linkState },
})

describe('carrier', () => {
  const none = 'carrier: the PF ens1f0 has no carrier'

  test('is that of the uplink of the PF', () => {
    expect(reasons(vf(parent, 0))).toEqual([])
    expect(reasons(vf(parent, 0), { pfs: uplink({ carrier: false }) })).toEqual([none])
    const down = { pfs: uplink({ up: false, carrier: false }) }
    expect(reasons(vf(parent, 0), down)).toEqual(['carrier: the PF ens1f0 is down'])
    expect(reasons(subfunction(parent, 1), { pfs: uplink({ carrier: false }) })).toEqual([none])
  })

  test('does not matter to a VF whose link is forced up, nor where the check is off', () => {
    const pfs = uplink({ carrier: false })
    expect(reasons(vf(parent, 0, link('enable')), { pfs })).toEqual([])
    expect(reasons(vf(parent, 0), { pfs, checks: { carrier: false } })).toEqual([])
  })

  test('of the device itself is not asked: it may be in a pod, and a PF that nobody uses is down', () => {
    const own = { netdevs: [netdev('ens1f0v0', { up: false, carrier: false })] }
    expect(reasons(vf(parent, 0, own))).toEqual([])
    expect(reasons(pfDevice(parent, 0, own), { pfs: uplink({ up: false, carrier: false }) })).toEqual([])
  })

  test('of several ports: one that has a carrier will do', () => {
    const ports = (...carriers: readonly boolean[]) => ({
      pfs: {
        uplink: undefined,
        ports: carriers.map((carrier, at) => netdev(`p${at}`, { carrier, up: at === 0 })),
      },
    })
    expect(reasons(vf(parent, 0), ports(true, false))).toEqual([])
    expect(reasons(vf(parent, 0), ports(false, false))).toEqual([
      'carrier: the PF p0 has no carrier, the PF p1 is down',
    ])
  })

  test('of an uplink that is not known says nothing', () => {
    expect(reasons(vf(parent, 0), { pfs: { uplink: undefined, netdevs: [] } })).toEqual([])
  })
})

describe('link-state', () => {
  test('is a link that the PF has switched off', () => {
    const text = 'link-state: the PF has switched off the link of the VF (link-state disable)'
    expect(reasons(vf(parent, 0, link('disable')))).toEqual([text])
    expect(reasons(vf(parent, 0, link('disable')), { checks: { linkState: false } })).toEqual([])
    expect(reasons(vf(parent, 0, { vf: undefined }))).toEqual([])
  })
})

describe('representor', () => {
  const text = 'representor: the PF ens1f0 is in switchdev mode, and the device has no representor'
  const switchdev = { pfs: { eswitchMode: 'switchdev' } } as const

  test('is asked for in switchdev mode alone', () => {
    expect(reasons(vf(parent, 0), switchdev)).toEqual([text])
    expect(reasons(subfunction(parent, 3), switchdev)).toEqual([text])
    expect(reasons(vf(parent, 0, { representor: netdev('eth0_0') }), switchdev)).toEqual([])
    expect(reasons(vf(parent, 0), { pfs: { eswitchMode: 'legacy' } })).toEqual([])
    expect(reasons(vf(parent, 0), { ...switchdev, checks: { representor: false } })).toEqual([])
  })

  test('is not asked for by a PF, nor by an accelerator', () => {
    expect(reasons(pfDevice(parent, 0), switchdev)).toEqual([])
    expect(reasons(vf(parent, 0, { type: 'accelerator' }), switchdev)).toEqual([])
  })
})

test('reset is the trouble of the PF, for its VFs and for the PF itself', () => {
  const pfs = { trouble: 'devlink health reporter fw is in state error' }
  const text = `reset: the PF does not work: ${pfs.trouble}`
  const checks = { carrier: false, linkState: false, representor: false, driver: false }
  for (const one of [vf(parent, 0), pfDevice(parent, 0), subfunction(parent, 1)])
    expect(reasons(one, { pfs, checks })).toEqual([text])
})

describe('dirty', () => {
  const dead = 'dirty: the device is not restored: the pod shop/web-0 is gone without a DEL'

  test('is a record of a pod that is dead', () => {
    expect(reasons(vf(parent, 0), { attachments: [{}] })).toEqual([])
    expect(reasons(vf(parent, 0), { attachments: [{ alive: false }] })).toEqual([dead])
    expect(reasons(vf(parent, 0), { attachments: [{ alive: false, pod: undefined }] })).toEqual([
      'dirty: the device is not restored: a pod is gone without a DEL',
    ])
    expect(reasons(vf(parent, 0), { attachments: [{ alive: false, device: '0000:3b:10.7' }] })).toEqual([])
  })

  test('is a device that could not be restored because a program has it open; the program is told once', () => {
    const attachments = [{ alive: false, pendingClose: true }]
    expect(reasons(vf(parent, 0, { isOpen: true }), { attachments })).toEqual([
      'dirty: a program of the pod shop/web-0 still has the device open, and the device is restored when it is closed',
    ])
    expect(reasons(vf(parent, 0), { attachments: [{ pendingClose: true }] })).toHaveLength(1)
  })

  test('is told while the same pod is still said to have the device, or one without a name', () => {
    // The checkpoint of kubelet knows uids alone.
    for (const held of [{ pod }, {}, { pod: { namespace: '', name: '', uid: '1' } }])
      expect(reasons(vf(parent, 0), { held, attachments: [{ alive: false }] })).toEqual([dead])
  })

  test('is not told of a device that another pod has', () => {
    for (const attachment of [{ alive: false }, { pendingClose: true }])
      expect(reasons(vf(parent, 0), { held: { pod: other }, attachments: [attachment] })).toEqual([])
    const attachments = [{ alive: false }, { pod: other }]
    expect(reasons(vf(parent, 0), { attachments })).toEqual([])
  })
})

describe('open', () => {
  const open = vf(parent, 0, { driver: 'vfio-pci', isOpen: true })
  const text = 'open: no pod has the device, but a program has it open'

  test('is a device that a program has open while no pod has it', () => {
    expect(reasons(open)).toEqual([text])
    expect(reasons({ ...open, isOpen: false })).toEqual([])
    expect(reasons(open, { attachments: [{ alive: false }] })).toHaveLength(2)
  })

  test('is not told of the program of a pod', () => {
    expect(reasons(open, { held: { pod } })).toEqual([])
    expect(reasons(open, { attachments: [{}] })).toEqual([])
  })
})

test('several reasons are told in one order', () => {
  const own = vf(parent, 0, { ...link('disable'), isOpen: true })
  const pfs = { ...uplink({ carrier: false }), eswitchMode: 'switchdev', trouble: 'x' } as const
  expect(reasons(own, { pfs, attachments: [{ alive: false }] })?.map((text) => text.split(':')[0])).toEqual([
    'dirty',
    'open',
    'carrier',
    'link-state',
    'representor',
    'reset',
  ])
})
