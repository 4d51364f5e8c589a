// CHECK of vf-offload on a card in switchdev mode (simnic, profile full, from source, not hardware): for each thing that
// an ADD made the kernel is changed with tc, nft or ip, and CHECK names it with the line expected and the line found.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  offloadConfig,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { type Card, loadSimnic, setMode, setVfMacs, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import {
  buildTopology,
  deletePod,
  HOST,
  newPod,
  type Topology,
  tearDown,
} from '../../../hack/lab/bed/topology.ts'
import type { CniResult, ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'

const portMappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp' },
]
const POD = '10.1.0.5'

let vm: Lab
let runtime: Runtime
let card: Card
let net: Topology
let list: ConfigList
let result: CniResult

beforeAll(async () => {
  vm = await lab()
  runtime = testRuntime(vm)
  ;[card] = (await loadSimnic(vm)) as [Card]
  net = await buildTopology(vm, card, 2)
  await setMode(vm, card, 'switchdev')
  await vm.must(`ip link set ${card.pf}rep0 up; ip link set ${card.pf}rep1 up`)
})
afterAll(async () => {
  await setMode(vm, card, 'legacy')
  await tearDown(vm, card)
  await unloadSimnic(vm)
})

const pod = (ports: unknown = portMappings, netns = '/run/netns/pod-one') =>
  attachment(netns, { capabilityArgs: { portMappings: ports } })

async function add(config: Record<string, unknown>): Promise<void> {
  await newPod(vm, 'pod-one')
  const vf = net.vfs[0]?.pci ?? ''
  // Without a default route by the VF, so that the pod gets its own rule and table.
  const ipam = staticIpam(`${POD}/24`, 'fd00:1::5/64')
  list = listOf(attachConfig(vf, { ipam, announce: { count: 0 } }), offloadConfig(vf, config))
  result = await runtime.add(list, pod())
}

async function del(): Promise<void> {
  await runtime.del(list, pod())
  await deletePod(vm, 'pod-one')
}

async function check(ports?: unknown, netns?: string) {
  const plugin = list.plugins[1]
  if (plugin === undefined) throw new Error('no plugin')
  return runtime.call('CHECK', list, plugin, pod(ports, netns), { prevResult: result })
}

interface Rule {
  readonly line: string
  readonly handle: number
  readonly prio: number
}

/** The rule of the record with these words in its line, as `tc` takes it to put it in place of what is there. */
async function ruleWith(words: string): Promise<{ replace: string; remove: string }> {
  const text = await vm.must('cat /var/lib/cni/vf-flower/offload/*.json')
  const { rules } = (JSON.parse(text) as { journal: { rules: Rule[] } }).journal
  const rule = rules.find(({ line }) => line.includes(words))
  if (rule === undefined)
    throw new Error(`No rule with ${words} in:\n${rules.map(({ line }) => line).join('\n')}`)
  const { line, handle, prio } = rule
  const place = line.replace(/^tc filter add (.*) flower .*/, `$1 handle ${handle} flower`)
  return {
    replace: line
      .replace('filter add', 'filter replace')
      .replace(` prio ${prio} `, ` prio ${prio} handle ${handle} `),
    remove: `tc filter delete ${place}`,
  }
}

/** Changes things, has CHECK name each of them, and changes them back. */
async function named(change: string, words: readonly RegExp[], mend: string): Promise<void> {
  await vm.must(change)
  const error = errorOf(await check())
  await vm.must(mend)
  expect(error.code).toBe(104)
  for (const word of words) expect(error.msg).toMatch(word)
}

/** Words of a rule, what is changed in its line (undefined: it is removed), and what CHECK says that it found. */
type Change = readonly [
  rule: string,
  from: RegExp | undefined,
  to: string | ((text: string) => string),
  found: RegExp,
]

/** MAC addresses are random: one digit that is another one, whatever it was. */
const otherEnd = (text: string) => `${text.slice(0, -1)}${text.endsWith('a') ? 'e' : 'a'}`

