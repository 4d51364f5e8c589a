// Makes the tests that the node keeps its own connections beside port mappings on a card. In: the numbers of connections. Out: tests for
// vitest, on igb in legacy mode (in software) and on simnic in switchdev mode (in the NIC; from source, not hardware).
import { expect, describe as group, test } from 'vitest'
import { type Agent, startAgent } from '../../hack/lab/bed/agent.ts'
import { type KindName, makeBed, type PortBed } from '../../hack/lab/bed/port-bed.ts'
import { BEYOND, makeNode, type Nic } from '../../hack/lab/bed/port-node.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'
import type { Ask, Outcome } from '../../hack/lab/bed/traffic.ts'
import { lab } from './lab.ts'

/** The numbers of connections that the node opens, and a pod that it masquerades, and the range of their ports. */
export interface Extent {
  readonly node: number
  readonly masqueraded: number
  readonly range: readonly [first: number, last: number]
  readonly mapped: readonly number[]
}

const families = ['v4', 'v6'] as const
const protocols = ['tcp', 'udp'] as const
/** Ports of the server on the wire. A port of the client is used once for each of them. */
const SERVED = Array.from({ length: 10 }, (_, at) => 9000 + at)
/** Connections at one time. */
const AT_ONCE = 100
const setting = '/proc/sys/net/ipv4/ip_local_reserved_ports'

/** One test for each card. */
export function describeOwnConnections(extent: Extent): void {
  const kinds: readonly [KindName, Nic, 'nic' | 'host'][] = [
    ['igb', 'igb', 'host'],
    ['simnic-full', 'simnic', 'nic'],
  ]
  group.each(kinds)('%s', (kind, nic, where) => {
    test('the node and a pod that it masquerades lose no connection to mapped ports', {
      timeout: 900_000,
    }, async () => {
      const node = await makeNode(await lab(), nic)
      const bed = await makeBed(node, kind)
      const pod = await startAgent(bed.lab, BEYOND.namespace)
      try {
        await prepare(bed, extent)
        await loseNone(bed, pod, extent, where)
      } finally {
        await pod.end()
        await bed.lab.must(`nft delete table inet others; cat /run/before-range >/proc/sys/net/ipv4/ip_local_port_range
          cat /run/before-reuse >/proc/sys/net/ipv4/tcp_tw_reuse; echo >${setting}
          rm /run/before-range /run/before-reuse`)
      }
      await bed.reset()
      await bed.end()
      await node.end()
    })
  })
}

async function prepare({ lab, node }: PortBed, { range }: Extent): Promise<void> {
  const [client] = node.clients
  await client.agent.serve(
    SERVED.flatMap((port) => protocols.map((protocol) => ({ name: 'client', protocol, port }))),
  )
  await lab.must(`set -e
    cd /proc/sys/net/ipv4
    cat ip_local_port_range >/run/before-range; cat tcp_tw_reuse >/run/before-reuse
    echo '${range.join(' ')}' >ip_local_port_range; echo 1 >tcp_tw_reuse
    ip netns exec ${BEYOND.namespace} sh -c "echo '${range.join(' ')}' >/proc/sys/net/ipv4/ip_local_port_range; echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse"
    nft -f - <<END
table inet others {
  chain out {
    type nat hook postrouting priority srcnat
    ip saddr ${BEYOND.v4} ip daddr ${client.v4} masquerade
    ip6 saddr ${BEYOND.v6} ip6 daddr ${client.v6} masquerade
  }
}
END`)
}

async function loseNone(bed: PortBed, pod: Agent, extent: Extent, where: 'nic' | 'host'): Promise<void> {
  const { lab, node, one, two } = bed
  const { mapped } = extent
  const [client] = node.clients
  const to = (protocol: 'tcp' | 'udp', family: 'v4' | 'v6', more: Partial<Ask> = {}): Ask => ({
    ...{ protocol, address: client[family], port: 9000, bytes: 100, timeoutMs: 60_000, ...more },
  })
  const mappings = (ports: readonly number[]) =>
    ports.flatMap((hostPort) => [
      { hostPort, containerPort: 80, protocol: 'tcp' },
      { hostPort, containerPort: 53, protocol: 'udp' },
    ])
  const half = Math.ceil(mapped.length / 2)
  const [first, second] = [mappings(mapped.slice(0, half)), mappings(mapped.slice(half))]
  await lab.must(`echo 7000-7002 >${setting}`)
  await bed.add(one, first)
  await bed.add(two, second)
  const rules = await lab.must(`tc filter show dev ${node.net.pf} ingress`)
  expect(/\bin_hw\b/.test(rules)).toBe(where === 'nic')
  // The mappings work.
  const [port = 0] = mapped
  await client.agent.ask(
    families.flatMap((family) => [
      { protocol: 'tcp', address: HOST[family], port } as const,
      { protocol: 'udp', address: HOST[family], port } as const,
    ]),
  )
  for (const [who, number] of [
    [node.host, extent.node],
    [pod, extent.masqueraded],
  ] as const) {
    const outcomes: Outcome[] = []
    for (let done = 0; done < number; done += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, number - done) }, (_, at) =>
        to(protocols[at % 2] ?? 'tcp', families[(at >> 1) % 2] ?? 'v4', {
          port: SERVED[(at >> 2) % 10] ?? 9000,
        }),
      )
      outcomes.push(...(await who.tryAsk(some)))
    }
    expect(outcomes).toHaveLength(number)
    expect(outcomes.filter(({ ok }) => !ok)).toEqual([])
    const seen = outcomes.flatMap((one) => (one.ok ? [one.peer.port] : []))
    expect(seen.filter((one) => mapped.includes(one))).toEqual([])
  }
  // A program that insists on such a port leaves from another one.
  for (const who of [node.host, pod])
    await who.ask(
      families.flatMap((family) => protocols.map((protocol) => to(protocol, family, { sourcePort: port }))),
    )
  await bed.check(one, first)
  // Without the rules that keep ports off, the connection is lost: the pod answers the other end.
  await lab.must('nft flush chain inet vf-flower elsewhere; nft flush chain inet vf-flower steered')
  const lost = await node.host.tryAsk([to('tcp', 'v4', { sourcePort: port, port: 9001, timeoutMs: 3000 })])
  expect(lost).toEqual([{ ok: false, error: expect.any(String) }])
  expect((await bed.refused('CHECK', one, first)).code).toBe(104)
  await bed.del(one)
  await bed.del(two)
  expect((await lab.must(`cat ${setting}`)).trim()).toBe('7000-7002')

  // Connections that are open before an ADD make it refuse, and go on.
  const free = mapped[1] ?? 0
  const held = await lab.spawn(['socat', '-u', `TCP4:${client.v4}:9002,bind=${HOST.v4}:${free}`, 'PIPE'], {
    timeoutMs: 0,
    stdin: '',
  })
  await lab.must(`until ss -Htn sport = :${free} | grep -q 9002; do sleep 0.05; done`)
  const refusal = await bed.refused('ADD', one, mappings([free]))
  held.kill('SIGKILL')
  await held.wait()
  expect(refusal).toMatchObject({ code: 100, msg: expect.stringContaining(`port 9002; allowConnected`) })
}
