// Records are stored whole or not at all, under one lock for each device.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { failure } from '../../src/cni/failure.ts'
import { at, object } from '../../src/records/form.ts'
import type { PluginRecord } from '../../src/records/record.ts'
import { lockPath, noteAt, type RecordStore, recordStore } from '../../src/records/store.ts'
import { anyText } from '../../src/records/values.ts'

type Journal = { note: string }
let stateDir: string
let store: RecordStore<Journal>

beforeEach(() => {
  stateDir = join(mkdtempSync(join(tmpdir(), 'records-')), 'not/yet')
  store = recordStore(stateDir, 'attach', object({ note: at('note', anyText) }))
})
afterEach(() => rmSync(join(stateDir, '../..'), { recursive: true }))

function recordOf(ifname: string, containerID = 'container'): PluginRecord<Journal> {
  const owner = { containerID, ifname, network: 'net', netns: '/n', netnsId: '4:1', bootId: 'b' }
  return { schema: 1, plugin: 'vf-attach', phase: 'applying', owner, journal: { note: ifname } }
}

describe('records', () => {
  test('nothing is created before the first write', () => {
    expect(store.list()).toEqual([])
    expect(noteAt(join(stateDir, 'clsact-5')).get()).toBeUndefined()
    expect(() => statSync(stateDir)).toThrow('ENOENT')
  })

  test.each(['net1', 'a@b.json', '"\\%{};', 'é€'])('round trip for interface %j', (ifname) => {
    const name = store.write('0000:3b:02.1', recordOf(ifname))
    expect(name).toMatchObject({ subject: '0000:3b:02.1', containerID: 'container', ifname })
    expect(store.list()).toEqual([name])
    expect(store.read(name)).toEqual(recordOf(ifname))
  })

  test('only root may look into them', () => {
    const { path } = store.write('0000:3b:02.1', recordOf('net1'))
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(stateDir).mode & 0o777).toBe(0o700)
  })

  test('a second write of the same attachment replaces the first', () => {
    store.write('0000:3b:02.1', recordOf('net1'))
    const name = store.write('0000:3b:02.1', { ...recordOf('net1'), phase: 'attached' })
    expect(store.list()).toHaveLength(1)
    expect(store.read(name)?.phase).toBe('attached')
  })

  test('the list passes over strangers', () => {
    const name = store.write('0000:3b:02.1', recordOf('net1'))
    for (const stranger of ['README', '.x c@net1.json.1.tmp', 'clsact-5', 'x c@net1.json.bak'])
      writeFileSync(join(stateDir, 'attach', stranger), 'x')
    expect(store.list()).toEqual([name])
  })

  test('what a killed process left half written is cleared away, but not what another writes just now', () => {
    const name = store.write('0000:3b:02.1', recordOf('net1'))
    const inFolder = (file: string) => join(stateDir, 'attach', file)
    for (const file of ['.old c@net1.json.17.tmp', '.new c@net1.json.18.tmp', '.kept', 'x.17.tmp'])
      writeFileSync(inFolder(file), '{')
    const hourAgo = Date.now() / 1000 - 3600
    for (const file of ['.old c@net1.json.17.tmp', '.kept', 'x.17.tmp'])
      utimesSync(inFolder(file), hourAgo, hourAgo)
    utimesSync(name.path, hourAgo, hourAgo)
    expect(store.list()).toEqual([name])
    expect(readdirSync(join(stateDir, 'attach')).sort()).toEqual(
      ['.kept', '.new c@net1.json.18.tmp', 'x.17.tmp', basename(name.path)].sort(),
    )
  })

  test('what is gone reads as undefined and can be removed again', () => {
    const name = store.write('0000:3b:02.1', recordOf('net1'))
    store.remove(name)
    store.remove(name)
    expect(store.read(name)).toBeUndefined()
    expect(store.list()).toEqual([])
  })

  test('plugins do not see each other’s records', () => {
    store.write('0000:3b:02.1', recordOf('net1'))
    expect(recordStore(stateDir, 'offload', object({})).list()).toEqual([])
  })

  test.each(['', '\0\0\0'])(
    'what a crash of the machine left of a file, %j, is no record and goes',
    (left) => {
      const name = store.write('0000:3b:02.1', recordOf('net1'), 'volatile')
      writeFileSync(name.path, left)
      expect(store.read(name)).toBeUndefined()
      expect(store.list()).toEqual([])
    },
  )

  test('a record that can’t be used is code 5 and is still listed', () => {
    const name = store.write('0000:3b:02.1', recordOf('net1'))
    writeFileSync(name.path, '{')
    expect(store.list()).toEqual([name])
    expect(() => store.read(name)).toThrow(`Cannot read record "${name.path}": it is not JSON`)
    const { code } = failure(thrownBy(() => store.read(name)))
    expect(code).toBe(5)
  })

  test('names that are too long for a file are code 4 or 7, by what is to blame, and nothing stays behind', () => {
    store.write('0000:3b:02.1', recordOf('net1'))
    const refused = (subject: string, containerID: string) =>
      failure(thrownBy(() => store.write(subject, recordOf('net1', containerID))))
    expect(refused('0000:3b:02.1', 'c'.repeat(226))).toMatchObject({
      code: 4,
      message: `Cannot use CNI_CONTAINERID "${'c'.repeat(200)}" ... of 226 characters: must have at most 225 characters beside "0000:3b:02.1" in the name of a record`,
    })
    expect(refused('n'.repeat(240), 'c')).toMatchObject({
      code: 7,
      message: expect.stringMatching(/^Cannot use name "n{200}" ... of 240 characters: must have at most/),
    })
    expect(readdirSync(join(stateDir, 'attach'))).toHaveLength(1)
  })

  test('the longest names that a record can have are written, replaced, put aside and removed', () => {
    const record = recordOf('net1', 'c'.repeat(225))
    const name = store.write('0000:3b:02.1', record)
    store.write('0000:3b:02.1', { ...record, phase: 'attached' })
    expect(store.list()).toEqual([name])
    expect(store.read(name)?.phase).toBe('attached')
    expect(basename(store.putAside(name))).toHaveLength(255)
    store.remove(name)
    expect(store.list()).toEqual([])
  })

  test('names that could never have had a record are nobody’s: there is nothing to read or remove', () => {
    const name = store.nameOf('net', 'c'.repeat(10_000), 'net1')
    expect(store.read(name)).toBeUndefined()
    expect(store.readReport(name)).toBeUndefined()
    store.remove(name)
  })

  test.each(['mkfifo', 'mkdir', 'ln -s /dev/zero'])(
    'what %s makes in its place can’t be read, and says so at once',
    (command) => {
      const name = store.write('0000:3b:02.1', recordOf('net1'))
      store.remove(name)
      execFileSync('sh', ['-c', `${command} "$0"`, name.path])
      const error = thrownBy(() => store.read(name))
      expect(error).toMatchObject({ name: 'RecordError', message: expect.stringContaining(name.path) })
      store.putAside(name)
      expect(store.list()).toEqual([])
    },
  )

  test('a report that can’t be removed keeps nobody from removing the record', () => {
    const name = store.write('0000:3b:02.1', recordOf('net1'))
    mkdirSync(join(stateDir, 'attach/report', basename(name.path)), { recursive: true })
    store.remove(name)
    expect(store.list()).toEqual([])
    expect(store.readReport(name)).toBeUndefined()
  })
})

test('notes are set, read and cleared', () => {
  const note = noteAt(join(stateDir, 'clsact-5'))
  note.set('boot-1')
  note.set('boot-2')
  expect(noteAt(join(stateDir, 'clsact-5')).get()).toBe('boot-2')
  expect(noteAt(join(stateDir, 'clsact-6')).get()).toBeUndefined()
  expect(store.list()).toEqual([])
  note.clear()
  expect(note.get()).toBeUndefined()
})

test('locks lie beside the records, one for each subject', () => {
  expect(lockPath('/state', '0000:3b:02.1')).toBe('/state/lock/0000:3b:02.1')
})

function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new TypeError('nothing was thrown')
}