/** Changes several rules at once: each CHECK takes its time in an emulated machine. */
async function rulesNamed(changes: readonly Change[]): Promise<void> {
  const lines = await Promise.all(
    changes.map(async ([words, from, to, found]) => {
      const { replace, remove } = await ruleWith(words)
      const change = (by: RegExp) =>
        typeof to === 'string' ? replace.replace(by, to) : replace.replace(by, to)
      const changed = from === undefined ? remove : change(from)
      expect(changed, words).not.toBe(replace)
      const expected = new RegExp(`expected "tc filter add dev simpf0[^"]* ${words} [^"]*"`)
      return { changed, replace, words: [expected, found] }
    }),
  )
  await named(
    lines.map(({ changed }) => changed).join('\n'),
    lines.flatMap(({ words }) => words),
    lines.map(({ replace }) => replace).join('\n'),
  )
}

const to = (ip: string, port: number) => `dst_ip ${ip} dst_port ${port}`
const from = (ip: string, port: number) => `src_ip ${ip} src_port ${port}`

describe('nat pod', () => {
  beforeAll(() => add({ offload: 'require' }))
  afterAll(del)

  test('CHECK succeeds and says nothing when nothing was changed', async () => {
    expect(await check()).toMatchObject({ code: 0, stdout: '', stderr: '' })
  })

  test('CHECK names a filter with another key, place, target, byte of a MAC, cookie or action', () =>
    rulesNamed([
      [to(HOST.v4, 8080), /dst_port 8080/, 'dst_port 8081', /found "tc filter add [^"]* dst_port 8081 /],
      [to(HOST.v4, 5353), /dst_ip \S+/, 'dst_ip 10.1.0.2', /found "[^"]* dst_ip 10\.1\.0\.2 /],
      [to(HOST.v6, 8080), /redirect dev \S+/, 'redirect dev simpf0rep1', /redirect dev simpf0rep1/],
      [to(HOST.v6, 5353), /eth dst set \S+/, otherEnd, /eth dst set \S+[ae] [^;]*TCA_PEDIT_PARMS_EX/],
      [from(HOST.v4, 8080), / cookie \S+/g, '', /TCA_ACT_COOKIE: asked [^,]*, kernel has nothing/],
      [from(HOST.v4, 5353), /skip_sw/, 'skip_hw', /skip_hw action [^)]*in_hw: missing/],
      [
        from(HOST.v6, 8080),
        /(action mirred)/,
        'action vlan push id 5 pipe $1',
        /number of actions: asked 2, kernel has 3/,
      ],
      [from(HOST.v6, 5353), /eth src set ..(?=:)/, otherEnd, /munge eth src set .[ae]:/],
    ]))

  test('CHECK names a filter with another cookie, an action less or another IPv6 key, and one that is gone', () =>
    rulesNamed([
      [to(HOST.v4, 8080), /cookie \S+/g, 'cookie 7666010100', /TCA_ACT_COOKIE: asked/],
      [to(HOST.v4, 5353), /action pedit .*(action mirred)/, '$1', /number of actions: asked 2, kernel has 1/],
      [to(HOST.v6, 8080), undefined, '', /found "no such filter"/],
      [from(HOST.v4, 8080), undefined, '', /src_ip 10\.1\.0\.1 src_port 8080 [^"]*", found "no such filter"/],
      [from(HOST.v6, 5353), /src_ip \S+/, 'src_ip fd00:1::77', /found "[^"]* src_ip fd00:1::77 /],
    ]))

  test('CHECK compares the pod’s table statement by statement', async () => {
    const inPod = 'ip netns exec pod-one nft'
    const [name = ''] = /vf-flower-\w+/.exec(await vm.must(`${inPod} list tables`)) ?? []
    await vm.must(`${inPod} list table inet ${name} >/run/table; sed 's/5353/5354/' /run/table >/run/changed`)
    const mend = `${inPod} delete table inet ${name} 2>/dev/null; ${inPod} -f /run/table`
    const rule = String.raw`dnat ip to ip daddr \. udp dport map`
    await named(
      `set -e; ${inPod} delete table inet ${name}; ${inPod} -f /run/changed
      ${inPod} add rule inet ${name} prerouting tcp dport 7 drop
      ${inPod} chain inet ${name} output '{ policy drop; }'`,
      [
        new RegExp(
          `expected "pod:table inet ${name} chain prerouting: ${rule} { 10.1.0.1 . 5353 : ${POD} . 53 }"`,
        ),
        / \. 5354 : /,
        /nothing else", found "chain prerouting: tcp dport 7 drop"/,
        /chain output: policy accept", found "chain output: policy drop"/,
      ],
      mend,
    )
    await named(
      `${inPod} delete table inet ${name}`,
      [/table inet vf-flower-\w+", found "no such table"/],
      mend,
    )
  })

  test('CHECK names a reservation that is gone, of somebody else, or leads elsewhere', async () => {
    const listed = await vm.must('nft list table inet vf-flower')
    const comment = / \. 8080 [^":]*comment "([^"]*)"/.exec(listed)?.[1] ?? ''
    const [v4, v6] = [HOST.v4, HOST.v6]
    await vm.must(`{ for chain in output prerouting; do echo flush chain inet vf-flower $chain; done
      for chain in output prerouting; do nft list chain inet vf-flower $chain; done; } >/run/host`)
    const remove = (ip: string, rest: string) =>
      `nft delete element inet vf-flower ports${ip === v4 ? 4 : 6} '{ ${ip} . ${rest} }'`
    const create = (ip: string, rest: string) =>
      `nft create element inet vf-flower ports${ip === v4 ? 4 : 6} '{ ${ip} . ${rest} }'`
    await named(
      `set -e; ${remove(v4, 'tcp . 8080')}
      ${remove(v4, 'udp . 5353')}; ${create(v4, `udp . 5353 comment "mine" : ${POD} . 53`)}
      ${remove(v6, 'tcp . 8080')}; ${create(v6, `tcp . 8080 comment "${comment}" : fd00:1::5 . 81`)}
      nft flush chain inet vf-flower output; nft add rule inet vf-flower prerouting tcp dport 7 drop`,
      [
        /expected "table inet vf-flower chain output: [^"]*dnat ip to [^"]*", found "nothing like it"/,
        /nothing else", found "chain prerouting: tcp dport 7 drop"/,
        /expected "table inet vf-flower: { 10\.1\.0\.1 \. tcp \. 8080 comment [^}]*}", found "no such element"/,
        /found "[^"]* { 10\.1\.0\.1 \. udp \. 5353 comment "mine" : /,
        /found "[^}]* : fd00:1::5 \. 81 }/,
      ],
      `set -e; nft -f /run/host; ${create(v4, `tcp . 8080 comment "${comment}" : ${POD} . 80`)}
      ${remove(v4, 'udp . 5353')}; ${create(v4, `udp . 5353 comment "${comment}" : ${POD} . 53`)}
      ${remove(v6, 'tcp . 8080')}; ${create(v6, `tcp . 8080 comment "${comment}" : fd00:1::5 . 80`)}`,
    )
  })

  test('CHECK compares policy rules and routes for replies', async () => {
    const rule = /from 10\.1\.0\.5 lookup (\d+)/.exec(await vm.must('ip -n pod-one rule'))
    const table = rule?.[1] ?? ''
    const inPod = 'ip -n pod-one'
    const [rule4, rule6] = [POD, 'fd00:1::5'].map((ip) => `from ${ip} lookup ${table} priority`)
    const route6 = `default via fd00:1::fe dev net1 table ${table}`
    await named(
      `set -e; ${inPod} rule del ${rule4} 30000; ${inPod} rule add ${rule4} 40000; ${inPod} -6 rule del ${rule6} 30000
      ${inPod} route replace default via 10.1.0.253 dev net1 table ${table}; ${inPod} -6 route del ${route6}`,
      [
        /expected "pod:ip rule add from 10\.1\.0\.5 [^"]*", found "ip rule from 10\.1\.0\.5 lookup \d+ priority 40000"/,
        /expected "pod:ip -6 rule add from fd00:1::5 [^"]*", found "no such rule"/,
        /found "ip route 0\.0\.0\.0\/0 via 10\.1\.0\.253 dev net1 table/,
        /expected "pod:ip route add ::\/0 via fd00:1::fe [^"]*", found "no such route"/,
      ],
      `set -e; ${inPod} rule del ${rule4} 40000; ${inPod} rule add ${rule4} 30000; ${inPod} -6 rule add ${rule6} 30000
      ${inPod} route replace default via 10.1.0.254 dev net1 table ${table}; ${inPod} -6 route add ${route6}`,
    )
  })

  test('CHECK compares the MACs, addresses and interfaces that the filters speak of', async () => {
    const mac = (await vm.must('ip netns exec pod-one cat /sys/class/net/net1/address')).trim()
    const set = (value: string) => `ip -n pod-one link set net1 address ${value}`
    await named(
      `${set('02:00:00:00:00:77')}; ip link set ${card.pf} address 02:00:00:00:00:78
      ip address del ${HOST.v4}/24 dev ${card.pf}`,
      [
        /"net1" has MAC 02:00:00:00:00:77, rules send to /,
        /uplink "simpf0" has MAC 02:00:00:00:00:78, rules send from /,
        /uplink "simpf0" does not have address 10\.1\.0\.1/,
      ],
      `${set(mac)}; ip link set ${card.pf} address ${net.pfMac}; ip address add ${HOST.v4}/24 dev ${card.pf}
      ip route add 10.2.0.0/24 via 10.1.0.254`,
    )
    const rep0 = `ip link set ${card.pf}rep0`
    await named(`${rep0} down`, [/representor of VF 0 of "simpf0" "simpf0rep0" is down/], `${rep0} up`)
    // Whatever the tests before have changed they have changed back.
    expect(await check()).toMatchObject({ code: 0 })
  })

  test('CHECK refuses other wishes than those of the ADD, and another namespace', async () => {
    await newPod(vm, 'pod-two')
    const other = [portMappings[0], { hostPort: 99, containerPort: 9, protocol: 'tcp' }]
    const { msg } = errorOf(await check(other, '/run/netns/pod-two'))
    await deletePod(vm, 'pod-two')
    for (const words of [
      /"\/run\/netns\/pod-two" is not the namespace of the ADD/,
      /tcp port 99 to 9 is asked for and was not mapped/,
      /udp 10\.1\.0\.1 port 5353 to 53 was mapped and is not asked for/,
    ])
      expect(msg).toMatch(words)
  })

  test('CHECK sees that the eSwitch was in another mode: the filters of the uplink say in_hw and lead nowhere', async () => {
    await setMode(vm, card, 'legacy')
    const legacy = errorOf(await check())
    expect(legacy.msg).toMatch(/eSwitch of "simpf0" is in mode legacy, it was in mode switchdev/)
    await setMode(vm, card, 'switchdev')
    await vm.must(`ip link set ${card.pf}rep0 up; ip link set ${card.pf}rep1 up`)
    const back = errorOf(await check())
    expect(back.msg).toMatch(/representor "simpf0rep0" is interface \d+, rules lead to \d+/)
    expect(back.msg).toMatch(/found "tc filter add dev simpf0 [^"]* redirect dev \*/)
  })
})

test('CHECK compares every byte of a translation of nat nic, and its checksums', async () => {
  await setVfMacs(vm, card)
  await add({ nat: 'nic' })
  expect(await check()).toMatchObject({ code: 0, stdout: '', stderr: '' })
  await rulesNamed([
    [to(HOST.v4, 8080), /dport set 80/, 'dport set 81', /munge tcp dport set 81/],
    [to(HOST.v4, 5353), /ip dst set \S+/, 'ip dst set 10.1.0.6', /munge ip dst set 10\.1\.0\.6/],
    [from('fd00:1::5', 53), /ip6 src set \S+/, 'ip6 src set fd00:1::2', /ip6 src set fd00:1::2/],
    [from(POD, 80), /csum ip4h and tcp/, 'csum tcp', /action csum tcp pipe/],
    [from('fd00:1::5', 80), /action csum.*(action mirred)/, '$1', /number of actions: asked 3, kernel has 2/],
  ])
  expect(await check()).toMatchObject({ code: 0 })
  await del()
})
