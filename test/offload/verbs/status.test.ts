// STATUS asks the kernel for the needs of its config. This machine has no PF with VFs.
import { beforeEach, expect, test, vi } from 'vitest'
import type { Kernel, Needs } from '../../../src/kernel/api/kernel.ts'
import type { Machine } from '../../../src/kernel/api/machine.ts'
import type { OffloadConfig } from '../../../src/offload/config/config.ts'
import { everyFeature } from '../../../src/offload/features.ts'
import { requireReady } from '../../../src/offload/verbs/status.ts'
import type { OffloadJournal } from '../../../src/records/offload.ts'
import type { RecordStore } from '../../../src/records/store.ts'
import { addressAnswers, linkAnswers } from '../../support/node-answers.ts'
import { refusalOf } from '../../support/request.ts'

const [pf, free, driven] = ['0000:3b:00.0', '0000:3b:02.0', '0000:3b:02.1'] as const
const absent = '0000:3b:07.7'
let pfs: readonly string[] = []
/** VFs of the PF, which are its first and second. */
let vfs: readonly string[] = []
/** Notices. */
let said: string[] = []
vi.mock('../../../src/lib/log/notice.ts', () => ({ notice: (line: string) => said.push(line) }))
vi.mock('../../../src/nic/pci.ts', () => ({
  pfsWithVfs: () => pfs,
  readPciFunction: (address: string) =>
    address === absent ? undefined : { vf: { pf, index: 0 }, userspace: address === driven },
  portsOf: () => portsOfPf,
  driverOf: () => driver,
  vfsOf: () => vfs.map((address, index) => ({ address, index })),
}))

/** The answer of devlink for an eSwitch that is not in switchdev mode. */
let other: 'legacy' | 'unsupported' | 'untold' = 'legacy'
let portsOfPf: readonly string[] = []
/** Of the PF and of the uplink. */
let driver: string | undefined
let isSwitchdev = false
let representors: readonly object[] = []
let tcOffload = 'on'
let isUp = true
/** Of an interface above the uplink. */
let vlanId: number | undefined
beforeEach(() => {
  pfs = [pf]
  vfs = [free, driven]
  other = 'legacy'
  portsOfPf = ['pf0']
  driver = undefined
  isSwitchdev = true
  representors = []
  tcOffload = 'on'
  isUp = true
  vlanId = undefined
  said = []
})

const config = { offload: 'prefer', nat: 'auto', rates: { outside: false } } as OffloadConfig
const store = { probe: () => undefined } as RecordStore<OffloadJournal>

/** The wishes that a config lets pods have. */
interface Serves {
  readonly ports: boolean
  readonly limited: OffloadConfig['limited']
}

/** The questions to the kernel, in order: the needs of every ADD, then those of pods that ask. */
function asked(change: Partial<OffloadConfig>, serves: Serves, missing: string[] = []): Needs[] {
  const needs: Needs[] = []
  const uplink = { ifindex: 2, name: 'pf0', up: isUp, parent: pf, physPortId: '0200' }
  const kernel = {
    probe: () => undefined,
    close: () => undefined,
    isSwitchdev: () => isSwitchdev,
    eswitch: () => (isSwitchdev ? 'switchdev' : other),
    tcOffload: () => tcOffload,
    ...linkAnswers([
      uplink,
      ...representors,
      { ifindex: 3, name: 'above', up: true, kind: 'vlan', lower: 2, vlanId },
    ]),
    link: () => uplink,
    ...addressAnswers([{ ifindex: 3, address: '192.0.2.1/24', scope: 0 }]),
    missingNeeds: (wanted: Needs) => {
      needs.push(wanted)
      return missing
    },
  } as unknown as Kernel
  const { ports: servesPorts, limited } = serves
  const asking = { ...config, ...change, servesPorts, limited }
  requireReady({ openKernel: () => kernel } as Machine, store, asking, everyFeature)
  return needs
}

const ports: Serves = { ports: true, limited: 'none' }
const limits: Serves = { ports: false, limited: 'asking' }
const none: Needs = {
  ...{ ports: false, steering: false, inPod: false, translation: false, tags: false },
  ...{ rates: false, shapers: false, police: false },
}
const every = { ...none, shapers: true }
const limit = { rate: 8000, burst: 80 }

