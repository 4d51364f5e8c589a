// The node's own connections beside ports that filters take past its stack: what the host's table and ip_local_reserved_ports do
// for them. Nothing steers here, so a connection that came from such a port would be answered all the same: the server tells where
// it came from.
// needs: veth, nft, conntrack
import { afterAll, afterEach, beforeAll, expect, describe as group, test } from 'vitest'
import { type Agent, startAgent } from '../../../hack/lab/bed/agent.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Ask } from '../../../hack/lab/bed/traffic.ts'
import { ask, drive, run } from '../../../hack/lab/driver/client.ts'
import type { Lab, LabProcess } from '../../../hack/lab/lab.ts'
import { keptOffChains } from '../../../src/kernel/nftables/kept-off.ts'
import type { Op, PortKey } from '../../../src/ops/op.ts'
import { lab } from '../../support/lab.ts'

const NODE = { v4: '10.8.0.1', v6: 'fd00:8::1' } as const
const SERVER = { v4: '10.8.0.2', v6: 'fd00:8::2' } as const
const families = ['v4', 'v6'] as const
const cookies = ['766601010000000000000000000000aa', '766601010000000000000000000000bb'] as const
const [first, last] = [32_768, 60_999]
const setting = '/proc/sys/net/ipv4/ip_local_reserved_ports'
const on = 'kept-node'

/** Every third one of the range from 40,000 on. */
const mapped = Array.from({ length: 400 }, (_, at) => 40_000 + 3 * at)
/**
 * Ports that the last test binds programs to. The kernel gives them to nobody: a connection of a test before, of which TIME_WAIT is left,
 * would keep one taken for a minute.
 */
const bound = [51_050, 51_051, 51_052, 51_053] as const

let vm: Lab
let node: Agent
let pod: Agent
let server: Agent

beforeAll(async () => {
  vm = await lab()
  for (const name of [on, 'kept-pod', 'kept-server']) await newPod(vm, name)
  await vm.must(`set -e
    ip -n ${on} link add pod0 type veth peer name eth0 netns kept-pod
    ip -n ${on} link add wire0 type veth peer name eth0 netns kept-server
    while read -r where link v4 v6; do
      ip -n $where address add $v4/24 dev $link
      ip -n $where address add $v6/64 dev $link nodad
      ip -n $where link set $link up
    done <<END
${on} pod0 10.9.0.1 fd00:9::1
kept-pod eth0 10.9.0.2 fd00:9::2
${on} wire0 ${NODE.v4} ${NODE.v6}
kept-server eth0 ${SERVER.v4} ${SERVER.v6}
END
    ip -n kept-pod route add default via 10.9.0.1
    ip -n kept-pod route add default via fd00:9::1
    for setting in ipv4/ip_forward ipv6/conf/all/forwarding; do
      ip netns exec ${on} sh -c "echo 1 >/proc/sys/net/$setting"
    done
    # Which of them, and of those that have a place of their own below, the pod uses, the tests say.
    ip netns exec kept-pod sh -c 'echo ${[...mapped, 50_050, 50_051, ...bound].join()} >${setting}'
    ip netns exec ${on} sh -c 'echo "${first} ${last}" >/proc/sys/net/ipv4/ip_local_port_range'`)
  ;[node, pod, server] = (await Promise.all(
    [on, 'kept-pod', 'kept-server'].map((name) => startAgent(vm, name)),
  )) as [Agent, Agent, Agent]
  await server.serve([
    { name: 'server', protocol: 'tcp', port: 9000 },
    { name: 'server', protocol: 'udp', port: 9000 },
  ])
})
afterAll(async () => {
  for (const agent of [node, pod, server]) await agent.end()
  for (const name of ['kept-pod', 'kept-server', on]) await deletePod(vm, name)
})
afterEach(async () => {
  await vm.must(`ip netns exec ${on} sh -c 'nft flush ruleset; conntrack -F 2>/dev/null; echo >${setting}'`)
})

