// A snapshot of a host shows settings and leaves out what changes by itself.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { diffSnapshot, parseSnapshot } from '../../hack/lab/bed/snapshot.ts'

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

describe('rows of numbers', () => {
  test('are settings under the names of their files, in their units', () => {
    const rows =
      '== sysctl /proc/sys/net/ipv6/conf forwarding - router_probe_interval ra_defrtr_metric absent'
    expect([...parseSnapshot(`${rows}\na 1 2 60000 -1\nb 0 2 4500 7\n`)]).toEqual([
      ['sysctl /proc/sys/net/ipv6/conf/a/forwarding', '1'],
      ['sysctl /proc/sys/net/ipv6/conf/a/router_probe_interval', '60'],
      ['sysctl /proc/sys/net/ipv6/conf/a/ra_defrtr_metric', '4294967295'],
      ['sysctl /proc/sys/net/ipv6/conf/b/forwarding', '0'],
      ['sysctl /proc/sys/net/ipv6/conf/b/router_probe_interval', '4'],
      ['sysctl /proc/sys/net/ipv6/conf/b/ra_defrtr_metric', '7'],
    ])
  })

  test('are features, also those after the first 32', () => {
    const names = ['on', 'off', 'fixed', '-', 'unmet', 'never', ...Array(26).fill('-'), 'later']
    const rows = `== feature ${names.join(' ')}\na ${0b110011} ${0b010101} ${0b000101} ${0b100000} 1 1 1 0\n`
    expect([...parseSnapshot(rows)]).toEqual([
      ['feature a.on', 'on'],
      ['feature a.off', 'off'],
      ['feature a.fixed', 'on fixed'],
      ['feature a.unmet', 'off against the wish'],
      ['feature a.never', 'off fixed'],
      ['feature a.later', 'on'],
    ])
  })
})

test('the content of a file is a checksum, what a tool could not tell is a fact', () => {
  const file = (content: string) =>
    `== file\n/run/a\tf 644 0:0 \t3 bytes\t=${Buffer.from(content).toString('hex')}\n`
  expect(diff(file('one'), file('two'))).toEqual([
    expect.stringMatching(
      /^file \/run\/a: f 644 0:0 {2}3 bytes 7692c3\w{58} -> f 644 0:0 {2}3 bytes 3fc4cc\w{58}$/,
    ),
  ])
  expect(diff('== devlink port\n{"port":{}}', '== failed devlink port\n')).toEqual([
    'only after: failed devlink port',
  ])
})

// Runs outside of the virtual machine too, whatever this machine lacks or hides from this user.
describe('the program', () => {
  const program = fileURLToPath(new URL('../../hack/lab/bed/snapshot.pl', import.meta.url))

  test('declares its variables, and gives no warnings', () => {
    const { status, stderr } = spawnSync('perl', ['-Mstrict', '-wc', program], { encoding: 'utf8' })
    expect([status, stderr]).toEqual([0, expect.stringContaining('syntax OK')])
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  test('looks at this machine, without an error', () => {
    const facts = parseSnapshot(
      execFileSync('perl', [program, '/nowhere'], { encoding: 'utf8', stdio: 'pipe' }),
    )
    expect(facts.get('link lo.ifname')).toBe('"lo"')
    const folder = '/proc/sys/net/ipv4/conf/lo'
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      const value = readFileSync(`${folder}/${name}`, 'utf8').trim()
      expect([name, facts.get(`sysctl ${folder}/${name}`)]).toEqual([name, value])
    }
  })
})