test('a declared capability is no wish: what a pod that asks would miss is said, and the node stays ready', () => {
  pfs = []
  for (const serves of [ports, limits]) {
    expect(asked({}, serves, ['classifier none, for a test: ENOENT'])).toHaveLength(1)
    expect(said).toEqual([expect.stringContaining('an ADD would fail: classifier none, for a test: ENOENT')])
    said = []
  }
  isUp = false
  asked({ uplink: 'eth1' }, ports)
  expect(said).toEqual([expect.stringContaining('uplink "pf0" is down')])
  said = []
  asked({}, { ports: false, limited: 'none' }, ['none'])
  expect(said).toEqual([])
})

test('keys of the config are a wish of every ADD: without a shaper code 50, where no NIC can limit', () => {
  pfs = []
  const rates = { toPod: limit, outside: false }
  const all: Serves = { ports: false, limited: 'every' }
  expect(refusalOf(() => asked({ rates }, all, ['qdisc tbf']))).toMatchObject({
    code: 50,
    message: 'Cannot serve an ADD: qdisc tbf',
  })
  expect(asked({ rates }, all)).toEqual([every, { ...none, rates: true, shapers: true }])
  pfs = [pf]
  expect(asked({ rates }, all)).toHaveLength(1)
  isSwitchdev = false
  expect(asked({ rates }, all)).toHaveLength(2)
  expect(asked({ rates: { fromPod: limit, outside: false } }, all)).toHaveLength(1)
})

test('filters are needed where pods can have more than a veth: VFs, an uplink, a device', () => {
  isSwitchdev = false
  pfs = []
  expect(asked({}, ports)).toEqual([{ ...none, ports: true }])
  expect(asked({ uplink: 'eth1' }, ports)).toMatchObject([{ steering: true }])
  expect(asked({ device: free as OffloadConfig['device'] }, ports)).toMatchObject([{ steering: true }])
  pfs = [pf]
  expect(asked({}, ports)).toMatchObject([{ ports: true, steering: true }])
  expect(asked({}, limits)).toEqual([{ ...none, rates: true, shapers: true }])
})

test('checksums are needed where nobody but the NIC can translate', () => {
  const translates = (change: Partial<OffloadConfig>) => asked(change, ports)[0]?.translation
  expect(translates({ nat: 'nic' })).toBe(true)
  // A VF that a program drives, unless the config names another one.
  expect(translates({})).toBe(true)
  expect(translates({ device: free as OffloadConfig['device'] })).toBe(false)
  expect(translates({ device: driven as OffloadConfig['device'] })).toBe(true)
  for (const change of [{ offload: 'off' }, { nat: 'pod' }] as const) expect(translates(change)).toBe(false)
  vfs = [free]
  expect(translates({})).toBe(false)
  expect(translates({ directSubnets: ['192.0.2.0/24'] })).toBe(false)
  isSwitchdev = false
  vfs = [driven]
  expect(translates({})).toBe(false)
})

test('a driver that loses ports or the order of filters has no nat nic, which is said beforehand', () => {
  for (const [name, reason] of [
    ['nfp', 'drops the priorities of filters'],
    ['bnxt_en', 'accepts a rewritten port and writes another one'],
  ] as const) {
    driver = name
    asked({ nat: 'nic' }, ports)
    expect(said).toEqual([expect.stringContaining(`nat "nic" would fail: driver "${name}"`)])
    expect(said[0]).toContain(reason)
    said = []
    asked({ offload: 'require' }, ports)
    expect(said).toEqual([])
  }
  driver = 'mlx5_core'
  asked({ nat: 'nic' }, ports)
  expect(said).toEqual([])
})