const key = (address: string, proto: PortKey['proto'], port: number): PortKey => ({
  ...{ address, proto, port, toPort: 80 },
  toAddress: address.includes(':') ? 'fd00:1::5' : '10.1.0.5',
})
/** The ports for both protocols and families. */
const keysOf = (ports: readonly number[]) =>
  ports.flatMap((port) =>
    families.flatMap((family) => [key(NODE[family], 'tcp', port), key(NODE[family], 'udp', port)]),
  )
const reserve = (keys: readonly PortKey[], cookie: string = cookies[0]): Op => ({
  ...{ do: 'ports.reserve', keys, masquerade: [], owner: `${cookie} pod/net1`, steered: true },
})
/** A rule of others on the node: pods go out with its address. */
const masquerade = (how: string) =>
  vm.must(`ip netns exec ${on} nft -f -`, {
    stdin: `table inet others {
      chain out {
        type nat hook postrouting priority srcnat
        ip saddr 10.9.0.0/24 oifname "wire0" ${how}
        ${how.includes('ip') ? '' : `ip6 saddr fd00:9::/64 oifname "wire0" ${how}`}
      }
    }\n`,
  })
const question = (protocol: 'tcp' | 'udp', family: 'v4' | 'v6', more: Partial<Ask> = {}): Ask => ({
  ...{ protocol, address: SERVER[family], port: 9000, bytes: 100, timeoutMs: 30_000, ...more },
})
/** The addresses at which the server saw clients. */
const seen = async (who: Agent, questions: readonly Ask[]) =>
  (await who.ask(questions)).map(({ peer }) => peer)
const read = async () => (await vm.must(`ip netns exec ${on} cat ${setting}`)).trim()

group('a program of the node', () => {
  test('that binds to such a port is seen at another one, and answered at once', async () => {
    await drive(vm, [run(reserve(keysOf([50_050])))], { on })
    for (const protocol of ['tcp', 'udp'] as const) {
      const questions = families.map((family) =>
        question(protocol, family, {
          ...{ sourcePort: 50_050, sourceAddress: NODE[family] },
          // Before anything could be sent again.
          timeoutMs: 900,
        }),
      )
      const peers = await seen(node, questions)
      expect(peers.map(({ address }) => address)).toEqual(families.map((family) => NODE[family]))
      for (const { port } of peers) expect(port).not.toBe(50_050)
    }
    // A port of another protocol, and the same one of another address.
    const [other] = await seen(node, [question('tcp', 'v4', { sourcePort: 50_051 })])
    expect(other?.port).toBe(50_051)
  })

  test('gets none of them from the kernel in 2,000 connections', async () => {
    await drive(vm, [run({ do: 'localports.reserve', ports: [...mapped, ...bound], were: [] })], { on })
    const ports: number[] = []
    for (let turn = 0; turn < 4; turn++) {
      const questions = Array.from({ length: 500 }, (_, at) =>
        question(at % 4 < 2 ? 'tcp' : 'udp', families[at % 2] ?? 'v4'),
      )
      ports.push(...(await node.ask(questions)).map(({ local }) => local.port))
    }
    expect(ports).toHaveLength(2000)
    expect(ports.filter((port) => mapped.includes(port))).toEqual([])
  })
})

