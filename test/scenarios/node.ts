/** Scenarios P7, P9, P18, P21, P23, P24, K1 and K2: the node's own programs, other pods, other protocols and keys. */
import { expect } from 'vitest'
import { portOf } from '../../hack/lab/bed/port-bed.ts'
import { FAMILIES } from '../../hack/lab/bed/port-node.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'
import type { Ask } from '../../hack/lab/bed/traffic.ts'
import { serveSctp } from '../support/sctp.ts'
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

const LOCALHOST = '127.0.0.1'
/** The port of the Kubernetes test "HostPort validates that there is no conflict between pods". */
const K1_PORT = 54_323

/** Masquerading by wish exists where the host translates. */
const isVeth = (kind: Parameters<NonNullable<Scenario['holds']>>[0]): boolean => portOf[kind] === 'veth'

function refusedKeys(config: Readonly<Record<string, unknown>>, code: number, words: string) {
  return async ({ one, refused, natConfig }: Scene): Promise<void> => {
    const error = await refused('ADD', one, USUAL, { config: { ...natConfig, ...config } })
    expect(error.code).toBe(code)
    expect(error.msg).toContain(words)
  }
}

export const nodeScenarios: readonly Scenario[] = [
  {
    id: 'P7',
    title:
      'programs of the node reach the mapped ports at its address, and at 127.0.0.1 where that is asked for',
    shown: [at('simnic-sfc'), at('ptp')],
    run: async ({ kind, one, add, del, natConfig, node }) => {
      await add(one, USUAL, { config: { ...natConfig, localhost: false } })
      await expectServer(
        node.host,
        bothFamilies(HOST, (address) => usual(address)),
        usualServers(one, 2),
      )
      await expectNobody(node.host, usual(LOCALHOST))
      await del(one)
      // Behind a veth without a word of it.
      const asked = portOf[kind] === 'veth' ? natConfig : { ...natConfig, localhost: true }
      await add(one, USUAL, { config: asked })
      await expectServer(
        node.host,
        [...bothFamilies(HOST, (address) => usual(address)), ...usual(LOCALHOST)],
        usualServers(one, 3),
      )
      // Programs of the pod have a localhost of their own.
      await expectNobody(one.agent, usual(LOCALHOST).slice(1))
    },
  },
  {
    id: 'P9',
    title: 'a neighbour in the pod’s subnet reaches it by the node’s address',
    shown: [at('simnic-legacy'), at('ptp')],
    run: async ({ one, two, add, natConfig }) => {
      await add(one, USUAL, { config: natConfig })
      await expectServer(
        two.agent,
        bothFamilies(HOST, (address) => usual(address)),
        usualServers(one, 2),
      )
    },
  },
  {
    id: 'P18',
    title: 'SCTP is mapped',
    sctp: true,
    holds: tracked,
    shown: [at('simnic-full')],
    run: async ({ one, lab, add, natConfig, node }) => {
      await add(one, [{ hostPort: 7000, containerPort: 7001, protocol: 'sctp' }], { config: natConfig })
      for (const family of FAMILIES) {
        const server = await serveSctp(lab, one.name, family === 'v4' ? 4 : 6, 7001)
        for (const { agent } of node.clients) {
          await server.receives(agent.namespace, HOST[family], 7000, `${family} from ${agent.namespace}`)
        }
        await server.stop()
      }
    },
  },
  {
    id: 'P18',
    title: 'SCTP, which the NIC can’t translate, is refused by name',
    holds: (_, nat) => nat === 'nic',
    shown: [at('simnic-full', 'nic')],
    run: async ({ one, refused, natConfig }) => {
      const mapping = { hostPort: 7000, containerPort: 7001, protocol: 'sctp' }
      const error = await refused('ADD', one, [mapping], { config: natConfig })
      expect(error.code).toBe(2)
      expect(error.msg).toContain('sctp')
    },
  },
  {
    id: 'P21',
    title: 'masqAll: the pod sees an address of the node for everybody',
    holds: isVeth,
    shown: [at('ptp')],
    run: async ({ one, add, node }) => {
      await add(one, USUAL, { config: { masqAll: true } })
      for (const { agent } of node.clients) {
        const answers = await agent.ask(bothFamilies(HOST, (address) => usual(address)))
        const nodes = answers.map(({ peer }) =>
          ['10.88.0.1', 'fd00:88::1', HOST.v4, HOST.v6].includes(peer.address),
        )
        expect({ nodes, seen: answers.map(({ peer }) => peer.address) }).toMatchObject({
          nodes: nodes.map(() => true),
        })
      }
    },
  },
  {
    id: 'P21',
    title: 'masqAll is refused by name where clients keep their addresses by nature',
    holds: (kind) => !isVeth(kind),
    shown: [at('simnic-sfc')],
    run: refusedKeys({ masqAll: true }, 2, 'masqAll true'),
  },
  {
    id: 'P23',
    title: 'keys of another backend than the one that is named are refused in portmap’s words',
    run: refusedKeys(
      {
        backend: 'nftables',
        externalSetMarkChain: 'KUBE-MARK-MASQ',
        conditionsV4: ['!', '-d', '192.0.2.0/24'],
      },
      7,
      'nftables backend was requested but configuration contains iptables-specific options [externalSetMarkChain conditionsV4]',
    ),
  },
  {
    id: 'P24',
    title: 'a mark that is none, and two ways to mark, are refused in portmap’s words',
    run: async (scene) => {
      await refusedKeys({ markMasqBit: 32 }, 7, 'MasqMarkBit must be between 0 and 31')(scene)
      const both = { markMasqBit: 5, externalSetMarkChain: 'KUBE-MARK-MASQ' }
      await refusedKeys(both, 7, 'Cannot specify externalSetMarkChain and markMasqBit')(scene)
    },
  },
  {
    id: 'K1',
    title: 'one port for 127.0.0.1, for the node’s address and for UDP leads to three pods (conformance)',
    holds: tracked,
    shown: [at('igb')],
    run: async ({ kind, one, two, add, natConfig, node }) => {
      const port = K1_PORT
      const third = { config: natConfig, containerID: 'pod-three' }
      // Behind a veth without a word of it.
      const asked = portOf[kind] === 'veth' ? natConfig : { ...natConfig, localhost: true }
      await add(one, [tcp(port, 8080, { hostIP: LOCALHOST })], { config: asked })
      await add(two, [tcp(port, 8080, { hostIP: HOST.v4 })], { config: natConfig })
      await add(one, [udp(port, 8080, { hostIP: HOST.v4 })], third)
      const questions: Ask[] = [
        { protocol: 'tcp', address: LOCALHOST, port, sourceAddress: HOST.v4 },
        { protocol: 'tcp', address: LOCALHOST, port },
        { protocol: 'tcp', address: HOST.v4, port },
        { protocol: 'udp', address: HOST.v4, port },
      ]
      const servers = [
        `${one.name} tcp 8080`,
        `${one.name} tcp 8080`,
        `${two.name} tcp 8080`,
        `${one.name} udp 8080`,
      ]
      await expectServer(node.host, questions, servers)
      for (const { agent } of node.clients) await expectServer(agent, questions.slice(2), servers.slice(2))
    },
  },
  {
    id: 'K2',
    title: 'with localhost nobody on the wire reaches a service that the node has on 127.0.0.1 alone',
    holds: tracked,
    shown: [at('simnic-legacy'), at('ptp')],
    run: async (scene) => {
      const { one, lab, add, natConfig, node } = scene
      const [{ agent }] = node.clients
      const server = await node.host.serve([
        { name: 'secret', protocol: 'tcp', port: 8099, address: LOCALHOST },
        { name: 'secret', protocol: 'udp', port: 8099, address: LOCALHOST },
      ])
      const client = node.clients[0].agent.namespace
      // As an attacker does it: 127.0.0.0/8 by way of the node, from a machine that believes in no rule about it.
      await lab.must(`set -e
        ip netns exec ${client} sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet'
        ip -n ${client} route add 127.0.0.2 via ${HOST.v4}
        ip -n ${client} rule add pref 0 from all lookup 1000
        ip -n ${client} route add 127.0.0.1 via ${HOST.v4} src ${node.clients[0].v4} table 1000
        ip -n ${client} rule del pref 0 from all lookup local; ip -n ${client} rule add pref 10 from all lookup local`)
      try {
        await add(one, USUAL, { config: { ...natConfig, localhost: true } })
        await expectServer(node.host, [{ protocol: 'tcp', address: LOCALHOST, port: 8099 }], 'secret')
        await expectNobody(agent, [
          { protocol: 'tcp', address: LOCALHOST, port: 8099 },
          { protocol: 'udp', address: LOCALHOST, port: 8099 },
          { protocol: 'tcp', address: LOCALHOST, port: 8080 },
        ])
        await expectUsual(scene, one, HOST, FAMILIES)
      } finally {
        await server.stop()
        await lab.must(`
          ip -n ${client} rule add pref 0 from all lookup local; ip -n ${client} rule del pref 10 from all lookup local
          ip -n ${client} rule del pref 0 from all lookup 1000
          ip -n ${client} route flush table 1000; ip -n ${client} route del 127.0.0.2
          ip netns exec ${client} sh -c 'echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet'`)
      }
    },
  },
]
