// An interface is found although somebody renames it between the look at sysfs and the question to the kernel.
import { expect, test } from 'vitest'
import { linkOfDevice } from '../../src/attach/device/facts.ts'
import type { LinkFacts } from '../../src/kernel/api/facts.ts'
import type { Kernel } from '../../src/kernel/api/kernel.ts'
import { findByName } from '../../src/nic/by-name.ts'
import { factsOf } from '../attach/model.ts'

/** A host whose interface `names` are its names one after the other; each question finds the next. */
function renamed(names: readonly string[]) {
  let at = 0
  const looks: string[] = []
  return {
    looks,
    read: () => [names[at] ?? 'at-rest'],
    find: ([name = '']: readonly string[]) => {
      looks.push(name)
      at++
      return name === (names[at] ?? 'at-rest') ? name : undefined
    },
  }
}

test.each([
  ['one whose name is still right, by one question', [], 'at-rest', 1],
  ['one that is renamed once', ['eth0'], 'at-rest', 2],
  ['one that is renamed all the time', ['eth0', 'a', 'eth0', 'a', 'eth0', 'a', 'eth0'], 'at-rest', 8],
])('%s', (_, names, found, looks) => {
  const host = renamed(names)
  expect(findByName(host.read(), host.read, host.find)).toBe(found)
  expect(host.looks).toHaveLength(looks)
})

test('one that has gone is not looked for, and one that is never found is given up', () => {
  const asked: (readonly string[])[] = []
  const nothing = (names: readonly string[]) => {
    asked.push(names)
    return undefined
  }
  expect(findByName(['eth0'], () => [], nothing)).toBeUndefined()
  expect(asked).toEqual([['eth0'], []])
  asked.length = 0
  expect(findByName(['eth0'], () => ['eth0'], nothing)).toBeUndefined()
  expect(asked).toHaveLength(20)
})

test('a device is its interface under a new name, and never another one that has its name now', () => {
  const base = factsOf({ name: 'eth0', altnames: [], mac: '02:00:00:00:00:01', mtu: 1500, up: false })
  const own: LinkFacts = { ...base, name: 'eth1', ifindex: 7, parent: '0000:01:10.0' }
  const other: LinkFacts = { ...base, ifindex: 8, parent: '0000:01:10.2' }
  const links = [own, other]
  const kernel = {
    link: (_: string, by: number | string) => links.find(({ name }) => name === by),
    links: () => links,
  } as Partial<Kernel> as Kernel
  const device = { id: '0000:01:10.0', pci: undefined, parents: ['0000:01:10.0'] }
  for (const name of ['eth0', 'eth1', 'eth2'])
    expect(linkOfDevice(kernel, { ...device, netdevs: [name] })).toBe(own)
  expect(linkOfDevice(kernel, { ...device, netdevs: [] })).toBeUndefined()
})
