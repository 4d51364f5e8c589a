// The service while things fail: a kernel that does not answer, a defect in one look, a device that Allocate refuses. The last good
// offer stays, nothing new is trusted, and nobody who calls is thrown at.
import { describe, expect, test } from 'vitest'
import type { Allocations } from '../../../device-plugin/allocations/holding.ts'
import type { Offer } from '../../../device-plugin/front-end.ts'
import { unknownUse } from '../../../device-plugin/inventory/known-uses.ts'
import type { Device, Pf, Snapshot } from '../../../device-plugin/inventory/snapshot.ts'
import { unready } from '../../../device-plugin/observe/readiness.ts'
import { Service } from '../../../device-plugin/service.ts'
import { pf, snapshot, vf } from '../../support/device-plugin/devices.ts'

const parent = '0000:3b:00.0'
const [a0, a1, a2] = ['0000:3b:10.0', '0000:3b:10.1', '0000:3b:10.2']
const byPf = { resourceName: 'a', selectors: [{ pfNames: ['ens1'] }] }

function bed(pools: readonly object[] = [byPf]) {
  const next: { snapshot: Snapshot; held: Map<string, { resource: string; device: string }> } = {
    snapshot: snapshot([]),
    held: new Map(),
  }
  let broken: Error | undefined
  let failures = 0
  const log: string[] = []
  const offers: (readonly Offer[])[] = []
  const write = (message: string) => void log.push(message)
  const service = new Service({
    resourcePrefix: 'test',
    scan: () => next.snapshot,
    attachments: () => new Map(),
    allocations: (): Allocations => ({ held: next.held, source: 'podresources', isGuess: false }),
    lookAtAttachments: () => undefined,
    beforeOffer: () => {
      if (broken !== undefined) throw broken
    },
    onFailure: () => void failures++,
    log: { debug: write, info: write, warn: write, error: write },
  })
  service.serve({ offer: (pools) => void offers.push(pools), status: () => [], stop: async () => undefined })
  service.configure({ text: JSON.stringify({ resourceList: pools }) })
  return {
    ...{ service, log, offers, next },
    see(
      devices: readonly Device[],
      change: Partial<Snapshot> = {},
      pfs: readonly Pf[] = [pf(parent, 'ens1')],
    ) {
      next.snapshot = { ...snapshot(devices, pfs), ...change }
      service.look()
    },
    breakWith(error: Error | undefined) {
      broken = error
    },
    get failures() {
      return failures
    },
    /** The offer, as `ID+` or `ID:reasons`. */
    get offer() {
      return offers
        .at(-1)
        ?.flatMap(({ devices }) => devices)
        .map(({ id, health }) =>
          health.healthy ? `${id}+` : `${id}:${health.reasons.map(({ reason }) => reason)}`,
        )
    },
  }
}

const blind = { areHostUsesUnknown: true, unanswered: ['default routes: ENOBUFS'] } as const
const used = { hostUses: ['has the default route of IPv4 by eth0'] }

describe('while the kernel does not tell of routes and addresses', () => {
  test('devices keep the uses that were known, and a new device is not offered', () => {
    const node = bed()
    node.see([vf(parent, 0), vf(parent, 1, used)])
    expect(node.offer).toEqual([`${a0}+`])
    node.see([vf(parent, 0), vf(parent, 1), vf(parent, 2)], blind)
    expect(node.offer).toEqual([`${a0}+`])
    expect(node.log.at(-2)).toBe(
      `${a2} is not offered as test/a: allowHostUsed: ${unknownUse}, wanted no use by the host`,
    )
    node.see([vf(parent, 0), vf(parent, 1), vf(parent, 2)])
    expect(node.offer).toEqual([`${a0}+`, `${a1}+`, `${a2}+`])
  })

  test('a use that shows all the same counts, and a device that comes back is a new one', () => {
    const node = bed()
    node.see([vf(parent, 0), vf(parent, 1)])
    node.see([vf(parent, 0, used), vf(parent, 1)], blind)
    expect(node.offer).toEqual([`${a1}+`])
    node.see([vf(parent, 0)], blind)
    node.see([vf(parent, 0), vf(parent, 1)], blind)
    expect(node.offer).toEqual([`${a0}+`])
  })

  test('from the start, nothing is offered but devices of pods and of pools that allow any use', () => {
    const node = bed([
      { resourceName: 'any', allowHostUsed: true, selectors: [{ rootDevices: [`${parent}#2`] }] },
      byPf,
    ])
    node.next.held.set(a1, { resource: 'test/a', device: a1 })
    node.see([vf(parent, 0), vf(parent, 1), vf(parent, 2)], blind)
    expect(node.offer).toEqual([`${a2}+`, `${a1}+`])
  })
})

