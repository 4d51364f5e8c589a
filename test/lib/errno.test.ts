// Names and numbers of errnos are those of this system.
import { readdirSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { errnoName, errnoNumber } from '../../src/lib/errno.ts'

const system = Object.entries(constants.errno)

test('every name has the number that this system gives it', () => {
  let known = 0
  for (const [name, number] of system) {
    const ours = errnoNumber(name)
    if (ours === undefined) continue
    known++
    expect([name, ours]).toEqual([name, number])
  }
  expect(known).toBeGreaterThan(40)
})

test('every number that this system knows and we name has one of its names', () => {
  for (const [, number] of system) {
    const name = errnoName(number)
    if (name.startsWith('errno ')) continue
    const names = system.filter(([, other]) => other === number).map(([other]) => other)
    expect(names).toContain(name)
  }
})

test('every name that the program compares with is known', () => {
  const used = ['src', 'device-plugin'].flatMap((folder) => {
    const path = fileURLToPath(new URL(`../../${folder}`, import.meta.url))
    const files = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    )
    return files.flatMap((name) =>
      [...readFileSync(`${path}/${name}`, 'utf8').matchAll(/'(E[A-Z0-9]{2,})'/g)].map(
        ([, found]) => found ?? '',
      ),
    )
  })
  const ofSystem = [...new Set(used)].filter((name) => name in constants.errno)
  expect(ofSystem.length).toBeGreaterThan(30)
  expect(ofSystem.filter((name) => errnoNumber(name) === undefined)).toEqual([])
})

test('names and numbers lead to each other', () => {
  for (let number = 1; number < 134; number++) {
    const name = errnoName(number)
    if (name !== `errno ${number}`) expect(errnoNumber(name)).toBe(number)
  }
})

test.each([
  'EPERM',
  'ENOENT',
  'ESRCH',
  'EBUSY',
  'EEXIST',
  'ENODEV',
  'EINVAL',
  'ENOSPC',
  'EROFS',
  'ENAMETOOLONG',
  'EOPNOTSUPP',
  'EAGAIN',
  'ENOBUFS',
  'EMSGSIZE',
  'ENETUNREACH',
  'EPROTONOSUPPORT',
  'EADDRNOTAVAIL',
])('%s, which the kernel uses towards us, is known', (name) => {
  expect(errnoNumber(name)).toBe(constants.errno[name as keyof typeof constants.errno])
})

test('numbers without a name in user space stay numbers', () => {
  expect(errnoName(524)).toBe('errno 524')
  expect(errnoName(0)).toBe('errno 0')
  expect(errnoNumber('ENOTSUPP')).toBeUndefined()
  expect(errnoNumber('')).toBeUndefined()
  expect(errnoNumber('toString')).toBeUndefined()
})
