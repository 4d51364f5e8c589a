// ADD of vf-offload on the fake node: when it is refused before anything is changed.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import { bandwidthFeature } from '../../../src/offload/bandwidth/feature.ts'
import { readOffloadConfig } from '../../../src/offload/config/config.ts'
import { featuresOf } from '../../../src/offload/features.ts'
import { offloadPlugin } from '../../../src/offload/plugin.ts'
import { rateIdentityOf } from '../../../src/offload/state/identity.ts'
import { addAttachment } from '../../../src/offload/verbs/add.ts'
import { lookAround } from '../../../src/offload/verbs/look.ts'
import { emptyJournal, type OffloadJournal, offloadJournal } from '../../../src/records/offload.ts'
import { type RecordStore, recordStore } from '../../../src/records/store.ts'
import { refusalOf, requestOf } from '../../support/request.ts'
import { attached, path } from '../attached.ts'
import { Node } from '../node.ts'

const features = featuresOf('vf-offload')
let stateDir: string
let node: Node
let store: RecordStore<OffloadJournal>

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'offload-'))
  node = new Node(join(stateDir, 'shared'))
  store = recordStore(stateDir, 'offload', offloadJournal)
})
afterEach(() => rmSync(stateDir, { recursive: true }))

const attach = () => attached(node, store, { containerID: 'container', network: 'net', netnsId: '4:1' })

