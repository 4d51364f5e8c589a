// Marks of an attachment follow from its names, and tell it from all others.
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  cookiePrefix,
  filterPriority,
  identityOf,
  rateIdentityOf,
  rulePriority,
} from '../../../src/offload/state/identity.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const attachment = { network: 'net', containerID: 'container', ifname: 'net1' }
const identity = identityOf(attachment, sha256)

describe('the cookie', () => {
  test('is magic, version, kind, hash of the network, hash of container and interface', () => {
    const own = sha256('container\0net1')
    expect(identity.cookie).toBe(`76660101${sha256('net').slice(0, 8)}${own.slice(0, 16)}`)
    expect(identity.cookie.startsWith(cookiePrefix)).toBe(true)
  })

  test('does not change from one version of the program to the next', () => {
    expect(identity.cookie).toBe('76660101a08a0fcb84a78e32d6e948c6')
  })

  test('is 16 bytes of lower-case hex, TC_COOKIE_MAX_SIZE', () => {
    expect(identity.cookie).toMatch(/^[0-9a-f]{32}$/)
  })

  test('tells apart what differs in one part, also where the parts run together', () => {
    const near = [
      attachment,
      { ...attachment, network: 'net2' },
      { ...attachment, containerID: 'container2' },
      { ...attachment, ifname: 'net2' },
      { ...attachment, containerID: 'containern', ifname: 'et1' },
      { ...attachment, containerID: 'container/net1', ifname: 'x' },
    ].map((one) => identityOf(one, sha256))
    expect(new Set(near.map(({ cookie }) => cookie)).size).toBe(near.length)
    expect(new Set(near.map(({ podTable }) => podTable)).size).toBe(near.length)
    expect(new Set(near.map(({ routeTable }) => routeTable)).size).toBe(near.length)
  })
})

test('the names that follow from it', () => {
  expect(identity.podTable).toBe(`vf-flower-${identity.cookie.slice(8)}`)
  expect(identity.owner).toBe(`${identity.cookie} container/net1`)
})

/** Any byte that an interface name may hold, and the longest identifiers. */
const any = fc.record({
  network: fc.string({ unit: fc.constantFrom(...'aZ0_.-'), minLength: 1, maxLength: 250 }),
  containerID: fc.string({ unit: fc.constantFrom(...'aZ0_.-'), minLength: 1, maxLength: 253 }),
  ifname: fc
    .string({
      unit: fc.oneof(
        fc.constantFrom(...'"\\\';{}$#@'),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      ),
      minLength: 1,
      maxLength: 15,
    })
    .filter((name) => Buffer.byteLength(name) <= 15 && !/[/:\s\u0085\0]/.test(name)),
})

test('whatever the attachment: within the limits of tc, nft and routing tables', () => {
  fc.assert(
    fc.property(any, (one) => {
      const { cookie, podTable, routeTable, owner } = identityOf(one, sha256)
      expect(cookie).toMatch(/^76660101[0-9a-f]{24}$/)
      // NFT_NAME_MAXLEN is 256; a name that nft reads without quotes.
      expect(podTable).toMatch(/^[a-z][a-z0-9-]{0,254}$/)
      // RTA_TABLE and FRA_TABLE are 32 bits.
      expect(routeTable).toBeGreaterThanOrEqual(0x70000000)
      expect(routeTable).toBeLessThanOrEqual(0x7fffffff)
      expect(Buffer.byteLength(owner)).toBeLessThanOrEqual(127)
      expect(owner).not.toMatch(/["\n]/)
      expect(owner.startsWith(`${cookie} `)).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

test('priorities differ and lie where they can be found again', () => {
  expect(new Set(Object.values(filterPriority)).size).toBe(Object.keys(filterPriority).length)
  expect(rulePriority).toBeLessThan(32766)
  expect(rulePriority).toBeGreaterThan(0)
})

test('hundreds of interfaces of one pod have routing tables of their own', () => {
  const of = (at: number) =>
    identityOf({ network: 'net', containerID: 'pod', ifname: `net${at}` }, sha256).routeTable
  expect(new Set(Array.from({ length: 3_000 }, (_, at) => of(at))).size).toBe(3_000)
})

test('the cookie of limits is of a kind of its own: limits and port mappings of one attachment are told apart', () => {
  const { cookie, ifb, ifbMac } = rateIdentityOf(attachment, sha256)
  expect(cookie).toMatch(/^76660102[0-9a-f]{24}$/)
  expect(cookie.slice(8)).toBe(identity.cookie.slice(8))
  expect(ifb).toMatch(/^vfr[0-9a-f]{12}$/)
  // Of this network, by the same hash as in cookies.
  expect(ifbMac).toBe(`76:66:${cookie.slice(8, 16).match(/../g)?.join(':')}`)
})
