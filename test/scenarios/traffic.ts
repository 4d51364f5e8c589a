/** Scenarios P6 to P12, P16, P17, P19 and P20: who reaches whom. */
import { expect } from 'vitest'
import { BEYOND, FAMILIES, SECOND } from '../../hack/lab/bed/port-node.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'
import type { Ask } from '../../hack/lab/bed/traffic.ts'
import {
  at,
  bothFamilies,
  expectNobody,
  expectServer,
  expectUsual,
  type Scenario,
  tcp,
  tracked,
  USUAL,
  udp,
  usual,
  usualServers,
} from './scenario.ts'

/** Questions for the pod itself, at its own ports. */
function direct(address: string): Ask[] {
  return [
    { protocol: 'tcp', address, port: 80, bytes: 20_000 },
    { protocol: 'udp', address, port: 53 },
  ]
}

export const trafficScenarios: readonly Scenario[] = [
  {
    id: 'P6',
    title: 'every client reaches the mapped ports and the pod itself, also from one port for both',
    holds: tracked,
    shown: [at('igb'), at('ptp')],
    run: async (scene) => {
      const { one, add, check, natConfig, node } = scene
      const result = await add(one, USUAL, { config: natConfig })
      await expectUsual(scene, one)
      for (const client of node.clients) {
        await expectServer(client.agent, bothFamilies(one, direct), usualServers(one, 2))
        const shared = (address: string): Ask[] =>
          direct(address).map((ask) => ({ ...ask, sourcePort: 40_000 }))
        const mapped = (address: string): Ask[] => usual(address, { sourcePort: 40_000 })
        // At once for TCP, whose sockets may share a port; one after the other for UDP.
        await client.agent.ask(
          FAMILIES.flatMap((family) => [shared(one[family])[0], mapped(HOST[family])[0]]).filter(
            (ask) => ask !== undefined,
          ),
        )
        for (const ask of FAMILIES.flatMap((family) => [shared(one[family])[1], mapped(HOST[family])[1]])) {
          if (ask !== undefined) await client.agent.ask([ask])
        }
      }
      await check(one, USUAL, { config: natConfig, prevResult: result })
    },
  },
  {
    id: 'P6',
    title: 'without connections all clients reach the mapped ports, and nobody the pod’s own',
    holds: (_, nat) => nat === 'nic',
    shown: [at('simnic-full', 'nic')],
    run: async (scene) => {
      const { one, add, check, natConfig, node } = scene
      await add(one, USUAL, { config: natConfig })
      await expectUsual(scene, one)
      const [{ agent }] = node.clients
      await expectNobody(agent, bothFamilies(one, direct))
      await check(one, USUAL, { config: natConfig })
    },
  },
  {
    id: 'P6',
    title: 'clients of directSubnets reach the pod itself, all others the mapped ports',
    holds: (_, nat) => nat === 'nic',
    shown: [at('simnic-full', 'nic')],
    run: async ({ one, add, natConfig, node }) => {
      const config = { ...natConfig, directSubnets: ['10.1.0.0/24', 'fd00:1::/64'] }
      await add(one, USUAL, { config })
      const [a, b] = node.clients
      await expectServer(a.agent, bothFamilies(one, direct), usualServers(one, 2))
      await expectServer(
        b.agent,
        bothFamilies(HOST, (address) => usual(address)),
        usualServers(one, 2),
      )
      await expectNobody(
        a.agent,
        bothFamilies(HOST, (address) => usual(address)),
      )
    },
  },
  {
    id: 'P8',
    title: 'the pod reaches itself by the node’s address',
    shown: [at('host-nic'), at('ptp')],
    run: async ({ one, add, natConfig }) => {
      await add(one, USUAL, { config: natConfig })
      await expectServer(
        one.agent,
        bothFamilies(HOST, (address) => usual(address)),
        usualServers(one, 2),
      )
    },
  },
  {
    id: 'P10',
    title: 'one host port for TCP and for UDP leads to different ports',
    shown: [at('simnic-full', 'nic')],
    run: async ({ one, add, natConfig, node }) => {
      await add(one, [tcp(8080, 80), udp(8080, 81)], { config: natConfig })
      const ask = (address: string): Ask[] => [
        { protocol: 'tcp', address, port: 8080 },
        { protocol: 'udp', address, port: 8080 },
      ]
      const servers = [`${one.name} tcp 80`, `${one.name} udp 81`]
      for (const { agent } of node.clients) {
        await expectServer(agent, bothFamilies(HOST, ask), [...servers, ...servers])
      }
    },
  },
  {
    id: 'P11',
    title: 'two host ports lead to one port of the pod, also at once from one client port',
    holds: tracked,
    shown: [at('igb')],
    run: async ({ one, add, natConfig, node }) => {
      await add(one, [tcp(8080, 80), tcp(8081, 80), udp(5353, 53), udp(5354, 53)], { config: natConfig })
      for (const { agent } of node.clients) {
        const ask = (address: string): Ask[] =>
          [8080, 8081].map((port) => ({ protocol: 'tcp', address, port, sourcePort: 40_001 }))
        await expectServer(agent, bothFamilies(HOST, ask), `${one.name} tcp 80`)
        const datagrams = (address: string): Ask[] =>
          [5353, 5354].map((port) => ({ protocol: 'udp', address, port }))
        await expectServer(agent, bothFamilies(HOST, datagrams), `${one.name} udp 53`)
      }
    },
  },
  {
    id: 'P11',
    title: 'without connections two host ports on one port of the pod are refused, and both are named',
    holds: (_, nat) => nat === 'nic',
    shown: [at('simnic-full', 'nic')],
    run: async ({ one, refused, natConfig }) => {
      const error = await refused('ADD', one, [tcp(8080, 80), tcp(8081, 80)], { config: natConfig })
      expect(error.code).toBe(7)
      expect(error.msg).toMatch(/port 8080 and .* port 8081 both lead to/)
    },
  },
  {
    id: 'P12',
    title: 'a hostIP is mapped and the node’s other addresses are not',
    shown: [at('igb')],
    namesAddresses: true,
    run: async (scene) => {
      const { one, add, natConfig, node } = scene
      const mappings = FAMILIES.flatMap((family) => [
        tcp(8080, 80, { hostIP: SECOND[family] }),
        udp(5353, 53, { hostIP: SECOND[family] }),
      ])
      await add(one, mappings, { config: natConfig })
      await expectUsual(scene, one, SECOND)
      const server = await node.host.serve(
        FAMILIES.flatMap((family) => [
          { name: 'host', protocol: 'tcp', port: 8080, address: HOST[family] },
          { name: 'host', protocol: 'udp', port: 5353, address: HOST[family] },
        ]),
      )
      for (const { agent } of node.clients) {
        await expectServer(
          agent,
          bothFamilies(HOST, (address) => usual(address)),
          'host',
        )
      }
      await server.stop()
    },
  },
  {
    id: 'P12',
    title:
      'without connections a mapping for two addresses of one family is refused, and hostIP is the way out',
    holds: (_, nat) => nat === 'nic',
    shown: [at('simnic-full', 'nic')],
    namesAddresses: true,
    run: async (scene) => {
      const { one, add, refused, expectClean, natConfig } = scene
      const error = await refused('ADD', one, USUAL, { config: natConfig })
      expect(error.code).toBe(7)
      expect(error.msg).toMatch(/10\.1\.0\.1 port 5353 and 10\.1\.0\.3 port 5353 both lead to .* by hostIP$/)
      await expectClean()
      // A config that leaves the choice to the plugin has the pod translate.
      await add(one, USUAL, { config: { directSubnets: ['10.9.0.0/24'] } })
      for (const addresses of [HOST, SECOND]) await expectUsual(scene, one, addresses)
    },
  },
  {
    id: 'P16',
    title: 'IPv4 leads to IPv4 and IPv6 to IPv6, on all addresses of the node',
    run: async (scene) => {
      const { one, add, natConfig, nat } = scene
      await add(one, USUAL, { config: natConfig })
      for (const addresses of nat === 'nic' ? [HOST] : [HOST, SECOND])
        await expectUsual(scene, one, addresses)
      await scene.del(one)
      for (const family of FAMILIES) {
        await add(one, USUAL, { config: natConfig, families: [family] })
        await expectUsual(scene, one, HOST, [family])
        await scene.del(one)
      }
    },
  },
  {
    id: 'P17',
    title: 'twenty ports in one ADD',
    run: async ({ one, add, natConfig, node }) => {
      const ports = Array.from({ length: 20 }, (_, index) => 9000 + index)
      const server = await one.agent.serve(
        ports.map((port) => ({
          name: String(port),
          protocol: port % 2 === 0 ? 'tcp' : 'udp',
          port: port + 100,
        })),
      )
      await add(
        one,
        ports.map((port) => (port % 2 === 0 ? tcp(port, port + 100) : udp(port, port + 100))),
        { config: natConfig },
      )
      const ask = (address: string): Ask[] =>
        ports.map((port) => ({ protocol: port % 2 === 0 ? 'tcp' : 'udp', address, port }))
      const names = ports.map(String)
      for (const { agent } of node.clients) {
        await expectServer(agent, bothFamilies(HOST, ask), [...names, ...names])
      }
      await server.stop()
    },
  },
  {
    id: 'P19',
    title: 'what the node only forwards is not mapped, nor another pod’s port of the same number',
    shown: [at('simnic-legacy')],
    run: async ({ one, two, add, natConfig, node }) => {
      await add(one, USUAL, { config: natConfig })
      const [{ agent }] = node.clients
      await expectServer(
        agent,
        bothFamilies(BEYOND, (address) => usual(address)),
        'beyond',
      )
      const ask = (address: string): Ask[] => [{ protocol: 'tcp', address, port: 8080 }]
      await expectServer(agent, bothFamilies(two, ask), `${two.name} tcp 8080`)
    },
  },
  {
    id: 'P20',
    title: 'with snat false clients keep their addresses too',
    run: async (scene) => {
      const { one, add, natConfig } = scene
      await add(one, USUAL, { config: { ...natConfig, snat: false } })
      await expectUsual(scene, one)
    },
  },
]