group('a pod that others masquerade', () => {
  test.each([
    ['keep its port', 'masquerade'],
    ['give it one by chance', 'masquerade fully-random'],
    ['give it an address of their choice', `snat ip to ${NODE.v4}`],
  ])(
    'to such a port where they %s: 500 connections, none is lost and none comes from there',
    async (_, how) => {
      await masquerade(how)
      // An attachment for each hundred.
      const parts = [0, 1, 2, 3].map((at) => mapped.slice(at * 100, at * 100 + 100))
      await drive(
        vm,
        parts.map((ports, at) => run(reserve(keysOf(ports), `${cookies[0].slice(0, 30)}c${at}`))),
        { on },
      )
      const usual = how.includes('ip') ? (['v4', 'v4'] as const) : families
      const peers = await seen(
        pod,
        Array.from({ length: 500 }, (_, at) =>
          question(at % 4 < 2 ? 'tcp' : 'udp', usual[at % 2] ?? 'v4', {
            // Half of them where it matters.
            ...(at % 3 === 0 ? { sourcePort: mapped[at % 400] ?? 0 } : {}),
          }),
        ),
      )
      expect(new Set(peers.map(({ address }) => address))).toEqual(
        new Set(usual.map((family) => NODE[family])),
      )
      expect(peers.filter(({ port }) => mapped.includes(port))).toEqual([])
    },
  )

  test('a translation that was tried again is forgotten, and what is not steered is nobody’s business', async () => {
    await masquerade('masquerade')
    await drive(vm, [run(reserve([key(NODE.v4, 'tcp', 50_050)]))], { on })
    const peers = await seen(pod, [
      question('tcp', 'v4', { sourcePort: 50_051 }),
      question('udp', 'v4', { sourcePort: 50_050 }),
      question('tcp', 'v6', { sourcePort: 50_050 }),
    ])
    expect(peers.map(({ port }) => port)).toEqual([50_051, 50_050, 50_050])
    await seen(pod, [question('tcp', 'v4', { sourcePort: 50_050 })])
    const listed = await vm.must(`ip netns exec ${on} nft list map inet vf-flower again4`)
    expect(listed).toMatch(
      /10\.9\.0\.2 \. tcp \. 50050 \. 10\.8\.0\.2 \. 9000 (timeout \S+ )?expires \S+ : 10\.8\.0\.1/,
    )
  })
})

test('the chains are what nft makes of the same words, and go with the last port that needs them', async () => {
  const listed = (namespace: string) => vm.must(`ip netns exec ${namespace} nft -y list table inet vf-flower`)
  // The last one ends with the table, too.
  const blocks = (text: string) => text.split(/\n\n|\{\n/).map((block) => block.trim().replace(/\n\}$/, ''))
  await drive(vm, [run(reserve(keysOf([50_050])))], { on })
  await vm.must(`ip netns exec kept-server nft -f -`, {
    stdin: `table inet vf-flower {
      set steered4 { type ipv4_addr . inet_proto . inet_service; }
      set steered6 { type ipv6_addr . inet_proto . inet_service; }
      map again4 { type ipv4_addr . inet_proto . inet_service . ipv4_addr . inet_service : ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }
      map again6 { type ipv6_addr . inet_proto . inet_service . ipv6_addr . inet_service : ipv6_addr; size 65535; flags dynamic,timeout; timeout 1m; }
    }
    ${keptOffChains('vf-flower')}`,
  })
  const theirs = blocks(await listed('kept-server')).filter((block) => !block.startsWith('type ipv'))
  await vm.must('ip netns exec kept-server nft delete table inet vf-flower')
  expect(theirs.filter((block) => block.includes('hook'))).toHaveLength(3)
  expect(blocks(await listed(on))).toEqual(expect.arrayContaining(theirs.filter((block) => block.length > 2)))

  const chains = async () =>
    [...(await listed(on)).matchAll(/chain (\S+)/g)]
      .map(([, name]) => name ?? '')
      // Each owner has one.
      .filter((name) => !name.startsWith('from-'))
      .sort()
  const plain = { ...reserve([key(NODE.v4, 'tcp', 1)], cookies[1]), steered: false } as Op
  await drive(vm, [run(plain)], { on })
  expect(await chains()).toEqual([
    ...['again', 'clash', 'elsewhere', 'output', 'postrouting', 'prerouting', 'steered'],
  ])
  await drive(vm, [ask('releasePorts', cookies[0])], { on })
  expect(await chains()).toEqual(['output', 'postrouting', 'prerouting'])
  await drive(vm, [ask('releasePorts', cookies[1])], { on })
  expect(await vm.must(`ip netns exec ${on} nft list ruleset`)).toBe('')
})

