/** Scenarios N1 to N7: what goes on in a pod beside the translation, and where its limits are. */
import { expect } from 'vitest'
import type { Agent } from '../../hack/lab/bed/agent.ts'
import { portOf } from '../../hack/lab/bed/port-bed.ts'
import { SECOND } from '../../hack/lab/bed/port-node.ts'
import { CLIENT_B, HOST, ROUTER } from '../../hack/lab/bed/topology.ts'
import type { Ask } from '../../hack/lab/bed/traffic.ts'
import {
  at,
  bothFamilies,
  expectNobody,
  expectServer,
  expectUsual,
  type Scenario,
  type Scene,
  tcp,
  tracked,
  USUAL,
  udp,
  usual,
  usualServers,
} from './scenario.ts'

/** A firewall as an administrator of a pod writes it: whatever is not allowed is dropped, both ways. */
const FIREWALL = `table inet fw {
  chain in {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iif lo accept
    meta l4proto ipv6-icmp accept
    ct state new tcp dport 80 accept
    ct state new udp dport 53 accept
  }
  chain out {
    type filter hook output priority filter; policy drop;
    ct state established,related accept
    oif lo accept
    meta l4proto ipv6-icmp accept
  }
}`

/** Datagrams to the pod itself and to its mapped port that have to be sent in fragments. */
const large = (address: string, port: number): Ask[] => [{ protocol: 'udp', address, port, bytes: 3_000 }]

export const podScenarios: readonly Scenario[] = [
  {
    id: 'N1',
    title: 'a firewall in the pod with connection tracking and policy drop sees ordinary connections',
    shown: [at('simnic-sfc')],
    run: async (scene) => {
      const { one, lab, add, natConfig, node, nat } = scene
      const inPod = (command: string) => lab.must(`ip netns exec ${one.name} nft ${command}`)
      await inPod(`-f - <<'END'\n${FIREWALL}\nEND`)
      try {
        await add(one, USUAL, { config: natConfig })
        await expectUsual(scene, one)
        if (nat === 'pod') {
          for (const { agent } of node.clients) {
            await expectServer(
              agent,
              bothFamilies(one, (address) => direct(address)),
              usualServers(one, 2),
            )
          }
        }
        // It is not open for all: what it does not name does not get through.
        const [{ agent }] = node.clients
        await expectNobody(agent, [{ protocol: 'tcp', address: one.v4, port: 81 }])
      } finally {
        await inPod('delete table inet fw')
      }
    },
  },
  {
    id: 'N2',
    title: 'a UDP answer of 4,000 bytes arrives, from the address that was asked',
    holds: tracked,
    shown: [at('simnic-sfc')],
    run: async ({ one, add, natConfig, node }) => {
      await add(one, [udp(5400, 4000)], { config: natConfig })
      const ask = (address: string): Ask[] => [
        { protocol: 'udp', address, port: 5400, bytes: 100, padding: 4000 },
      ]
      for (const { agent } of node.clients) {
        await expectServer(agent, bothFamilies(HOST, ask), `${one.name} udp 4000`)
      }
    },
  },
  {
    id: 'N3',
    title: 'who asks a closed port of the pod is told so at once, TCP and UDP',
    holds: tracked,
    shown: [at('host-nic')],
    run: async ({ one, add, natConfig, node }) => {
      await add(one, [tcp(5999, 5999), udp(5999, 5999)], { config: natConfig })
      for (const { agent } of node.clients) {
        const outcomes = await agent.tryAsk(
          bothFamilies(HOST, (address) => [
            { protocol: 'tcp', address, port: 5999 },
            { protocol: 'udp', address, port: 5999 },
          ]),
        )
        const errors = outcomes.map((outcome) => (outcome.ok ? outcome.server : outcome.error))
        expect(errors).toEqual(errors.map(() => 'ECONNREFUSED'))
      }
    },
  },
  {
    id: 'N4',
    title: 'a pod that redirects its own inbound traffic does so for direct connections, not for mapped ones',
    holds: (kind, nat) => nat === 'pod' && portOf[kind] !== 'veth',
    shown: [at('simnic-full')],
    run: (scene) => redirected(scene, `${scene.one.name} tcp 80`),
  },
  {
    id: 'N4',
    title: 'a pod that redirects its own inbound traffic does so for direct and mapped connections',
    holds: (kind) => portOf[kind] === 'veth',
    run: (scene) => redirected(scene, `${scene.one.name} tcp 81`),
  },
  {
    id: 'N5',
    title: 'a datagram in fragments reaches the pod itself and, by the host’s stack, the mapped port',
    holds: tracked,
    shown: [at('igb')],
    run: async ({ one, add, natConfig, node, kind }) => {
      await add(one, USUAL, { config: natConfig })
      for (const client of node.clients) {
        const direct = bothFamilies(one, (address) => large(address, 53))
        const mapped = bothFamilies(HOST, (address) => large(address, 5353))
        const answers = await client.agent.ask([...direct, ...mapped])
        expect(answers.map(({ server }) => server)).toEqual(answers.map(() => `${one.name} udp 53`))
        // Replies of a VF or a NIC would not come back by the host: it masks the client.
        const peers = answers.slice(2).map(({ peer }) => peer.address)
        const nodes = [HOST.v4, HOST.v6, SECOND.v4, SECOND.v6] as readonly string[]
        if (portOf[kind] === 'veth') expect(peers).toEqual([client.v4, client.v6])
        else expect(peers.filter((peer) => !nodes.includes(peer))).toEqual([])
      }
    },
  },
  {
    id: 'N5',
    title:
      'without connections a datagram in fragments reaches the mapped port by the host’s stack; an answer in fragments is lost',
    holds: (_, nat) => nat === 'nic',
    shown: [at('simnic-full', 'nic')],
    run: async ({ one, add, natConfig, node }) => {
      await add(one, [...USUAL, udp(5400, 4000)], { config: natConfig })
      const [{ agent }] = node.clients
      await expectServer(
        agent,
        bothFamilies(HOST, (address) => large(address, 5353)),
        `${one.name} udp 53`,
      )
      await expectNobody(
        agent,
        bothFamilies(HOST, (address) => [
          { protocol: 'udp', address, port: 5400, bytes: 100, padding: 4000 },
        ]),
      )
    },
  },
  {
    id: 'N6',
    title: 'a narrow link on the way: direct and mapped connections learn of it',
    holds: (kind) => portOf[kind] === 'veth',
    shown: [at('ptp')],
    run: (scene) =>
      behindNarrowLink(scene, async (agent, direct, mapped) => {
        await expectServer(agent, [...direct, ...mapped], `${scene.one.name} tcp 80`)
      }),
  },
  {
    id: 'N6',
    title:
      'a narrow link on the way: direct connections learn of it, mapped ones by probing (tcp_mtu_probing)',
    holds: (kind) => portOf[kind] !== 'veth',
    shown: [at('simnic-sfc')],
    run: (scene) =>
      behindNarrowLink(scene, async (agent, direct, mapped) => {
        const server = `${scene.one.name} tcp 80`
        const probing = (value: number) =>
          scene.lab.must(
            `ip netns exec ${scene.one.name} sh -c 'echo ${value} >/proc/sys/net/ipv4/tcp_mtu_probing'`,
          )
        // Things that the pod has learned of a client hold for all connections with it: the mapped ones come first.
        await expectNobody(
          agent,
          mapped.map((ask) => ({ ...ask, timeoutMs: 4_000 })),
        )
        await probing(1)
        await expectServer(agent, mapped, server)
        await probing(0)
        if (scene.nat === 'pod') await expectServer(agent, direct, server)
      }),
  },
]