test('a card whose mode devlink never tells (sfc_ef100) is in switchdev mode where there are representors', () => {
  isSwitchdev = false
  other = 'untold'
  driver = 'sfc_ef100'
  const required = () => {
    said = []
    const [needs] = asked({ offload: 'require' }, ports)
    return { words: said.join(), translation: needs?.translation }
  }
  expect(required()).toMatchObject({
    translation: false,
    words: expect.stringContaining('the eSwitch of "pf0" is in legacy mode'),
  })
  representors = [{ ifindex: 40, name: 'rep0', physSwitchId: '0200', physPortName: 'p0pf0vf0' }]
  expect(required()).toEqual({ translation: true, words: '' })
  driver = 'i40e'
  expect(required().words).toContain('legacy mode')
})

test('tags are changed where a representor serves an address in a VLAN', () => {
  const changesTags = () => asked({}, ports)[0]?.tags
  expect(changesTags()).toBe(false)
  vlanId = 20
  expect(changesTags()).toBe(true)
  isSwitchdev = false
  expect(changesTags()).toBe(false)
})

test('a device that the node lacks: nothing of the PFs of other devices counts', () => {
  const device = absent as OffloadConfig['device']
  const [needs] = asked({ device, nat: 'nic' }, { ports: true, limited: 'asking' })
  expect(needs).toEqual({ ...none, ports: true, steering: true, rates: true, shapers: true })
  expect(said).toEqual([
    expect.stringContaining(`no pod can have deviceID "${absent}"`),
    expect.stringContaining('with nat "nic" would fail: there are no virtual functions'),
  ])
})

test('offload "require" in legacy mode: an ADD would fail, but where legacyOffload "try" asks a driver that is known to take it', () => {
  isSwitchdev = false
  const required = (change: Partial<OffloadConfig>) => {
    said = []
    asked({ offload: 'require', ...change }, ports)
    return said.join()
  }
  driver = 'mlx5_core'
  expect(required({ legacyOffload: 'off' })).toContain('the eSwitch of "pf0" is in legacy mode')
  expect(required({ legacyOffload: 'try' })).toBe('')
  expect(required({ legacyOffload: 'try', nat: 'nic' })).toContain('legacy mode')
  tcOffload = 'off'
  expect(required({ legacyOffload: 'try' })).toContain('hw-tc-offload of "pf0" is off')
  tcOffload = 'on'
  driver = 'cxgb4'
  expect(required({ legacyOffload: 'try' })).toContain('legacy mode')
  // A NIC of its own, on the wire of this uplink.
  pfs = []
  expect(required({ legacyOffload: 'try', uplink: 'pf0' })).toBe('')
  expect(required({ legacyOffload: 'off', uplink: 'pf0' })).toContain('there are no virtual functions')
})

test('policers are needed where a limit must be outside the pod and there is an eSwitch', () => {
  const rates = { outside: true }
  expect(asked({ rates }, limits)).toEqual([{ ...none, rates: true, shapers: true, police: true }])
  expect(asked({}, limits)[0]?.police).toBe(false)
  isSwitchdev = false
  expect(asked({ rates }, limits)[0]?.police).toBe(false)
})

test('an eSwitch that takes no rules is in legacy mode, or is not managed by this host', () => {
  const require = { offload: 'require', device: free as OffloadConfig['device'] } as const
  const says = (words: string) => {
    said = []
    asked(require, ports)
    expect(said.join()).toContain(`with offload "require" would fail: ${words}`)
  }
  isSwitchdev = false
  says('the eSwitch of "pf0" is in legacy mode')
  other = 'unsupported'
  says('the eSwitch of "pf0" is in legacy mode')
  driver = 'mlx5_core'
  says('this host does not manage the eSwitch of "pf0" (BlueField in DPU mode? devlink: EOPNOTSUPP)')
})

test('of a PF with several ports the key "uplink" names one', () => {
  portsOfPf = ['pf0', 'pf1']
  const device = free as OffloadConfig['device']
  asked({ device }, ports)
  expect(said).toEqual(
    [
      `an ADD would fail: the PF "${pf}" has ports "pf0", "pf1"; the key "uplink" must name the one that the pod's network is on`,
    ].map((line) => expect.stringContaining(line)),
  )
  said = []
  asked({ device, uplink: 'pf1' }, ports)
  expect(said).toEqual([])
})
