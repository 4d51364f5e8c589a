// Several entries of one list for one attachment: each brings its part, none takes another's away.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, describe as group, test, vi } from 'vitest'
import { failure } from '../../../src/cni/failure.ts'
import { log } from '../../../src/lib/log/log.ts'
import { readOffloadConfig } from '../../../src/offload/config/config.ts'
import type { OffloadName } from '../../../src/offload/config/plugin-names.ts'
import type { Feature, Planned } from '../../../src/offload/feature.ts'
import { featuresOf } from '../../../src/offload/features.ts'
import { offloadPlugin } from '../../../src/offload/plugin.ts'
import { addAttachment } from '../../../src/offload/verbs/add.ts'
import { lookAround } from '../../../src/offload/verbs/look.ts'
import { withOwner } from '../../../src/offload/verbs/port-owners.ts'
import { ApplyError } from '../../../src/ops/apply.ts'
import type { Op } from '../../../src/ops/op.ts'
import { PortTaken } from '../../../src/ops/port-taken.ts'
import { offloadJournal } from '../../../src/records/offload.ts'
import { notesIn, recordStore } from '../../../src/records/store.ts'
import { refusalOf, requestOf } from '../../support/request.ts'
import { bandwidth, path, portMappings, prevResult, VethNode } from '../veth-node.ts'

let stateDir: string
let node: VethNode

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'entries-'))
  node = new VethNode(join(stateDir, 'shared'))
  node.namespaces.set(path, '4:1')
})
afterEach(() => rmSync(stateDir, { recursive: true }))

const call = (runtimeConfig: object, verb = 'ADD', name: OffloadName = 'vf-offload', env = {}) => {
  const request = requestOf({ stateDir, prevResult, runtimeConfig }, { CNI_COMMAND: verb, ...env })
  const plugin = offloadPlugin(node, name)
  if (verb === 'ADD') plugin.add(request)
  else if (verb === 'CHECK') plugin.check?.(request)
  else plugin.del(request)
}
const journals = (folder = 'offload') => {
  const store = recordStore(stateDir, folder, offloadJournal)
  return store.list().flatMap((name) => store.read(name)?.journal ?? [])
}

group('two entries of vf-offload, one for ports and one for limits', () => {
  test.each([
    ['ports first', { portMappings }, { bandwidth }],
    ['limits first', { bandwidth }, { portMappings }],
  ])('%s: both are made, one record has both, each CHECK is content with its own', (_, first, second) => {
    call(first)
    call(second)
    expect(node.lines.filter((line) => line.includes('tbf'))).toHaveLength(1)
    expect(node.ports.size).toBe(1)
    const [journal, ...more] = journals()
    expect(more).toEqual([])
    expect(journal?.keys.map(({ address, port }) => [address, port])).toEqual([
      ['127.0.0.1', 8080],
      ['192.0.2.1', 8080],
    ])
    expect(journal?.limits?.map(({ where, means }) => [where, means])).toEqual([['host', 'ifb']])
    call({ portMappings }, 'CHECK')
    call({}, 'DEL')
    expect([node.filters, [...node.ports], journals()]).toEqual([[], [], []])
    call({}, 'DEL')
  })

  test('CHECK of the limits’ entry does not ask whether the ports of the other are wished for', () => {
    call({ portMappings })
    call({ bandwidth })
    call({ bandwidth }, 'CHECK')
    expect(node.verified).toEqual(['ifb.add', 'shaper.add', 'clsact.add', 'detour.add'])
    const other = { bandwidth: { ...bandwidth, egressRate: 9_000_000 } }
    expect(refusalOf(() => call(other, 'CHECK')).message).toContain(
      'Attachment is not limited as ADD left it',
    )
  })

  test('CHECK of limits alone names ports that the same entry has mapped, and for which nobody asks any more', () => {
    call({ portMappings, bandwidth })
    const { code, message } = refusalOf(() => call({ bandwidth }, 'CHECK'))
    expect([code, message]).toEqual([
      104,
      expect.stringContaining('tcp 192.0.2.1 port 8080 to 80 was mapped and is not asked for'),
    ])
    expect(node.verified).toContain('ports.reserve')
    call({ portMappings }, 'CHECK')
  })

  test('the second of a part is refused as before, and takes nothing away', () => {
    call({ portMappings })
    call({ bandwidth })
    const there = [node.filters.length, node.ports.size, node.lines.length]
    for (const again of [{ portMappings }, { bandwidth }, { portMappings, bandwidth }]) {
      expect(refusalOf(() => call(again)).code).toBe(11)
    }
    expect([node.filters.length, node.ports.size, node.lines.length]).toEqual(there)
  })

  test('a second entry that fails takes back its own part only, and the first keeps its record', () => {
    call({ bandwidth })
    const [before] = journals()
    node.refused = 'element'
    expect(() => call({ portMappings })).toThrow('refused')
    expect(node.filters).toHaveLength(1)
    expect(journals()).toEqual([before])
    node.refused = '-'
    call({ portMappings })
    expect(node.ports.size).toBe(1)
  })
})

