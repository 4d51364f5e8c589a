// A path of a config is allowed below the operator's folders alone, wherever its links lead.
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { boundedPath, OutOfBounds } from '../../src/lib/bounded-path.ts'

let top: string
let allowed: string
beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'bounded-path-')))
  allowed = join(top, 'allowed')
  for (const folder of [allowed, join(allowed, 'deep'), join(top, 'outside')])
    mkdirSync(folder, { mode: 0o755 })
})
afterEach(() => rmSync(top, { recursive: true }))

const reasonFor = (path: string, folders: readonly string[] = [allowed]): string => {
  try {
    return `allowed as ${boundedPath(path, folders)}`
  } catch (error) {
    if (error instanceof OutOfBounds) return error.message
    throw error
  }
}

describe('is allowed', () => {
  test.each(['', '/deep', '/deep/', '/deep/log', '/new/and/newer', '/./deep//log', '/...', '/..x'])(
    'the folder with "%s" behind it',
    (rest) => {
      const clean = rest.replaceAll(/\/\.?(?=\/)/g, '').replace(/\/$/, '')
      expect(boundedPath(`${allowed}${rest}`, ['/elsewhere', allowed])).toBe(`${allowed}${clean}`)
    },
  )

  test('everything below /', () => {
    expect(boundedPath('/usr/new', ['/'])).toBe('/usr/new')
  })

  test('a link within the folder, and one from outside into it: the path that it leads to', () => {
    symlinkSync('deep', join(allowed, 'link'))
    symlinkSync(allowed, join(top, 'door'))
    expect(boundedPath(`${allowed}/link/log`, [allowed])).toBe(`${allowed}/deep/log`)
    expect(boundedPath(`${top}/door/log`, [allowed])).toBe(`${allowed}/log`)
  })

  test('what is below a folder that is a link itself', () => {
    symlinkSync(join(top, 'outside'), join(top, 'logs'))
    expect(boundedPath(`${top}/logs/x`, [`${top}/logs`])).toBe(`${top}/outside/x`)
  })

  test('a path below a file, or one that is one: who opens it is told by the kernel', () => {
    writeFileSync(join(allowed, 'file'), '')
    expect(boundedPath(`${allowed}/file/x`, [allowed])).toBe(`${allowed}/file/x`)
  })
})

describe('is refused', () => {
  test.each(['log', '', '/var/log/\0x', '/var/log/../../etc/x', '/..'])('%j', (path) => {
    expect(reasonFor(path)).toBe('must be an absolute path without ".."')
  })

  test('what lies elsewhere, a folder whose name begins alike among it', () => {
    for (const path of ['/', top, `${top}/outside/x`, `${allowed}2/x`])
      expect(reasonFor(path)).toBe(`must be below ${allowed}`)
    expect(reasonFor(`${top}/outside`, [allowed, '/elsewhere'])).toBe(
      `must be below ${allowed} or /elsewhere`,
    )
  })

  test('everything, where no folder is allowed', () => {
    expect(reasonFor(allowed, [])).toBe('no folder is allowed')
  })

  test.each(['link', 'link/x', 'link/x/y'])('a link that leads out: %s', (rest) => {
    symlinkSync('../outside', join(allowed, 'link'))
    expect(reasonFor(`${allowed}/${rest}`)).toBe(
      `it leads to "${top}/outside${rest.slice('link'.length)}"; must be below ${allowed}`,
    )
  })

  test('a link to what does not exist, and one that leads to itself', () => {
    symlinkSync('../outside/new', join(allowed, 'dangling'))
    expect(reasonFor(`${allowed}/dangling/x`)).toBe(
      `"${allowed}/dangling" is a symbolic link to what does not exist`,
    )
    symlinkSync('loop', join(allowed, 'loop'))
    expect(reasonFor(`${allowed}/loop/x`)).toContain('ELOOP')
  })

  test('a name that is longer than any can be', () => {
    expect(reasonFor(`${allowed}/${'x'.repeat(300)}`)).toContain('ENAMETOOLONG')
  })

  test.each([0o777, 0o1777, 0o775])('a way through a folder of mode %o', (mode) => {
    chmodSync(join(allowed, 'deep'), mode)
    for (const path of [`${allowed}/deep`, `${allowed}/deep/x/y`])
      expect(reasonFor(path)).toMatch(/^others may write into the folder ".*\/deep" \(mode \d{4}\); must be/)
  })

  test('a way through a folder of another user; the allowed folder itself is the operator’s matter', () => {
    chownSync(join(allowed, 'deep'), 65534, 65534)
    expect(reasonFor(`${allowed}/deep/x`)).toBe(
      `the folder "${allowed}/deep" belongs to user 65534; must belong to root`,
    )
    chmodSync(allowed, 0o775)
    expect(reasonFor(`${allowed}/x`)).toBe(`allowed as ${allowed}/x`)
  })
})