test('a device that a pod has stays in the list when the host begins to use it, and is healthy', () => {
  const node = bed()
  node.next.held.set(a0, { resource: 'test/a', device: a0 })
  for (const change of [{}, used, {}]) {
    node.see([vf(parent, 0, change), vf(parent, 1, change)])
    expect(node.offer).toContain(`${a0}+`)
  }
})

describe('a scan without interfaces', () => {
  const unanswered = { areHostUsesUnknown: true, unanswered: ['interfaces: ENOBUFS'] } as const
  const noName = [pf(parent, undefined)]

  test('fails, and the devices of the scan before stay: pools select them by names of interfaces', () => {
    const node = bed()
    node.see([vf(parent, 0)])
    expect(() => node.see([vf(parent, 0)], unanswered, noName)).toThrow('does not tell of interfaces')
    expect(node.offer).toEqual([`${a0}+`])
    expect(unready(node.service.view())[0]).toContain(
      'the last look at the node failed: the kernel does not tell',
    )
    node.see([vf(parent, 0), vf(parent, 1)])
    expect(node.offer).toEqual([`${a0}+`, `${a1}+`])
    expect(unready(node.service.view())[0]).not.toContain('failed')
  })

  test('is all there is where the kernel has never told', () => {
    const node = bed()
    node.see([vf(parent, 0)], unanswered, noName)
    node.see([vf(parent, 0)], unanswered, noName)
    expect(node.offers).toHaveLength(2)
  })
})

describe('a defect in a judgement', () => {
  test('throws at no timer, keeps the last offer, is told, and asks for another look', () => {
    const node = bed()
    node.see([vf(parent, 0)])
    node.breakWith(new TypeError('x is undefined'))
    node.service.judge()
    expect(node.offers).toHaveLength(1)
    expect(node.failures).toBe(1)
    expect(node.log.at(-1)).toBe('Cannot judge the devices, and the last offer stays: x is undefined')
    expect(unready(node.service.view())).toContain('the last look at the node failed: x is undefined')
    node.breakWith(undefined)
    node.see([vf(parent, 0), vf(parent, 1)])
    expect(node.offer).toEqual([`${a0}+`, `${a1}+`])
    expect(unready(node.service.view()).join()).not.toContain('failed')
  })

  test('in a new config is none of the one who has read the file', () => {
    const node = bed()
    node.see([vf(parent, 0)])
    node.breakWith(new TypeError('x is undefined'))
    expect(node.service.configure({ text: '{"resourceList":[]}' })).toBe(true)
    expect(node.failures).toBe(1)
  })
})

describe('a device that Allocate has refused', () => {
  test('is unhealthy, so that kubelet does not choose it for the next pod, until something about it changes', () => {
    const node = bed()
    node.see([vf(parent, 0), vf(parent, 1)])
    node.service.refuse(a0, 'test/a', 'Cannot give it: a program has it open')
    expect(node.offer).toEqual([`${a0}:refused`, `${a1}+`])
    expect(node.log.at(-1)).toContain('it was refused to a pod: Cannot give it: a program has it open')
    node.see([vf(parent, 0), vf(parent, 1)])
    expect(node.offer).toEqual([`${a0}:refused`, `${a1}+`])
    node.see([vf(parent, 0, { driver: 'vfio-pci' }), vf(parent, 1)])
    expect(node.offer).toEqual([`${a0}+`, `${a1}+`])
  })

  test('is healthy for the pod that has it, and after it was given away', () => {
    const node = bed()
    node.see([vf(parent, 0)])
    node.service.refuse(a0, 'test/a', 'x')
    node.next.held.set(a0, { resource: 'test/a', device: a0 })
    node.service.judge()
    expect(node.offer).toEqual([`${a0}+`])
    node.next.held.clear()
    node.service.gave([a0])
    node.service.judge()
    expect(node.offer).toEqual([`${a0}+`])
  })

  test('because another pod has it is not held back when that pod is over', () => {
    const node = bed()
    node.next.held.set(a0, { resource: 'test/old', device: a0 })
    node.see([vf(parent, 0)])
    node.service.refuse(a0, 'test/a', 'x')
    expect(node.offer).toEqual([])
    node.next.held.clear()
    node.service.judge()
    expect(node.offer).toEqual([`${a0}+`])
  })

  test('that is not on the node is nobody’s', () => {
    const node = bed()
    node.see([vf(parent, 0)])
    node.service.refuse(a2, 'test/a', 'x')
    expect(node.offer).toEqual([`${a0}+`])
  })
})