group('CHECK when the node has lost an address', () => {
  const check = (hostIP?: string) => () =>
    call({ portMappings: [{ ...portMappings[0], ...(hostIP === undefined ? {} : { hostIP }) }] }, 'CHECK')

  test.each([[undefined], ['0.0.0.0']])(
    'that no hostIP named (%s): told, as long as another one serves',
    (hostIP) => {
      node.addresses = ['192.0.2.1/24', '192.0.2.2/24']
      call({ portMappings: [{ ...portMappings[0], ...(hostIP === undefined ? {} : { hostIP }) }] })
      node.addresses = ['192.0.2.2/24']
      const said = vi.spyOn(log, 'warn').mockReturnValue(undefined)
      expect(check(hostIP)).not.toThrow()
      expect(said.mock.calls.join()).toContain('the node does not have address 192.0.2.1 any more')
      said.mockRestore()
      node.addresses = ['192.0.2.3/24']
      expect(refusalOf(check(hostIP)).message).toMatch(/192\.0\.2\.1 any more.* 192\.0\.2\.2 any more/)
    },
  )

  test('that a hostIP named: code 104', () => {
    node.addresses = ['192.0.2.1/24', '192.0.2.2/24']
    call({ portMappings: [{ ...portMappings[0], hostIP: '192.0.2.1' }] })
    node.addresses = ['192.0.2.2/24']
    expect(refusalOf(check('192.0.2.1'))).toMatchObject({ code: 104 })
  })
})

group('after somebody has flushed the rules of the node', () => {
  const other = { CNI_CONTAINERID: 'another' }
  const again = [{ ...portMappings[0], hostPort: 8081 }]

  test('the next ADD puts back what is reserved, and gets no port of others', () => {
    call({ portMappings })
    call({ portMappings: again }, 'ADD', 'portmap', { CNI_CONTAINERID: 'third' })
    expect(node.ports.size).toBe(2)
    node.ports.clear()
    const { code, message } = refusalOf(() => call({ portMappings }, 'ADD', 'vf-offload', other))
    expect([code, message]).toEqual([100, expect.stringContaining('8080 is taken by')])
    expect(node.ports.size).toBe(2)
    expect(refusalOf(() => call({ portMappings: again }, 'ADD', 'vf-offload', other)).code).toBe(100)
    call({ portMappings: [{ ...portMappings[0], hostPort: 8082 }] }, 'ADD', 'vf-offload', other)
    expect(node.ports.size).toBe(3)
  })

  test('what is from before a boot, or was broken, is left out', () => {
    call({ portMappings })
    node.ports.clear()
    const [name] = recordStore(stateDir, 'offload', offloadJournal).list()
    writeFileSync(`${name?.path.replace('container', 'broken')}`, '{')
    node.boot = 'boot-2'
    call({ portMappings }, 'ADD', 'vf-offload', other)
    expect(node.ports.size).toBe(1)
  })

  test('one that can’t be put back hinders nobody', () => {
    call({ portMappings })
    node.ports.clear()
    node.refused = '8080'
    call({ portMappings: again }, 'ADD', 'vf-offload', other)
    expect(node.ports.size).toBe(1)
  })
})

