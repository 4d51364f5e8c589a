// Names of sockets, the time between attempts, and what counts as a change of a list: all that is pure.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isSameList, listOf, shortened } from '../../../device-plugin/kubelet/answers.ts'
import { backoff, usualTimings } from '../../../device-plugin/kubelet/settings.ts'
import { siblings, socketName } from '../../../device-plugin/kubelet/socket-file.ts'
import { device } from '../../support/kubelet-bed.ts'

const folder = '/var/lib/kubelet/plugins_registry'
const part = fc.stringMatching(/^[a-zA-Z0-9_-]{1,80}$/)
const prefix = fc.stringMatching(/^[a-z0-9.-]{1,40}$/)

describe('the name of a socket', () => {
  test.each([
    ['intel.com/sriov_a', '', 'intel.com_sriov_a.sock'],
    ['intel.com/sriov_a', 'green', 'intel.com_sriov_a~green.sock'],
    ['intel.com/sriov_a', 'a/b c~d', 'intel.com_sriov_a~a-b-c-d.sock'],
  ])('of %s in instance "%s" is %s', (resource, instance, name) => {
    expect(socketName(resource, instance, folder)).toBe(name)
  })

  test('fits into the address of a socket, and is another one for another resource', () => {
    fc.assert(
      fc.property(prefix, part, part, (domain, left, right) => {
        const [one, other] = [left, right].map((name) => socketName(`${domain}/${name}`, '', folder))
        expect(Buffer.byteLength(`${folder}/${one}`)).toBeLessThanOrEqual(107)
        expect(one === other).toBe(left === right)
      }),
    )
  })

  test('tells the sockets of other instances of a resource from those of other resources', () => {
    const names = ['x_a.sock', 'x_a~one.sock', 'x_a~two.sock', 'x_a_b.sock', 'x_ab~one.sock', 'x_a~one.tmp']
    expect(siblings(names, 'x_a~one.sock')).toEqual(['x_a.sock', 'x_a~two.sock'])
    expect(siblings(names, 'x_a.sock')).toEqual(['x_a~one.sock', 'x_a~two.sock'])
    expect(siblings(names, 'x_a_b.sock')).toEqual([])
  })
})

test('a shortened text keeps its beginning and its difference', () => {
  const [one, other] = ['x'.repeat(99), `${'x'.repeat(98)}y`].map((text) => shortened(text, 20))
  expect([one?.length, other?.length, one?.slice(0, 11)]).toEqual([20, 20, 'x'.repeat(11)])
  expect(one).not.toBe(other)
})

test('the time between attempts doubles within its bounds, and is spread', () => {
  const middle = (failures: number) => backoff(failures, usualTimings, () => 0.5)
  expect([0, 1, 2, 3, 6, 7, 1_000].map(middle)).toEqual([1e3, 2e3, 4e3, 8e3, 60e3, 60e3, 60e3])
  fc.assert(
    fc.property(fc.nat(2_000), fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, random) => {
      const wait = backoff(failures, usualTimings, () => random)
      expect(wait).toBeGreaterThanOrEqual(usualTimings.backoffMin)
      expect(wait).toBeLessThanOrEqual(usualTimings.backoffMax)
    }),
  )
  expect(backoff(2, usualTimings, () => 0)).not.toBe(backoff(2, usualTimings, () => 0.99))
})

test('lists are the same exactly when kubelet gets the same message', () => {
  const devices = fc.array(
    fc
      .tuple(
        fc.constantFrom('a', 'b'),
        fc.constantFrom(undefined, 'carrier' as const, 'dirty' as const),
        fc.constantFrom(undefined, 0, 1),
      )
      .map(([id, reason, numa]) => device(id, reason, numa)),
    { maxLength: 3 },
  )
  fc.assert(
    fc.property(devices, devices, (left, right) => {
      expect(isSameList(left, right)).toBe(JSON.stringify(listOf(left)) === JSON.stringify(listOf(right)))
    }),
    { numRuns: 500 },
  )
})
