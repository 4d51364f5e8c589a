// The looks at attachments one by one, which the device plugin takes: those with filters alone, a record that can't be read and one
// whose interface is gone are a line each, and the kernel is closed also when somebody stops in between.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eachAttachment, eachWithFilters, readShowing } from '../../src/ctl/show.ts'
import type { Machine } from '../../src/kernel/api/machine.ts'

const fixtures = join(import.meta.dirname, '../fixtures/records/4388eb2')
let state = ''
let open = 0
/** The kernel of the tests: it counts for the filters of every link but one that is gone. */
const machine = {
  bootId: () => 'boot',
  sha256: (text: string) => text,
  openNetns: () => {
    throw new RangeError('ENOENT')
  },
  openKernel: () => {
    open++
    return {
      filterCounters: (rules: readonly { readonly rule: { readonly link: string } }[]) =>
        rules.map(({ rule }) => {
          if (rule.link === 'gone') throw new RangeError('no interface "gone"')
          return {
            inHw: true,
            hardware: { packets: 1n, bytes: 2n },
            software: { packets: 0n, bytes: 0n },
          }
        }),
      close: () => {
        open--
      },
    }
  },
} as unknown as Machine

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'show-'))
  open = 0
})
afterEach(() => rmSync(state, { recursive: true }))

interface Raw {
  readonly owner: Readonly<Record<string, unknown>>
  readonly journal: { readonly rules?: readonly object[] }
}

/** Writes a record of a former version, of the same container or another one. */
function put(sample: string, containerID: string, change: (text: string) => string = (text) => text): void {
  const text = readFileSync(join(fixtures, `${sample}.json`), 'utf8')
  const raw = JSON.parse(change(text)) as Raw
  const folder = join(state, 'offload')
  mkdirSync(folder, { recursive: true })
  const record = { ...raw, owner: { ...raw.owner, containerID, ifname: 'eth0' } }
  writeFileSync(join(folder, `${String(raw.owner.network)} ${containerID}@eth0.json`), JSON.stringify(record))
}

test('filters by attachment; attachments without filters are passed over', () => {
  put('offload-mlx5', 'filters')
  put('offload-ports', 'none')
  const errors: string[] = []
  const found = [...eachWithFilters(machine, state, errors)]
  expect(found.map(({ containerID, ifname, rules }) => [containerID, ifname, rules.length])).toEqual([
    ['filters', 'eth0', 2],
  ])
  expect(found[0]?.rules[0]?.counters?.hardware).toEqual({ packets: 1n, bytes: 2n })
  expect([errors, open]).toEqual([[], 0])
})

test('a record that can not be read, and one whose interface is gone, are a line each', () => {
  put('offload-mlx5', 'good')
  put('offload-mlx5', 'lost', (text) =>
    text.replaceAll(/"(?:link|dev)": "[^"]*"/g, (pair) => pair.replace(/: ".*"/, ': "gone"')),
  )
  writeFileSync(join(state, 'offload', 'net broken@eth0.json'), '{')
  const errors: string[] = []
  expect([...eachWithFilters(machine, state, errors)].map(({ containerID }) => containerID)).toEqual(['good'])
  expect(errors).toHaveLength(2)
  expect(errors.find((line) => line.includes('lost'))).toContain('no interface "gone"')
})

test('reports are read for those alone who are shown them', () => {
  put('offload-ports', 'reported')
  mkdirSync(join(state, 'offload', 'report'))
  const [name = ''] = readdirSync(join(state, 'offload')).filter((file) => file.endsWith('.json'))
  writeFileSync(join(state, 'offload', 'report', name), '{"schema":1}')
  const reportOf = (withReports?: boolean) => {
    const selection = { stateDir: state, container: undefined, ifname: undefined }
    const shown = readShowing(counting, withReports === undefined ? selection : { ...selection, withReports })
    return shown.attachments.map(({ report }) => report)
  }
  const counting = {
    ...machine,
    openKernel: () => ({ ...machine.openKernel(), everyOpenedPort: () => [], filterCounters: () => [] }),
  } as unknown as Machine
  expect([reportOf(), reportOf(true), reportOf(false)]).toEqual([
    [{ schema: 1 }],
    [{ schema: 1 }],
    [undefined],
  ])
  expect(open).toBe(0)
})

test('a look that ends early closes the kernel', () => {
  for (const containerID of ['one', 'two']) put('offload-mlx5', containerID)
  for (const { containerID } of eachWithFilters(machine, state, [])) {
    expect([containerID, open]).toEqual(['one', 1])
    break
  }
  expect(open).toBe(0)
})

test('attachments of vf-attach, dead ones too', () => {
  mkdirSync(join(state, 'attach'))
  const sample = readdirSync(fixtures).find((file) => file === 'attach-mlx5.json') ?? ''
  const { owner, journal } = JSON.parse(readFileSync(join(fixtures, sample), 'utf8')) as {
    readonly owner: { readonly containerID: string; readonly ifname: string }
    readonly journal: { readonly device: { readonly id: string } }
  }
  cpSync(
    join(fixtures, sample),
    join(state, 'attach', `${journal.device.id} ${owner.containerID}@${owner.ifname}.json`),
  )
  const errors: string[] = []
  const found = [...eachAttachment(machine, state, errors)]
  expect(found.map(({ device, alive }) => [device?.id, alive])).toEqual([[journal.device.id, false]])
  expect([errors, open]).toEqual([[], 0])
})
