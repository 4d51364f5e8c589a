import { describe, expect, test } from 'vitest'
import { diffSnapshot, parseSnapshot } from './snapshot.ts'

const diff = (before: string, after: string) => diffSnapshot(parseSnapshot(before), parseSnapshot(after))

describe('what may differ is left out', () => {
  test.each([
    ['an interface index', '== link\n[{"ifname":"a","ifindex":4}]', '== link\n[{"ifname":"a","ifindex":9}]'],
    [
      'a learned neighbour',
      '== neighbour\n[]',
      '== neighbour\n[{"dst":"10.0.0.1","dev":"a","state":["STALE"]}]',
    ],
    ['a learned bridge entry', '== fdb\n[]', '== fdb\n[{"mac":"02:00:00:00:00:01","state":""}]'],
    [
      'counters of nftables',
      '== nft\n{"nftables":[{"rule":{"expr":[{"counter":{"packets":1,"bytes":60}}]}}]}',
      '== nft\n{"nftables":[{"rule":{"expr":[{"counter":{"packets":2,"bytes":120}}]}}]}',
    ],
    [
      'the last address of host-local',
      '== file\n',
      '== file\n/var/lib/cni/networks\td 755 0:0 \n/var/lib/cni/networks/n/last_reserved_ip.0\tf 644 0:0 \n',
    ],
  ])('%s', (_, before, after) => {
    expect(diff(before, after)).toEqual([])
  })
})

describe('what may not differ is shown', () => {
  test('a permanent neighbour and a permanent bridge entry', () => {
    expect(diff('== neighbour\n[]', '== neighbour\n[{"dst":"10.0.0.1","state":["PERMANENT"]}]')).toEqual([
      'only after: neighbour {"dst":"10.0.0.1","state":["PERMANENT"]}',
    ])
    expect(diff('== fdb\n[]', '== fdb\n[{"mac":"02:00:00:00:00:01","state":"permanent"}]')).toHaveLength(1)
  })

  test('a second entry that is equal to the first', () => {
    const rule = '{"priority":100,"src":"all"}'
    expect(diff(`== rule v4\n[${rule}]`, `== rule v4\n[${rule},${rule}]`)).toEqual([
      `only after: rule v4 ${rule} (2)`,
    ])
  })

  test('a rule of nftables and a file that host-local does not own', () => {
    const table = '== nft\n{"nftables":[{"table":{"name":"t","handle":1}}]}'
    expect(diff('== nft\n{"nftables":[]}', table)).toEqual([
      'only after: nft {"table":{"name":"t","handle":1}}',
    ])
    expect(diff('== file\n', '== file\n/var/lib/cni/networks/n/10.1.0.5\tf 644 0:0 \n')).toHaveLength(1)
  })
})
