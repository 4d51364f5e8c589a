// A ruleset that nft lists is compared with the one that was loaded, statement by statement.
import { describe, expect, test } from 'vitest'
import { compareNft, lineText, nftLines } from '../../../src/kernel/nftables/ruleset-diff.ts'

/** A table as a program writes it. */
const loaded = `table inet vf-flower-abc {
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    dnat ip to ip daddr . tcp dport map { 10.1.0.1 . 8080 : 10.1.0.5 . 80, 10.1.0.1 . 443 : 10.1.0.5 . 443 }
  }
  chain output {
    type nat hook output priority -100; policy accept;
  }
  map ports4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;
    elements = { 10.1.0.1 . tcp . 80 comment "c, { } d" : 10.1.0.5 . 80, 10.1.0.1 . udp . 53 : 10.1.0.5 . 53 } }
}
`
/** The same table as nft 1.1.3 lists it with -s -y, on a system without /etc/protocols. */
const listed = `table inet vf-flower-abc {
	map ports4 {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
		elements = { 10.1.0.1 . 17 . 53 : 10.1.0.5 . 53,
			     10.1.0.1 . 6 . 80 counter comment "c, { } d" : 10.1.0.5 . 80 }
	}

	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		dnat ip to ip daddr . tcp dport map { 10.1.0.1 . 443 : 10.1.0.5 . 443, 10.1.0.1 . 8080 : 10.1.0.5 . 80 }
	}

	chain output {
		type nat hook output priority -100; policy accept;
	}
}
`

test('nftLines() returns each statement with its place, and each element by itself', () => {
  expect(nftLines(listed).map(lineText)).toEqual([
    'map ports4: type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service',
    'map ports4: elements = { 10.1.0.1 . tcp . 80 comment "c, { } d" : 10.1.0.5 . 80 }',
    'map ports4: elements = { 10.1.0.1 . udp . 53 : 10.1.0.5 . 53 }',
    'chain prerouting: type nat hook prerouting priority -100',
    'chain prerouting: policy accept',
    'chain prerouting: dnat ip to ip daddr . tcp dport map { 10.1.0.1 . 443 : 10.1.0.5 . 443 }',
    'chain prerouting: dnat ip to ip daddr . tcp dport map { 10.1.0.1 . 8080 : 10.1.0.5 . 80 }',
    'chain output: type nat hook output priority -100',
    'chain output: policy accept',
  ])
  expect(nftLines('')).toEqual([])
})

describe('compareNft()', () => {
  const changed = (from: string | RegExp, to: string) =>
    compareNft(nftLines(loaded), nftLines(listed.replace(from, to)))

  test('finds no difference between the loaded and the listed table', () => {
    expect(changed('', '')).toEqual([])
  })

  test.each([
    ['10.1.0.5 . 443', '10.1.0.6 . 443', ': 10.1.0.5 . 443 }', ': 10.1.0.6 . 443 }'],
    ['policy accept', 'policy drop', 'policy accept', 'policy drop'],
    ['hook output priority -100', 'hook output priority 0', 'priority -100', 'priority 0'],
    ['comment "c, { } d"', 'comment "c, { } e"', '"c, { } d"', '"c, { } e"'],
    [/, 10.1.0.1 . 8080 : 10.1.0.5 . 80/, '', '. 8080 : 10.1.0.5 . 80 }', 'nothing like it'],
    [
      '\t\tdnat',
      '\t\tip saddr 10.9.9.9 drop\n\t\tdnat',
      'nothing else',
      'chain prerouting: ip saddr 10.9.9.9 drop',
    ],
  ])('finds %s instead of %s', (from, to, expected, found) => {
    expect(changed(from, to)).toEqual([
      { expected: expect.stringContaining(expected), found: expect.stringContaining(found) },
    ])
  })

  test('finds another order of rules, and ignores another order of elements', () => {
    const chain = (...rules: string[]) => nftLines(`table inet t { chain c { ${rules.join('; ')} } }`)
    expect(compareNft(chain('drop', 'accept'), chain('accept', 'drop'))).toHaveLength(1)
    expect(
      compareNft(chain('ip saddr { 1.1.1.1, 2.2.2.2 } drop'), chain('ip saddr { 2.2.2.2, 1.1.1.1 } drop')),
    ).toEqual([])
  })
})
