// The table that holds all reservations is told by the note, by the kernel, and after a flush in between.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, describe as group, test } from 'vitest'
import type { Kernel, PortTable, Reservation } from '../../../../src/kernel/api/kernel.ts'
import {
  keepingTable,
  lacksReservations,
  releaseWhole,
  reserveWhole,
  settleTable,
  tableNote,
  wholeTable,
} from '../../../../src/offload/portmap/host/whole-table.ts'
import { Node } from '../../node.ts'

let folder: string
let node: Node
let asked: string[]
let table: PortTable | undefined
/** Called when the kernel is asked to reserve. */
let meanwhile: () => void

const cookie = '76660101'.padEnd(32, 'a')
const key = { address: '192.0.2.1', proto: 'tcp', port: 80, toAddress: '10.0.0.2', toPort: 80 } as const
const own: Reservation = { keys: [key], masquerade: [], owner: `${cookie} a/eth0` }
const setting = () => ({ machine: node, store: { folders: [`${folder}/state/offload`] } })
const note = () => readFileSync(`${node.sharedDir}/${tableNote}`, 'utf8')
const kernel = () =>
  ({
    ...node.openKernel(),
    portTable: () => table,
    completeTable: (wanted) => {
      asked.push(`complete ${wanted.length}`)
      return { table, restored: [], refused: [] }
    },
    reservePorts: (_, expected) => {
      asked.push(`reserve ${expected}`)
      meanwhile()
      if ((expected === 'absent') !== (table === undefined)) return { changed: new Error('changed') }
      if (table !== undefined) return {}
      table = { handle: 7n, use: 9 }
      return { made: 7n }
    },
    releasePorts: (_, __, expected) => {
      asked.push(`release ${typeof expected === 'object' ? expected.handle : expected}`)
      table = undefined
      return { keys: [key], tableGone: true }
    },
  }) as Kernel

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'whole-'))
  node = new Node(join(folder, 'shared'))
  asked = []
  table = undefined
  meanwhile = () => undefined
})
afterEach(() => rmSync(folder, { recursive: true }))

group('a reservation', () => {
  test('makes the table, which the note knows from then on; the second one asks nobody', () => {
    reserveWhole(setting(), kernel(), own)
    expect(note()).toBe(`boot-1\n7\n["${folder}/state"]\n`)
    reserveWhole(setting(), kernel(), own)
    expect(asked).toEqual(['complete 0', 'reserve absent', 'reserve present'])
  })

  test('begins anew when the table goes meanwhile, or comes', () => {
    reserveWhole(setting(), kernel(), own)
    const turns = [undefined, { handle: 8n, use: 9 }]
    meanwhile = () => {
      if (turns.length > 0) table = turns.shift()
    }
    asked = []
    reserveWhole(setting(), kernel(), own)
    expect(asked).toEqual([
      ...['reserve present', 'complete 0', 'reserve absent'],
      ...['complete 0', 'reserve present'],
    ])
  })

  test('gives up with the kernel’s refusal when that never ends', () => {
    meanwhile = () => {
      table = table === undefined ? { handle: 9n, use: 9 } : undefined
    }
    expect(() => reserveWhole(setting(), kernel(), own)).toThrow('changed')
  })
})

test.each([
  ['another table', () => ({ handle: 8n, use: 9 }), undefined],
  ['a table from before a boot', () => ({ handle: 7n, use: 9 }), 'boot-2'],
])('%s is completed, and known afterwards', (_, now, boot) => {
  reserveWhole(setting(), kernel(), own)
  if (boot !== undefined) node.boot = boot
  table = now()
  asked = []
  expect(lacksReservations(setting(), kernel())).toBe(true)
  wholeTable(setting(), kernel())
  wholeTable(setting(), kernel())
  expect([asked, lacksReservations(setting(), kernel())]).toEqual([['complete 0'], false])
})

