// Records come back as they were written, and a broken one is told from a newer one.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as z from 'zod/mini'
import { isIdentifier, readEnvironment } from '../../src/cni/environment.ts'
import { type PluginRecord, parseRecord, parseRecordFileName, recordFileName } from '../../src/ops/record.ts'

const journal = z.object({ note: z.string(), count: z.optional(z.int()) })
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
      expect.objectContaining({ name: 'RecordError', message: expect.stringContaining(wanted) }),
    )
  })

  test('a newer record is refused by its number whatever else it holds', () => {
    expect(() => parse('{"schema":3,"journal":"of another shape"}')).toThrow('schema 3 is newer than 1')
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