test('the owner of a filter that is in the way is named', () => {
  call({ portMappings })
  const [cookie = ''] = node.ports
  const key = { address: '192.0.2.1', proto: 'tcp', port: 8080 } as const
  const stores = { machine: node, store: recordStore(stateDir, 'offload', offloadJournal), otherStores: [] }
  const op = { do: 'steer.add', rule: { link: 'pf0', prio: 10, ...key, cookie: '' }, offload: 'off' } as const
  const named = (one: string) =>
    failure(withOwner(new ApplyError(op, new PortTaken(key, 'a filter', one), []), stores))
  expect(named(cookie)).toMatchObject({
    code: 100,
    message: expect.stringContaining('8080 is taken by container/interface "container/net1"'),
  })
  expect(named(cookie.replace('76', '77')).message).toContain('8080 is taken by a filter')
})

group('two entries of different names', () => {
  const bothUp = () => {
    call({ portMappings })
    call({ bandwidth }, 'ADD', 'bandwidth')
    expect([node.filters.length, node.ports.size]).toEqual([1, 1])
  }

  test('the ports of one do not keep the limits of the other from being made', bothUp)

  test('DEL of one, once more and without its record, leaves the other’s filter where it is', () => {
    bothUp()
    for (let times = 0; times < 2; times++) {
      call({}, 'DEL')
      expect([node.filters.length, node.ports.size, journals('bandwidth').length]).toEqual([1, 0, 1])
    }
    call({}, 'DEL', 'bandwidth')
    expect([node.filters, journals('bandwidth')]).toEqual([[], []])
  })

  test('a record that can not be read speaks of nothing that another one has', () => {
    bothUp()
    for (const { path } of recordStore(stateDir, 'offload', offloadJournal).list()) writeFileSync(path, '{')
    call({}, 'DEL')
    expect([node.filters.length, node.ports.size]).toEqual([1, 0])
  })

  test('an ADD that fails leaves the other’s filter where it is', () => {
    call({ bandwidth }, 'ADD', 'bandwidth')
    node.refused = 'element'
    expect(() => call({ portMappings })).toThrow('refused')
    expect(node.filters).toHaveLength(1)
  })
})

test('a clsact is noted as ours when it is made, and no more when its way was given up', () => {
  const clsact = (ifindex: number): Op => ({ do: 'clsact.add', side: 'host', link: 'x', ifindex })
  const [part] = featuresOf('portmap') as [Feature]
  const notes: (readonly string[])[] = []
  const look = () => notes.push(notesIn(node.sharedDir, 'clsact-'))
  const plan = (): Planned => ({
    journal: {},
    usesPolicer: false,
    install: (transaction) => {
      const mark = transaction.mark()
      transaction.apply([clsact(5)])
      look()
      transaction.rollback(mark)
      look()
      transaction.apply([clsact(6), { ...clsact(7), side: 'pod' } as Op])
      return {}
    },
  })
  node.qdiscs.add(5)
  const request = requestOf({ stateDir, prevResult, runtimeConfig: { portMappings } })
  const pod = node.openNetns(path)
  const setting = {
    ...{
      machine: node,
      kernel: node.openKernel(pod),
      pod,
      otherStores: [],
      attachStore: { list: () => [], read: () => undefined },
    },
    store: recordStore(stateDir, 'offload', offloadJournal),
    features: [{ ...part, look: () => ({ plan }) }],
    everyFeature: featuresOf('vf-offload'),
  }
  addAttachment(setting, lookAround(setting, request, readOffloadConfig(request)), prevResult)
  look()
  expect(notes).toEqual([['clsact-5'], [], ['clsact-6']])
  expect(node.qdiscs.has(5)).toBe(false)
})