test('the note names each state folder in use; what is none of ours in its place is as none', () => {
  reserveWhole(setting(), kernel(), own)
  const elsewhere = { machine: node, store: { folders: [`${folder}/else/portmap`] } }
  mkdirSync(`${folder}/state/offload`, { recursive: true })
  writeFileSync(`${folder}/state/offload/lab-net a@eth0.json`, '')
  expect(lacksReservations(elsewhere, kernel())).toBe(true)
  asked = []
  wholeTable(elsewhere, kernel())
  // Its records had no part in the table.
  expect([asked, lacksReservations(elsewhere, kernel())]).toEqual([['complete 0'], false])
  expect(note()).toContain(`["${folder}/else","${folder}/state"]`)
  // A caller without records asks for none.
  wholeTable({ machine: node, store: { folders: [] } }, kernel())
  expect(asked).toEqual(['complete 0'])
  asked = []
  for (const text of ['boot-1\nseven\n[]\n', 'boot-1', '']) {
    writeFileSync(`${node.sharedDir}/${tableNote}`, text)
    wholeTable(setting(), kernel())
    expect(note()).toBe(`boot-1\n7\n["${folder}/state"]\n`)
  }
  expect(asked).toEqual(['complete 0', 'complete 0', 'complete 0'])
})

group('a release', () => {
  test('of the last reservation takes the note along', () => {
    reserveWhole(setting(), kernel(), own)
    expect(releaseWhole(setting(), kernel(), cookie, own)).toEqual([key])
    expect(asked.at(-1)).toBe('release 7')
    expect(note).toThrow('ENOENT')
  })

  test('of what a flush has taken frees its ports', () => {
    expect(releaseWhole(setting(), kernel(), cookie, own)).toEqual([key])
    expect(releaseWhole(setting(), kernel(), cookie)).toEqual([])
    // Without table, note and record the records of others are not asked for.
    expect(asked).toEqual(['complete 0'])
  })

  test('goes on where others can’t be given back what they had, and leaves the table', () => {
    table = { handle: 8n, use: 9 }
    const broken = (): never => {
      throw new Error('no room')
    }
    releaseWhole(setting(), { ...kernel(), completeTable: broken }, cookie, own)
    expect(asked).toEqual(['release incomplete'])
  })
})

test('an ADD’s own reservation is made again if the table is another one in the end', () => {
  const runner = keepingTable(setting(), kernel(), kernel())
  const op = { do: 'ports.reserve', ...own } as const
  runner.run(op)
  asked = []
  settleTable(setting(), kernel(), [op])
  expect(asked).toEqual([])
  table = undefined
  settleTable(setting(), kernel(), [op])
  expect(asked).toEqual(['complete 0', 'complete 0', 'reserve absent'])
  runner.run({ ...op, do: 'ports.release' })
  expect(asked.at(-1)).toBe('release 7')
})

group('after a flush', () => {
  const owner = {
    containerID: 'a',
    ifname: 'eth0',
    network: 'lab-net',
    netns: '/run/netns/gone',
    netnsId: '4:1',
    bootId: 'boot-1',
  }
  const record = (journal: object) => {
    mkdirSync(`${folder}/state/offload`, { recursive: true })
    const ops = [{ do: 'ports.reserve', ...own }]
    const whole = { keys: [], rules: [], notes: [], ops, ...journal }
    const text = JSON.stringify({ schema: 1, plugin: 'vf-offload', phase: 'attached', owner, journal: whole })
    writeFileSync(`${folder}/state/offload/lab-net a@eth0.json`, text)
  }
  const back = (forgotten: string[] = []) =>
    ({
      ...kernel(),
      completeTable: (wanted: readonly Reservation[]) => {
        asked.push(`complete ${wanted.length}`)
        return { table: { handle: 7n, use: 9 }, restored: wanted.map((one) => one.owner), refused: [] }
      },
      forgetConnections: (keys: readonly { port: number }[]) => {
        forgotten.push(...keys.map(({ port }) => String(port)))
      },
    }) as Kernel

  test('a dead attachment keeps its ports as long as its filters stand, and one without filters has none', () => {
    record({})
    wholeTable(setting(), back())
    record({ uplink: { name: 'pf0', ifindex: 2 } })
    rmSync(`${node.sharedDir}/${tableNote}`)
    wholeTable(setting(), back())
    expect(asked).toEqual(['complete 0', 'complete 1'])
  })

  test('who has sent in the gap is forgotten, for what comes back and for the ADD’s own', () => {
    record({ uplink: { name: 'pf0', ifindex: 2 } })
    const forgotten: string[] = []
    wholeTable(setting(), back(forgotten))
    expect(forgotten).toEqual(['80'])
    table = { handle: 7n, use: 9 }
    reserveWhole(setting(), kernel(), own)
    table = undefined
    const settling = { ...kernel(), forgetConnections: back(forgotten).forgetConnections }
    settleTable(setting(), settling, [{ do: 'ports.reserve', ...own }])
    expect(forgotten).toEqual(['80', '80'])
  })
})