describe('ADD', () => {
  const portMappings = [{ hostPort: 8080, containerPort: 80 }]
  const request = (wishes: Record<string, unknown> = { portMappings }) =>
    requestOf({ stateDir, runtimeConfig: wishes })
  const add = (wishes?: Record<string, unknown>, otherStores: readonly (typeof store)[] = []) => {
    const pod = node.openNetns(path)
    const setting = {
      machine: node,
      kernel: node.openKernel(),
      pod,
      store,
      otherStores,
      attachStore: { list: () => [], read: () => undefined },
      features,
      everyFeature: features,
    }
    return addAttachment(
      setting,
      lookAround(setting, request(wishes), readOffloadConfig(request(wishes))),
      {},
    )
  }
  /** A pod behind a pair of which the host has the other end. */
  const plug = () => {
    const ends = [
      { side: 'pod', link: { name: 'net1', ifindex: 5, kind: 'veth', lower: 77, lowerNetns: 0 } },
      { side: 'host', link: { name: 'veth77', ifindex: 77, kind: 'veth', lower: 5, lowerNetns: 1 } },
    ] as const
    node.namespaces.set(path, '4:1')
    for (const { side, link } of ends)
      node.interfaces.push({ side, link: { mtu: 1500, ...link } as LinkFacts })
  }
  const toPod = { ingressRate: 1e6, ingressBurst: 1e6 }
  const fromPod = { egressRate: 1e6, egressBurst: 1e6 }
  const { ifb, ifbMac, cookie, limiter } = rateIdentityOf(
    { network: 'net', containerID: 'container', ifname: 'net1' },
    (text) => new Node('').sha256(text),
  )

  test('a second one without a DEL is refused before anything is changed, and keeps its hands off the first', () => {
    attach()
    plug()
    const { code, message } = refusalOf(() => add())
    expect(message).toBe(
      'Cannot serve container "container", interface "net1", network "net": it is served already and needs a DEL first',
    )
    expect(code).toBe(11)
    expect(store.list()).toHaveLength(1)
    expect(node.filters).toHaveLength(1)
  })

  test.each([
    ['the same wishes', { portMappings }],
    ['limits alone', { bandwidth: toPod }],
  ])('a second one with %s is refused in the same way when the record of the first was lost', (_, wishes) => {
    attach()
    plug()
    for (const name of store.list()) rmSync(name.path)
    expect(refusalOf(() => add(wishes))).toMatchObject({
      code: 11,
      message: expect.stringContaining('it is served already and needs a DEL first'),
      details: 'its record is lost, its ports are reserved',
    })
    expect(store.list()).toEqual([])
    expect(node.filters).toHaveLength(1)
    expect(node.steps).toEqual([])
  })

  test.each([
    ['the same wishes', { bandwidth: fromPod }],
    ['another limit', { bandwidth: toPod }],
    ['port mappings alone', { portMappings }],
  ])(
    'limits whose record was lost are known by the ifb’s name: a second one with %s is refused',
    (_, wishes) => {
      plug()
      node.ifbs.set(ifb, ifbMac)
      expect(refusalOf(() => add(wishes))).toMatchObject({
        code: 11,
        details: `its record is lost, there is its "${ifb}"`,
      })
      expect([...node.ifbs.keys()]).toEqual([ifb])
      expect(node.steps).toEqual([])
      expect(store.list()).toEqual([])
    },
  )

  test('limits of another container are no hindrance', () => {
    plug()
    node.ifbs.set(`${ifb.slice(0, -1)}x`, ifbMac)
    expect(add()).toEqual({})
  })

  test('limits that another entry of the list has made, by its own record, are no hindrance to port mappings', () => {
    plug()
    node.ifbs.set(ifb, ifbMac)
    const other = recordStore(stateDir, 'bandwidth', offloadJournal)
    const owner = { containerID: 'container', ifname: 'net1', network: 'net', netns: path, netnsId: '4:1' }
    const record = { schema: 1, plugin: 'vf-offload', phase: 'attached', journal: emptyJournal } as const
    other.write('net', { ...record, owner: { ...owner, bootId: node.boot } })
    expect(add(undefined, [other])).toEqual({})
    expect(refusalOf(() => add({ bandwidth: fromPod }, [other]))).toMatchObject({ code: 11 })
  })

  test('a shaper of ours that no record speaks of is refused a second one, and stays', () => {
    plug()
    node.shapers.set(77, { bytesPerSecond: 1, burst: 1, limit: 1 })
    expect(refusalOf(() => add({ bandwidth: toPod }))).toMatchObject({
      code: 11,
      message:
        'Cannot limit "veth77": it has a limit of ours already, handle 7666:, which needs a DEL first; ' +
        'where the record of that one is lost, "tc qdisc del dev veth77 root" removes it',
    })
    expect([...node.shapers.keys()]).toEqual([77])
    expect(node.steps).toEqual([])
    expect(store.list()).toEqual([])
  })

  test('policers in the NIC are known by their cookie', () => {
    const attachment = { network: 'net', containerID: 'container', ifname: 'net1' }
    const trace = () =>
      bandwidthFeature.trace({
        machine: node,
        kernel: node.openKernel(),
        attachment,
        reserved: false,
        hasEswitch: true,
      })
    expect(trace()).toBeUndefined()
    node.limiters.push({ index: limiter, cookie, bytesPerSecond: 1, burst: 1, users: 0 })
    expect(trace()).toBe('there is its policer in the NIC')
  })

  test('what is from before the last boot is no hindrance', () => {
    attach()
    node.boot = 'boot-2'
    expect(() => add()).toThrow('Cannot serve "net1": the pod has no such interface')
  })

  test('without mappings prevResult is the answer, and nothing is opened', () => {
    const prevResult = { cniVersion: '1.1.0', interfaces: [], ips: [{ address: '10.1.0.5/24' }] }
    const plugin = offloadPlugin(node)
    expect(plugin.add(requestOf({ stateDir, prevResult }))).toMatchObject({
      ips: [{ address: '10.1.0.5/24' }],
    })
    expect(node.open).toBe(0)
  })

  test('without prevResult: code 7', () => {
    expect(refusalOf(() => offloadPlugin(node).add(request()))).toMatchObject({
      code: 7,
      message: 'must be called as chained plugin',
    })
  })

  test('into a namespace that is gone: code 8', () => {
    const prevResult = { cniVersion: '1.1.0', ips: [{ address: '10.1.0.5/24' }] }
    const { config } = request()
    const error = refusalOf(() => offloadPlugin(node).add(requestOf({ ...config, prevResult })))
    expect(error).toMatchObject({ code: 8, message: `Cannot open CNI_NETNS "${path}": ENOENT: ${path}` })
  })
})
