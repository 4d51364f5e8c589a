// ADD writes down what an interface carries, and DEL gives it back, in the cases that no kernel of the tests shows: VLANs
// of a bridge's port, and more than a record takes.
import { describe, expect, test } from 'vitest'
import type { AttachConfig } from '../../../src/attach/config/config.ts'
import { lossWords, readCarried } from '../../../src/attach/device/carried.ts'
import { giveBack } from '../../../src/attach/restore/give-back.ts'
import type { CarriedFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import { commandLine as commandOf } from '../../../src/ops/command-line.ts'
import type { BridgeVlan, CarriedItem } from '../../../src/ops/op.ts'
import type { AttachJournal } from '../../../src/records/attach.ts'
import { refusalOf } from '../../support/request.ts'
import { factsOf } from '../model.ts'

const config: AttachConfig = {
  ...{ selectors: [{ by: 'name', key: 'device', name: 'no-such-nic' }], pf: undefined, bridge: undefined },
  ...{ announce: undefined, vf: {}, rate: undefined, mac: undefined, mtu: undefined, hasIpam: false },
  ...{ dns: undefined, stateDir: '/nowhere', allowNodeDevice: false, warnings: [] },
}
const facts = factsOf({ name: 'no-such-nic', altnames: [], mac: '02:00:00:00:00:05', mtu: 1500, up: true })
const link = { ...facts, master: 9, slaveKind: 'bridge' }
const device = { id: 'netdev:no-such-nic', pci: undefined, parents: [], netdevs: ['no-such-nic'] }
const newPorts: BridgeVlan = { vid: 1, pvid: true, untagged: true }
const tagged: BridgeVlan = { vid: 7, pvid: false, untagged: false }

const routes = (count: number): CarriedItem[] =>
  Array.from({ length: count }, (_, index) => ({
    what: 'route',
    words: `198.18.${index >> 8}.${index & 255}/32 proto 3`,
    message: '',
  }))

/** The note about a port that carries this. */
function written(carried: Partial<CarriedFacts>) {
  const kernel: Partial<Kernel> = {
    lookBeforeMove: () => ({ refusal: undefined, qdiscs: [], isBare: false }),
    carried: () => ({
      ...{ items: [], vlans: undefined, globals: [], defaults: [], shared: [], sources: [] },
      ...carried,
    }),
    settings: () => ({}),
    tuning: () => ({ ethtool: {}, files: {} }),
  }
  return readCarried(kernel as Kernel, config, { device, vf: undefined, port: { link, master: 'br0' } })
}

/** The operations that lead a port home that the bridge has put in the VLAN of new ports. */
function givenBack(carried: AttachJournal['carried']): string[] {
  const ran: string[] = []
  const kernel: Partial<Kernel> = { bridgeVlans: () => [newPorts] }
  const journal = { device, original: {}, carried }
  const run = (op: Parameters<typeof commandOf>[0]) => {
    ran.push(commandOf(op))
    return {}
  }
  giveBack(kernel as Kernel, { run }, journal as AttachJournal, link)
  return ran
}

describe('VLANs of a port', () => {
  const inNone = 'bridge vlan del dev no-such-nic vid 1'

  test.each([
    ['in none', [], [expect.stringContaining(inNone)]],
    [
      'in another one than new ports',
      [tagged],
      [expect.stringContaining(inNone), 'bridge vlan add dev no-such-nic vid 7'],
    ],
    ['in that of new ports', [newPorts], []],
  ])('%s', (_, vlans, commands) => {
    const { carried } = written({ vlans })
    expect(carried).toMatchObject({ vlans, items: [] })
    expect(givenBack(carried)).toEqual(commands)
  })

  test('an interface that is no port has none, and nothing is written down', () => {
    expect(written({ vlans: undefined }).carried).toBeUndefined()
    const { carried } = written({ vlans: undefined, items: [{ what: 'port', words: 'cost 7', message: '' }] })
    expect(carried).not.toHaveProperty('vlans')
  })
})

test('what a record does not take is refused', () => {
  expect(refusalOf(() => written({ items: routes(10_001) }))).toMatchObject({
    code: 7,
    message: expect.stringContaining('it carries 10001 addresses, routes and neighbours'),
  })
  expect(
    written({ items: routes(10_000).map((item) => ({ ...item, what: 'port' as const })) }),
  ).toMatchObject({
    carried: { items: expect.any(Array) },
  })
})

test('the line names twenty things and the number of the rest', () => {
  const words = (count: number) => lossWords(routes(count))
  expect(words(0)).toBeUndefined()
  expect(words(20)).toMatch(/, 198\.18\.0\.19\/32 proto 3$/)
  expect(words(21)).toMatch(/^198\.18\.0\.0\/32 .*, 198\.18\.0\.19\/32 proto 3 and 1 more$/)
  expect(words(10_000)?.length).toBeLessThan(1000)
})
