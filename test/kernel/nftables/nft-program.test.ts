// Tables of pods load with the nft program, and its refusals become errors.
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { failure } from '../../../src/cni/failure.ts'
import { loadTable, NftError } from '../../../src/kernel/nftables/nft-program.ts'
import { podNatTable } from '../../../src/offload/portmap/pod-nat.ts'
import { identityOf } from '../../../src/offload/state/identity.ts'
import type { PortKey } from '../../../src/ops/op.ts'
import { hasNft, type Ruleset, realRuleset } from '../../support/nft.ts'

const web: PortKey = { address: '10.1.0.1', proto: 'tcp', port: 8080, toAddress: '10.1.0.5', toPort: 80 }
const dns: PortKey = { ...web, proto: 'udp', port: 53, toPort: 53 }
const web6: PortKey = { ...web, address: '2001:db8::1', toAddress: '2001:db8::5' }
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

describe.each(hasNft ? [['nft itself']] : [])('the NAT table of a pod, loaded by %s', () => {
  let ruleset: Ruleset
  beforeEach(async () => {
    ruleset = await realRuleset()
  })
  afterEach(() => ruleset.close())
  const list = () => ruleset.nft(['list', 'ruleset'], '').stdout

  test('loads with every family and protocol, under the longest names', () => {
    const keys = [web, dns, web6, { ...web6, proto: 'udp' as const }, { ...web, address: '10.1.0.2' }]
    const identity = identityOf(
      { network: 'n'.repeat(200), containerID: 'c'.repeat(253), ifname: 'net1' },
      sha256,
    )
    loadTable(ruleset.nft, podNatTable(identity.podTable, keys))
    const text = list()
    expect(text.match(/hook prerouting priority dstnat;/g)).toHaveLength(1)
    expect(text.match(/hook output priority (dstnat|-100);/g)).toHaveLength(1)
    expect(text.match(/dnat ip6? to ip6? daddr \. (tcp|udp) dport map/g)).toHaveLength(8)
  })

  test('loads a thousand ports in one transaction', () => {
    const keys = Array.from({ length: 1000 }, (_, i) => ({ ...web, port: i + 1, toPort: i + 1 }))
    loadTable(ruleset.nft, podNatTable('vf-flower-x', keys))
    expect(list()).toContain('10.1.0.1 . 1000 : 10.1.0.5 . 1000')
  })

  test('leaves nothing when nft refuses the text, and the error has nft’s words', () => {
    const text = 'table inet vf-flower-x {\n  chain c { nonsense; }\n}\n'
    const error = thrownBy(() => loadTable(ruleset.nft, text))
    expect(error).toBeInstanceOf(NftError)
    expect((error as Error).message).toMatch(/^nft -f: .*syntax error/)
    expect(failure(error).code).toBe(102)
    expect(list()).toBe('')
  })
})

test('the error tells that nft is not installed', () => {
  const enoent = Object.assign(new Error('spawn nft ENOENT'), { code: 'ENOENT' })
  const missing = () => ({ status: null, stdout: '', stderr: '', error: enoent })
  for (const action of [() => loadTable(missing, 'x')]) {
    const error = thrownBy(action)
    expect(error).toMatchObject({ name: 'NftError', code: 'ENOENT' })
    expect((error as Error).message).toMatch(/^nft .*: the program "nft" is not installed$/)
    expect(failure(error).code).toBe(102)
  }
})

test('the errno is taken from nft’s message', () => {
  const codes = [
    ['Error: Could not process rule: Operation not permitted', 'EPERM'],
    ['netlink: Error: cache initialization failed: Operation not permitted', 'EPERM'],
    ['Error: Could not process rule: Operation not supported', 'EOPNOTSUPP'],
    ['Error: Could not process rule: Device or resource busy', 'EBUSY'],
    ['/dev/stdin:1:1-3: Error: syntax error, unexpected string', 'EINVAL'],
  ] as const
  for (const [stderr, code] of codes) {
    const result = { status: 1, stdout: '', stderr: `${stderr}\nsecond line\n` }
    expect(new NftError('nft -f', result)).toMatchObject({ code, message: `nft -f: ${stderr}` })
  }
})

test('the error tells a table with an owner from a missing right, and a timeout from a failure', () => {
  const failing = (stderr: string, error?: Error) => () =>
    loadTable(() => ({ status: null, stdout: '', stderr, ...(error === undefined ? {} : { error }) }), '')
  const owner = /not permitted; another program may own the table of that name \(flags owner\)$/
  expect(failing('Error: Could not process rule: Operation not permitted')).toThrow(owner)
  expect(failing('netlink: Error: cache initialization failed: Operation not permitted')).toThrow(
    /not permitted$/,
  )
  const late = Object.assign(new Error('spawnSync nft ETIMEDOUT'), { code: 'ETIMEDOUT' })
  expect(failing('', late)).toThrow('nft -f: nft took too long and was ended')
})

function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new TypeError('nothing was thrown')
}