test('chains and ports come back after a flush with the reservation, and go with its owner', async () => {
  type Reserving = Extract<Op, { owner: string }>
  const local = { ...reserve([key('127.0.0.1', 'tcp', 2)]), steered: false } as Reserving
  const [mine, others] = [
    reserve([...keysOf([50_050]), key('127.0.0.1', 'tcp', 50_050)], cookies[0]),
    { ...local, owner: `${cookies[1]} other/net1` },
  ] as [Reserving, Reserving]
  const look = () => ask('verify', [{ op: mine }, { op: others }])
  const listed = () => vm.must(`ip netns exec ${on} nft list ruleset`)
  const tableNow = async () => {
    const [table] = await drive(vm, [ask('portTable')], { on })
    return table
  }
  await drive(vm, [run(mine), run(others)], { on })
  for (const loss of [
    'flush ruleset',
    'flush set inet vf-flower steered6',
    'flush chain inet vf-flower again',
  ]) {
    await vm.must(`ip netns exec ${on} nft '${loss}'`)
    const [, found] = await drive(vm, [ask('completeTable', [mine, others]), look()], { on })
    expect(found, loss).toEqual([])
  }
  // Elements of a name that nobody wants any more stand in nobody's way.
  await vm.must(`ip netns exec ${on} nft 'delete element inet vf-flower steered4 { ${NODE.v4} . tcp . 50050 }
    add element inet vf-flower steered4 { ${NODE.v4} . tcp . 50050 comment "${'c'.repeat(32)} gone/net1" }'`)
  const [{ restored, refused }, found] = await drive(vm, [ask('completeTable', [mine, others]), look()], {
    on,
  })
  expect([restored, refused, found]).toEqual([[mine.owner], [], []])

  await vm.must(`ip netns exec ${on} nft delete chain inet vf-flower from-${'c'.repeat(32)}`)

  // One by its keys, beside the other; the last one with the table.
  const [released] = await drive(vm, [ask('releasePorts', cookies[0], mine, await tableNow())], { on })
  expect(released).toMatchObject({ tableGone: false })
  const left = await listed()
  expect(left).not.toContain(cookies[0])
  for (const name of ['steered', 'again', 'elsewhere', 'clash']) expect(left).not.toContain(`chain ${name} `)
  expect(left).toContain('chain guard')
  const [alone] = await drive(vm, [ask('verify', [{ op: others }])], { on })
  expect(alone).toEqual([])
  const [last] = await drive(vm, [ask('releasePorts', cookies[1], others, await tableNow())], { on })
  expect([last.tableGone, await listed()]).toEqual([true, ''])

  // The only one, by its keys too, and where the record says more than there is.
  for (const loss of ['list tables', 'flush set inet vf-flower steered4']) {
    await drive(vm, [run(mine)], { on })
    await vm.must(`ip netns exec ${on} nft '${loss}'`)
    const [only] = await drive(vm, [ask('releasePorts', cookies[0], mine, await tableNow())], { on })
    expect([only.tableGone, await listed()], loss).toEqual([true, ''])
  }
})

test('a look finds a port that is reserved no more, a missing element and a missing rule', async () => {
  const ops: Op[] = [
    { do: 'localports.reserve', ports: [50_050, 50_051], were: [] },
    reserve([key(NODE.v4, 'tcp', 50_050), key(NODE.v6, 'udp', 50_051)]),
  ]
  const done = ops.map((op) => ({ op }))
  await drive(vm, ops.map(run), { on })
  const look = async () => {
    const [found] = await drive(vm, [ask('verify', done)], { on })
    return found.map(({ at, found }) => [at, found])
  }
  expect(await look()).toEqual([])
  await vm.must(`ip netns exec ${on} sh -c 'echo 50051 >${setting}
    nft delete element inet vf-flower steered4 { 10.8.0.1 . tcp . 50050 }
    nft flush chain inet vf-flower elsewhere'`)
  const found = await look()
  expect(found).toContainEqual([0, 'net.ipv4.ip_local_reserved_ports without 50050'])
  expect(found).toContainEqual([1, 'no such element'])
  expect(found.filter(([, words]) => words === 'nothing like it')).toHaveLength(2)
})