/** Questions for the pod itself. */
function direct(address: string): Ask[] {
  return usual(address).map((ask) => ({ ...ask, port: ask.protocol === 'tcp' ? 80 : 53 }))
}

/** Has the pod send what comes for its port 80 to port 81; `mapped` is the server that clients of the mapped port get. */
async function redirected({ one, lab, add, natConfig, node }: Scene, mapped: string): Promise<void> {
  const inPod = (command: string) => lab.must(`ip netns exec ${one.name} nft ${command}`)
  await inPod(`-f - <<'END'
table inet mesh {
  chain prerouting { type nat hook prerouting priority dstnat; policy accept; tcp dport 80 redirect to :81; }
}
END`)
  try {
    await add(one, [tcp(8080, 80)], { config: natConfig })
    const ask =
      (port: number) =>
      (address: string): Ask[] => [{ protocol: 'tcp', address, port }]
    for (const { agent } of node.clients) {
      await expectServer(agent, bothFamilies(one, ask(80)), `${one.name} tcp 81`)
      await expectServer(agent, bothFamilies(HOST, ask(8080)), mapped)
    }
  } finally {
    await inPod('delete table inet mesh')
  }
}

/**
 * Makes the link before client B narrower than it says that it can take, maps the usual ports, and calls `check` with
 * questions whose answers do not fit.
 */
async function behindNarrowLink(
  { one, lab, add, natConfig, node }: Scene,
  check: (agent: Agent, direct: readonly Ask[], mapped: readonly Ask[]) => Promise<void>,
): Promise<void> {
  const [, { agent }] = node.clients
  const download = (address: string, port: number): Ask[] => [
    { protocol: 'tcp', address, port, bytes: 30_000, timeoutMs: 40_000 },
  ]
  const setLink = (mtu: number, [v4, v6]: readonly [string, string]) =>
    lab.must(`ip -n ${ROUTER.namespace} link set far mtu ${mtu}
      ip -n ${CLIENT_B.namespace} link set eth0 mtu ${mtu}
      ip -n ${CLIENT_B.namespace} route change default via 10.2.0.254 ${v4}
      ip -n ${CLIENT_B.namespace} route change default via fd00:2::fe ${v6}`)
  await add(one, USUAL, { config: natConfig })
  await setLink(1_300, ['advmss 1460', 'advmss 1440'])
  try {
    await check(
      agent,
      bothFamilies(one, (address) => download(address, 80)),
      bothFamilies(HOST, (address) => download(address, 8080)),
    )
  } finally {
    await setLink(1_500, ['', ''])
    await lab.must(`ip -n ${one.name} route flush cache; ip -n ${one.name} -6 route flush cache`)
  }
}
