// Records come back as they were written, and a broken one is told from a newer one.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isIdentifier, readEnvironment } from '../../src/cni/environment.ts'
import { at, list, maybe, object } from '../../src/records/form.ts'
import {
  type PluginRecord,
  parseRecord,
  parseRecordFileName,
  recordFileName,
  recordText,
  understoodRecord,
} from '../../src/records/record.ts'
import { anyInt, anyText } from '../../src/records/values.ts'

const journal = object({ note: at('note', anyText), count: maybe('count', anyInt) })
const record: PluginRecord<{ note: string }> = {
  schema: 1,
  plugin: 'vf-attach',
  phase: 'applying',
  owner: {
    containerID: 'container',
    ifname: 'net1',
    network: 'net',
    netns: '/run/netns/x',
    netnsId: '4:4026531840',
    bootId: 'b',
  },
  journal: { note: 'x' },
}
const path = '/state/attach/0000:00:02.0 container@net1.json'
const parse = (text: string) => parseRecord(path, text, journal)
const broken = (change: object) => JSON.stringify({ ...record, ...change })

describe('parseRecord', () => {
  test('reads what was written', () => {
    expect(parse(JSON.stringify(record))).toEqual(record)
  })

  test.each([
    ['', 'it is not JSON'],
    ['{"schema":1', 'it is not JSON'],
    [broken({ schema: 2 }), 'schema 2 is newer than 1, the newest known here'],
    [broken({ schema: 0 }), 'schema must be 1'],
    [broken({ schema: '1' }), 'schema must be 1'],
    [broken({ phase: 'done' }), 'phase must be applying or attached'],
    [broken({ owner: { ...record.owner, ifname: 5 } }), 'owner.ifname must be of type string'],
    [broken({ journal: { note: 7 } }), 'journal.note must be of type string'],
    [broken({ journal: { note: 'x', count: 1.5 } }), 'journal.count must be of type int'],
    [broken({ journal: undefined }), 'journal must be of type object'],
    ['null', 'the whole must be of type object'],
    ['[]', 'the whole must be of type object'],
    ['"record"', 'the whole must be of type object'],
  ])('refuses %s, naming the file', (text, reason) => {
    const wanted = `Cannot read record "${path}": ${reason}`
    expect(() => parse(text)).toThrow(
      expect.objectContaining({
        name: 'RecordError',
        code: text.includes('"schema":2') ? 'newer' : 'broken',
        message: expect.stringContaining(wanted),
      }),
    )
  })

  test('a newer record is refused by its number whatever else it holds', () => {
    expect(() => parse('{"schema":3,"journal":"of another shape"}')).toThrow('schema 3 is newer than 1')
  })
})

describe('what this version does not know', () => {
  const later = {
    ...record,
    checksum: 'abc',
    owner: { ...record.owner, node: { name: 'n1' } },
    journal: { note: 'x', color: ['red'] },
  }

  test('is nowhere to be seen in a record, and is written again as it was', () => {
    const read = parse(JSON.stringify(later))
    expect(Object.keys(read.journal)).toEqual(['note'])
    expect(JSON.parse(JSON.stringify(read))).toEqual(record)
    const changed = { ...read, phase: 'attached', journal: { ...read.journal, count: 5 } } as const
    expect(JSON.parse(recordText(changed, journal))).toEqual({
      ...later,
      phase: 'attached',
      journal: { ...later.journal, count: 5 },
    })
  })
})

describe('understoodRecord', () => {
  const form = object({
    note: at('note', anyText),
    count: maybe('count', anyInt),
    counts: at('counts', list(anyInt)),
    inner: maybe('inner', object({ count: maybe('count', anyInt), note: at('note', anyText) })),
  })
  const understood = (value: object) =>
    understoodRecord(path, JSON.stringify({ ...record, schema: 2, ...value }), form)

  test('has what fits, says what does not, and counts as an ADD that was killed', () => {
    const journal = {
      ...{ note: 'x', count: 'many', counts: [1, 'two', 3], color: 'red' },
      inner: { count: {}, note: 'y', size: 1 },
    }
    const found = understood({ phase: 'settled', journal })
    expect(found?.record).toMatchObject({
      phase: 'applying',
      owner: record.owner,
      journal: { note: 'x', counts: [1, 3], inner: { note: 'y' } },
    })
    expect(found?.record.journal).not.toHaveProperty('count')
    expect(found?.left).toEqual([
      'journal.count',
      'journal.counts.1',
      'journal.inner.count',
      'journal.inner.size',
      'journal.color',
    ])
  })

  test.each([
    ['who owns it', { owner: { pod: 'x' }, journal: { note: 'x', counts: [] } }],
    ['what every journal has', { journal: { note: 'x' } }],
    ['a journal', { journal: 'of another form' }],
  ])('is nothing without %s', (_, value) => {
    expect(understood(value)).toBeUndefined()
  })

  test('is for newer formats alone', () => {
    expect(understood({ schema: 1, journal: { note: 'x', counts: [] } })).toBeUndefined()
  })
})

/** Any interface name that a call can come with (dev_valid_name of net/core/dev.c). */
const ifname = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom(...'@ .-{}"\\\'%;json'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    minLength: 1,
    maxLength: 15,
  })
  .filter((name) => {
    try {
      const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c', CNI_NETNS: '/n', CNI_IFNAME: name }
      // A NUL or a lone surrogate can't stand in an environment or in a file name.
      return (
        readEnvironment(env).ifname === name && !name.includes('\0') && Buffer.from(name).toString() === name
      )
    } catch {
      return false
    }
  })
const identifier = fc
  .string({ unit: fc.constantFrom(...'aZ09_.-'), minLength: 1, maxLength: 64 })
  .filter(isIdentifier)

describe('file names', () => {
  test('every name that a runtime can give comes back in its parts', () => {
    fc.assert(
      fc.property(identifier, identifier, ifname, (subject, containerID, name) => {
        const file = recordFileName(subject, containerID, name)
        expect(file).not.toMatch(/[/\n]/)
        expect(parseRecordFileName(file)).toEqual({ subject, containerID, ifname: name })
      }),
      { numRuns: 2000 },
    )
  })

  test('no two attachments share a name', () => {
    const triple = fc.tuple(identifier, identifier, ifname)
    fc.assert(
      fc.property(triple, triple, (left, right) => {
        fc.pre(left.join('\0') !== right.join('\0'))
        expect(recordFileName(...left)).not.toBe(recordFileName(...right))
      }),
    )
  })

  test.each([
    ['0000:3b:02.1 c-1@net1.json', { subject: '0000:3b:02.1', containerID: 'c-1', ifname: 'net1' }],
    ['net c@a@b.json.json', { subject: 'net', containerID: 'c', ifname: 'a@b.json' }],
  ])('reads %s', (file, parts) => {
    expect(parseRecordFileName(file)).toEqual(parts)
  })

  test.each([
    '.net c@net1.json.4711.tmp',
    '.net c@net1.json',
    'clsact-5',
    'net c@net1.json.bak',
    'net c@.json',
    'net @net1.json',
    'net c.json',
    'c@net1.json',
    'net c d@net1.json',
    'README',
    '',
  ])('is no record: %j', (file) => {
    expect(parseRecordFileName(file)).toBeUndefined()
  })
})