group('ip_local_reserved_ports', () => {
  test('takes a thousand scattered ports beside those of the operator, and gives back only them', async () => {
    const scattered = Array.from({ length: 1000 }, (_, at) => 20_000 + 7 * at)
    await vm.must(`ip netns exec ${on} sh -c 'echo 100-200,20007,65535 >${setting}'`)
    const op: Op = { do: 'localports.reserve', ports: scattered, were: [20_007] }
    await drive(vm, [run(op)], { on })
    const [now] = await drive(vm, [ask('localPorts')], { on })
    expect([...now].sort((a, b) => a - b)).toEqual(
      [...Array.from({ length: 101 }, (_, at) => 100 + at), ...scattered, 65_535].sort((a, b) => a - b),
    )
    await drive(vm, [run({ ...op, do: 'localports.release' })], { on })
    expect(await read()).toBe('100-200,20007,65535')
    // The ports that stay do not fit into one write either.
    await drive(vm, [run(op), run({ do: 'localports.release', ports: [20_000], were: [] })], { on })
    const [left] = await drive(vm, [ask('localPorts')], { on })
    expect(left.length).toBe(101 + 999 + 1)
    await drive(vm, [run({ do: 'localports.release', ports: [...left], were: [] })], { on })
    expect(await read()).toBe('')
  })
})

test('open connections of a port are found with both ends, its sockets and the translations to it', async () => {
  const keys = keysOf(bound)
  const open = async (of: readonly PortKey[] = keys) => {
    const [found] = await drive(vm, [ask('openConnections', of)], { on })
    return found.map(({ inode: _inode, v6only: _v6only, ...rest }) => rest)
  }
  const to = { address: SERVER.v4, port: 9000 }
  const to6 = { address: SERVER.v6, port: 9000 }
  const from = (port: number, address: string = NODE.v4) => ({ address, port })
  expect(await open()).toEqual([])
  await masquerade('masquerade')
  const running: LabProcess[] = []
  const hold = async (where: string, end: string) => {
    running.push(
      await vm.spawn(['ip', 'netns', 'exec', where, 'socat', end, 'PIPE'], {
        timeoutMs: 0,
        stdin: '',
      }),
    )
  }
  try {
    await hold(on, `TCP4:${SERVER.v4}:9000,bind=${NODE.v4}:51050`)
    await hold(on, `TCP6:[${SERVER.v6}]:9000,bind=[${NODE.v6}]:51050`)
    await hold(on, `UDP4:${SERVER.v4}:9000,bind=${NODE.v4}:51051`)
    await hold(on, 'UDP4-RECV:51052')
    await hold(on, `TCP4-LISTEN:51051,bind=${NODE.v4}`)
    await hold('kept-pod', `TCP4:${SERVER.v4}:9000,bind=10.9.0.2:51053`)
    await pod.ask([question('udp', 'v6', { sourcePort: 51_053 })])
    const sorted = (list: readonly object[]) => list.map((one) => JSON.stringify(one)).sort()
    await expect
      .poll(async () => sorted(await open()), { timeout: 10_000 })
      .toEqual(
        sorted([
          { proto: 'tcp', local: from(51_050), peer: to },
          { proto: 'tcp', local: from(51_050, NODE.v6), peer: to6 },
          { proto: 'udp', local: from(51_051), peer: to },
          { proto: 'udp', local: from(51_052, '0.0.0.0'), peer: undefined },
          { proto: 'tcp', local: from(51_053), peer: to, source: from(51_053, '10.9.0.2') },
          { proto: 'udp', local: from(51_053, NODE.v6), peer: to6, source: from(51_053, 'fd00:9::2') },
        ]),
      )
    // The same of more ports than are asked for one by one, and of one alone.
    expect(await open(keysOf(Array.from({ length: 40 }, (_, at) => 51_030 + at)))).toHaveLength(6)
    expect(await open([key(NODE.v4, 'tcp', 51_053)])).toHaveLength(1)
    expect(await open([key('10.8.0.9', 'tcp', 51_050), key(NODE.v4, 'sctp', 51_050)])).toEqual([])
  } finally {
    for (const child of running) {
      child.kill('SIGKILL')
      await child.wait()
    }
  }
  // A connection that is over waits for nothing: TIME_WAIT of a socket, and of a connection that is tracked.
  await vm.must(`ip netns exec ${on} conntrack -D -p udp 2>/dev/null || true`)
  await expect.poll(open, { timeout: 10_000 }).toEqual([])
})
