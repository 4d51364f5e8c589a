// A foreign rule takes all, some or none of the packets of a mapped port from the pod.
import { expect, test } from 'vitest'
import { type Base, follow, type Mapped } from '../../../src/kernel/foreign-nat/follow.ts'
import { packetTo, portBytes } from '../../../src/kernel/foreign-nat/packet.ts'
import { type SeenExpression, seen, VERDICT } from '../../../src/netlink/nf/others.ts'
import { NF_INET } from '../../../src/netlink/nf/rules.ts'

type Chains = Readonly<Record<string, readonly (readonly SeenExpression[])[]>>
const redirect: SeenExpression = { NFTA_EXPR_NAME: 'redir', NFTA_EXPR_DATA: new Uint8Array() }
const limit: SeenExpression = { NFTA_EXPR_NAME: 'limit', NFTA_EXPR_DATA: new Uint8Array() }
const jump = (chain: string): SeenExpression => ({
  NFTA_EXPR_NAME: 'immediate',
  NFTA_EXPR_DATA: seen.immediate.encode({
    NFTA_IMMEDIATE_DREG: 0,
    NFTA_IMMEDIATE_DATA: {
      NFTA_DATA_VERDICT: { NFTA_VERDICT_CODE: VERDICT.NFT_JUMP >>> 0, NFTA_VERDICT_CHAIN: chain },
    },
  }),
})
const base = (more: Partial<Base> = {}): Base => ({
  ...{ family: 2, table: 't', name: 'base', hook: NF_INET.NF_INET_PRE_ROUTING, priority: -100 },
  ...more,
})

/** The packets that the chains take: all, some or none. */
function part(chains: Chains, from: Base, upTo = -95, address = '10.1.0.1'): string {
  const mapped: Mapped = { target: { address: Uint8Array.of(10, 88, 0, 5), port: portBytes(80) }, upTo }
  const source = {
    rules: (place: Base | { name: string }) =>
      (chains[place.name] ?? []).map((expressions) => ({
        ...{ place: { family: 2, table: 't', name: place.name }, expressions, comment: undefined },
      })),
    find: () => ({ answer: 'no', elements: [] }) as const,
  }
  const { taken, some } = follow(source, [from], packetTo({ proto: 'tcp', address, port: 8080 }), mapped)
  return taken !== undefined ? 'all' : some.length > 0 ? 'some' : 'none'
}

test('a chain behind ours takes nothing from a port of the host table, but takes a port of a flow filter', () => {
  const chains = { base: [[redirect]] }
  for (const priority of [-300, -100, -95]) expect(part(chains, base({ priority }))).toBe('all')
  for (const priority of [-94, 0, 100]) {
    expect(part(chains, base({ priority }))).toBe('none')
    expect(part(chains, base({ priority }), Number.POSITIVE_INFINITY)).toBe('all')
  }
})

test('output takes some packets of a port, and all packets of a port on 127.0.0.1', () => {
  const chains = { base: [[redirect]] }
  const output = base({ hook: NF_INET.NF_INET_LOCAL_OUT })
  expect(part(chains, output)).toBe('some')
  expect(part(chains, output, -95, '127.0.0.1')).toBe('all')
  expect(part(chains, base(), -95, '127.0.0.1')).toBe('none')
})

test('a chain that some packets reach first, and all packets later, takes all', () => {
  expect(part({ base: [[limit, jump('next')]], next: [[redirect]] }, base())).toBe('some')
  expect(part({ base: [[limit, jump('next')], [jump('next')]], next: [[redirect]] }, base())).toBe('all')
  expect(part({ base: [[limit, jump('next')]], next: [[jump('last')]], last: [[redirect]] }, base())).toBe(
    'some',
  )
})
