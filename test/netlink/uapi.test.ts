// Names and numbers of our tables are those of the kernel's headers.
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { declared, modules, probed, type Uapi } from '../../hack/uapi.ts'

const committed: Uapi = JSON.parse(readFileSync(new URL('../fixtures/uapi.json', import.meta.url), 'utf8'))
const ours = declared()

describe('numbers and layouts are those of the kernel headers', () => {
  test('every constant and attribute number', () => {
    expect(ours.constants).toEqual(committed.constants)
    expect(Object.keys(ours.constants).length).toBeGreaterThan(600)
  })

  test('every struct, its size, and offset and size of each field', () => {
    expect(ours.structs).toEqual(committed.structs)
    expect(Object.keys(ours.structs).length).toBeGreaterThan(40)
  })

  test('constants that no import can see', () => {
    const { constants } = ours
    for (const name of [
      'SOL_NETLINK',
      'NETLINK_GET_STRICT_CHK',
      'CLONE_NEWNET',
      'LOCK_NB',
      'SOCKADDR_LL_SIZE',
    ])
      expect(constants).toHaveProperty(name)
  })

  test('no file with a table, a struct or a number is left out', () => {
    const top = new URL('../../src/netlink/', import.meta.url)
    const files = readdirSync(top, { recursive: true, encoding: 'utf8' }).filter((file) => {
      const source = file.endsWith('.ts') ? readFileSync(new URL(file, top), 'utf8') : ''
      return /^export const (\w+ = (struct|attrs|repeated|ordered|indexed)\(|[A-Z]\w* = )/m.test(source)
    })
    expect(files.length).toBeGreaterThan(15)
    const imports = readFileSync(new URL('../../hack/uapi.ts', import.meta.url), 'utf8')
    expect(files.filter((file) => !imports.includes(`from '../src/netlink/${file}'`))).toEqual([])
    expect(Object.keys(modules).length).toBeGreaterThanOrEqual(files.length)
  })

  test('the file of them is what the headers of this machine say', () => {
    expect(probed(ours)).toEqual(committed)
  })
})
