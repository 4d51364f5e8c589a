// vf-attach respects the in-use records and locks of sriov-cni, and makes its own claims in the same form.
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  claim,
  forget,
  inUse,
  isTakenOver,
  release,
  withSriovLock,
} from '../../../src/attach/foreign/sriov.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { OpenNetns } from '../../../src/kernel/api/machine.ts'

const pci = '0000:3b:02.1'
const alive = '/proc/self/ns/net'

/** The verdict about the namespace of the test's process. */
let isHost = false

/** Opens namespaces as the real machine does, which needs Bun: whatever is no namespace file is refused. */
const machine = {
  openNetns(path: string): OpenNetns {
    const fd = openSync(path, 'r')
    const { dev, ino } = fstatSync(fd)
    if (dev === statSync(alive).dev)
      return { fd, id: `${dev}:${ino}`, cookie: '7', isHost, path, close: () => closeSync(fd) }
    closeSync(fd)
    throw new TypeError(`"${path}" is not a network namespace`)
  },
}

let dir: string
let record: string

beforeEach(() => {
  isHost = false
  dir = join(mkdtempSync(join(tmpdir(), 'sriov-')), 'cni/sriov')
  record = join(dir, 'pci', pci)
})
afterEach(() => rmSync(join(dir, '../..'), { recursive: true }))

const mode = (path: string) => statSync(path).mode & 0o777

function write(path: string, content: string): void {
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, content)
}

/** True if the VF counts as in use, with the words about it. */
function look(): { used: ReturnType<typeof inUse>; lines: string[] } {
  const lines: string[] = []
  return { used: inUse(machine, pci, dir, (line) => lines.push(line)), lines }
}

describe('the in-use record', () => {
  test('of nobody: nothing is said and nothing made', () => {
    expect(look()).toEqual({ used: undefined, lines: [] })
    expect(() => statSync(dir)).toThrow('ENOENT')
  })

  test('with a namespace that is there', () => {
    write(record, alive)
    const { dev, ino } = statSync(alive)
    expect(look()).toEqual({
      used: { netnsPath: alive, netns: { id: `${dev}:${ino}`, cookie: '7' } },
      lines: [],
    })
  })

  test.each(['/run/netns/gone', '/proc/self/status', '/proc/self/ns'])('with %s is stale', (path) => {
    write(record, path)
    expect(look()).toEqual({ used: undefined, lines: [] })
    expect(readFileSync(record, 'utf8')).toBe(path)
  })

  test("whose path leads to the host's own namespace is nobody's", () => {
    isHost = true
    write(record, alive)
    expect(look()).toEqual({ used: undefined, lines: [] })
  })

  test('of another VF is none of ours', () => {
    write(join(dir, 'pci', '0000:3b:02.2'), alive)
    expect(look().used).toBeUndefined()
  })

  test('that is empty, or no file, is named and counts as free', () => {
    write(record, '')
    expect(look()).toEqual({ used: undefined, lines: [expect.stringContaining(`"${record}" is empty`)] })
    rmSync(record)
    mkdirSync(record)
    expect(look()).toEqual({ used: undefined, lines: [expect.stringContaining(`"${record}", "${pci}"`)] })
  })
})

describe('our claim', () => {
  test('is the path and nothing else, for root only, in folders for root only', () => {
    claim(pci, alive, dir)
    expect(readFileSync(record, 'utf8')).toBe(alive)
    expect(readdirSync(join(dir, 'pci'))).toEqual([pci])
    expect([mode(record), mode(join(dir, 'pci')), mode(dir)]).toEqual([0o600, 0o700, 0o700])
    expect(look().used?.netnsPath).toBe(alive)
  })

  test('leaves the folders of sriov-cni as they are, and replaces a stale record', () => {
    mkdirSync(join(dir, 'pci'), { recursive: true, mode: 0o600 })
    write(record, '/run/netns/a-path-that-is-longer-than-the-new-one')
    claim(pci, alive, dir)
    expect(readFileSync(record, 'utf8')).toBe(alive)
    expect(mode(join(dir, 'pci'))).toBe(0o600)
  })

  test('is taken back; a second time, and without a folder, there is nothing to do', () => {
    claim(pci, alive, dir)
    release(pci, alive, dir)
    release(pci, alive, dir)
    release(pci, alive, join(dir, 'none'))
    expect(readdirSync(join(dir, 'pci'))).toEqual([])
  })

  test('of somebody else stays', () => {
    claim(pci, alive, dir)
    release(pci, '/run/netns/other', dir)
    expect(look().used?.netnsPath).toBe(alive)
  })
})

test("the lock is sriov-cni's: one file per VF", () => {
  const asked: unknown[] = []
  const withLock = <T>(path: string, milliseconds: number, action: () => T): T => {
    asked.push([path, milliseconds])
    return action()
  }
  expect(withSriovLock({ withLock }, pci, 10_000, () => 'done', dir)).toBe('done')
  expect(asked).toEqual([[`${dir}/pci/vf_lock/${pci}.lock`, 10_000]])
})

test('of an attachment of sriov-cni is taken away whoever wrote it', () => {
  claim(pci, '/run/netns/other', dir)
  forget(pci, dir)
  forget(pci, dir)
  expect(readdirSync(join(dir, 'pci'))).toEqual([])
})

describe('a VF of one of our records is taken over by sriov-cni', () => {
  const { dev, ino } = statSync(alive)
  const owner = {
    containerID: 'c',
    ifname: 'net1',
    network: 'n',
    netns: alive,
    netnsId: `${dev}:${ino}`,
    netnsCookie: '7',
    bootId: 'boot',
  }
  /** The VF lies in the namespace at `place`, whichever that is. */
  const takenOver = (changed: Partial<typeof owner>, parents: readonly string[] = []) => {
    const links = () => parents.map((parent) => ({ parent }))
    const kernel = { links, close: () => undefined } as unknown as Kernel
    const full = { ...machine, bootId: () => 'boot', openKernel: () => kernel }
    return isTakenOver(full, pci, [pci], { ...owner, ...changed }, dir)
  }

  test('not while the record is ours, stale or absent', () => {
    expect(takenOver({})).toBe(false)
    write(record, '/run/netns/gone')
    expect(takenOver({})).toBe(false)
    write(record, alive)
    expect(takenOver({})).toBe(false)
  })

  test('when it names another living namespace', () => {
    write(record, alive)
    expect(takenOver({ netns: '/run/netns/ours', netnsId: '4:1' })).toBe(true)
    // The kernel gives the number of a namespace that is gone to the next one.
    expect(takenOver({ netns: '/run/netns/ours' })).toBe(true)
  })

  test('with our path in another namespace, or before the last boot: if the VF is there', () => {
    write(record, alive)
    for (const changed of [{ netnsId: '4:1' }, { netnsCookie: '6' }, { bootId: 'before' }]) {
      expect(takenOver(changed)).toBe(false)
      expect(takenOver(changed, ['0000:3b:02.2'])).toBe(false)
      expect(takenOver(changed, ['0000:3b:02.2', pci])).toBe(true)
    }
  })
})
