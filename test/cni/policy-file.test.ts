// The operator's policy file is read, and refused with path and reason where it cannot be used.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../src/cni/policy.ts'
import { policyKeys, readPolicy } from '../../src/cni/policy-file.ts'
import { refusalOf } from '../support/request.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'policy-file-'))
  file = join(folder, 'policy.json')
})
afterEach(() => rmSync(folder, { recursive: true }))

const read = (content: unknown) => {
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return readPolicy(file)
}

test('keys that are absent count as without a file', () => {
  expect(read({})).toEqual({ ...defaultPolicy, file })
  expect(Object.keys(policyKeys).sort()).toEqual(
    Object.keys(defaultPolicy)
      .filter((key) => key !== 'file')
      .sort(),
  )
})

test('all keys', () => {
  const policy = {
    ...{ logFiles: [], stateDirs: ['/', '/data/cni'], allowNodeDevice: true, allowServicePorts: false },
  }
  expect(read({ ...policy, allowedHostPorts: [80, '8000-8080'], nodePortRange: '20000-21000' })).toEqual({
    ...policy,
    file,
    nodePortRange: [{ first: 20_000, last: 21_000 }],
    allowedHostPorts: [
      { first: 80, last: 80 },
      { first: 8000, last: 8080 },
    ],
  })
  expect(read({ allowedHostPorts: [] }).allowedHostPorts).toEqual([])
  expect(read({ nodePortRange: [] }).nodePortRange).toEqual([])
})

describe('is refused with code 7, the path and the reason', () => {
  test.each([
    [{ logFiles: '/var/log' }, 'logFiles "/var/log": must be an array of absolute paths without ".."'],
    [{ logFiles: ['log'] }, 'logFiles ["log"]: must be an array of absolute paths without ".."'],
    [{ stateDirs: ['/run/../etc'] }, 'stateDirs ["/run/../etc"]: must be an array of absolute paths'],
    [{ stateDirs: ['/run', 7] }, 'stateDirs ["/run",7]: must be an array of absolute paths'],
    [{ stateDirs: null }, 'stateDirs null: must be an array of absolute paths'],
    [{ allowNodeDevice: 'yes' }, 'allowNodeDevice "yes": must be true or false'],
    [{ allowedHostPorts: [0] }, 'allowedHostPorts [0]: must be ports and ranges such as'],
    [{ allowedHostPorts: '80' }, 'allowedHostPorts "80": must be ports and ranges such as'],
    [{ LogFiles: [] }, 'unknown key "LogFiles"; must be one of logFiles, stateDirs,'],
    [{ allowServicePorts: 1 }, 'allowServicePorts 1: must be true or false'],
    [{ nodePortRange: '80-' }, 'nodePortRange "80-": must be ports and ranges such as'],
    [{ constructor: 1 }, 'unknown key "constructor"'],
    ['[]', 'must be a JSON object'],
    ['{"logFiles":', 'line 1, column 13: found the end, expected a value'],
    ['', 'line 1, column 1: found the end'],
  ])('%j', (content, words) => {
    const { code, message } = refusalOf(() => read(content))
    expect(message).toContain(`Cannot use ${file}: ${words}`)
    expect(code).toBe(7)
  })

  test('a file that somebody else may write, and one that is not there', () => {
    expect(refusalOf(() => readPolicy(file)).message).toContain(`Cannot use ${file}: ENOENT`)
    writeFileSync(file, '{}', { mode: 0o600 })
    rmSync(file)
    writeFileSync(file, '{}')
    const { code, message } = refusalOf(() => readPolicy('/dev/null'))
    expect(message).toBe('Cannot use /dev/null: it is a device; must be a regular file')
    expect(code).toBe(7)
  })
})
