// GC finds an attachment in the list of valid ones by container and interface.
import { expect, test } from 'vitest'
import { listedBy } from '../../src/cni/listed.ts'

const one = { containerID: 'c1', ifname: 'net1' }

test('without a list nobody knows', () => {
  expect(listedBy({ validAttachments: undefined })(one)).toBeUndefined()
})

test('an attachment is the one with its container and its interface', () => {
  const isListed = listedBy({ validAttachments: [one, { containerID: 'c2', ifname: 'net2' }] })
  expect(isListed(one)).toBe(true)
  for (const other of [
    { containerID: 'c1', ifname: 'net2' },
    { containerID: 'c2', ifname: 'net1' },
    { containerID: 'c1n', ifname: 'et1' },
  ])
    expect(isListed(other)).toBe(false)
})

test('a list is gone through once, and only when somebody asks', () => {
  let reads = 0
  const counted = {
    ifname: 'net1',
    get containerID() {
      reads++
      return 'c'
    },
  }
  const isListed = listedBy({ validAttachments: [counted, counted] })
  expect(reads).toBe(0)
  for (let i = 0; i < 5; i++) isListed(one)
  expect(reads).toBe(2)
})
