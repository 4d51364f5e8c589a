/** Scenarios P1 to P5, P13 to P15 and P22 to P24: what the config says, and what becomes of it. */
import { expect } from 'vitest'
import { portOf } from '../../hack/lab/bed/port-bed.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'
import { expectServer, expectUsual, type Scenario, tcp, USUAL, udp, usual, usualServers } from './scenario.ts'

/** Values that are no port, as JSON. */
const NO_PORTS = [0, -1, 65_536, '80', 1.5, null] as const

export const configScenarios: readonly Scenario[] = [
  {
    id: 'P1',
    title: 'without prevResult an ADD is refused, whatever it maps',
    run: async ({ one, refused }) => {
      for (const mappings of [[], USUAL]) {
        const error = await refused('ADD', one, mappings, { prevResult: undefined })
        expect(error).toMatchObject({ code: 7, msg: 'must be called as chained plugin' })
      }
    },
  },
  {
    id: 'P2',
    title: 'without mappings prevResult is passed on as it came and nothing is touched',
    run: async ({ one, call, resultOf, expectClean }) => {
      const prevResult = { ...resultOf(one), unknownField: { kept: [1, 'two'] } }
      const { code, stdout, stderr } = await call('ADD', one, [], { prevResult })
      expect({ code, stderr, object: JSON.parse(stdout) }).toEqual({
        code: 0,
        stderr: '',
        object: prevResult,
      })
      await expectClean()
    },
  },
  {
    id: 'P3',
    title: 'values that are no port are refused by name',
    run: async ({ one, refused, natConfig }) => {
      for (const value of NO_PORTS) {
        for (const key of ['hostPort', 'containerPort']) {
          const error = await refused('ADD', one, [{ ...tcp(8080, 80), [key]: value }], { config: natConfig })
          expect(error.code).toBe(7)
          expect(error.msg).toContain(`portMappings[0].${key} ${JSON.stringify(value)}`)
        }
      }
    },
  },
  {
    id: 'P4',
    title: 'the pod has the address of its own interface, not the first in the list',
    run: async (scene) => {
      const { one, add, resultOf, natConfig } = scene
      const { ips = [], interfaces = [], ...rest } = resultOf(one)
      const prevResult = {
        ...rest,
        interfaces: [{ name: 'host0', mac: '02:00:00:00:00:99' }, ...interfaces],
        ips: [
          { address: '10.0.0.1/24', interface: 0 },
          { address: 'fd00:9::1/64', interface: 0 },
          ...ips.map((ip) => ({ ...ip, interface: (ip.interface ?? 0) + 1 })),
        ],
      }
      await add(one, USUAL, { config: natConfig, prevResult })
      await expectUsual(scene, one)
    },
  },
  {
    id: 'P5',
    title: 'addresses without an interface, or with one that is not in the list, are the pod’s',
    run: async ({ one, add, del, node, resultOf, natConfig }) => {
      const [{ agent }] = node.clients
      for (const index of [undefined, 9]) {
        const { ips = [], ...rest } = resultOf(one)
        const unnamed = ips.map(({ interface: _, ...ip }) =>
          index === undefined ? ip : { ...ip, interface: index },
        )
        await add(one, USUAL, { config: natConfig, prevResult: { ...rest, ips: unnamed } })
        await expectServer(agent, [...usual(HOST.v4), ...usual(HOST.v6)], usualServers(one, 2))
        await del(one)
      }
    },
  },
  {
    id: 'P13',
    title: 'hostIP 0.0.0.0 means all of IPv4 and nothing else, :: all of IPv6 and nothing else',
    run: async (scene) => {
      const { one, add, del, node, natConfig } = scene
      for (const [hostIP, family, other] of [
        ['0.0.0.0', 'v4', 'v6'],
        ['::', 'v6', 'v4'],
      ] as const) {
        await add(one, [tcp(8080, 80, { hostIP }), udp(5353, 53, { hostIP })], { config: natConfig })
        await expectUsual(scene, one, HOST, [family])
        // Whoever is not mapped is the host's.
        const server = await node.host.serve([
          { name: 'host', protocol: 'tcp', port: 8080, address: HOST[other] },
          { name: 'host', protocol: 'udp', port: 5353, address: HOST[other] },
        ])
        for (const { agent } of node.clients) await expectServer(agent, usual(HOST[other]), 'host')
        await server.stop()
        await del(one)
      }
    },
  },
  {
    id: 'P14',
    title: 'a hostIP of a family that the pod does not have maps nothing, and is no error',
    run: async ({ one, add, expectClean, natConfig }) => {
      await add(one, [tcp(8080, 80, { hostIP: HOST.v6 })], { config: natConfig, families: ['v4'] })
      await expectClean()
      await add(one, [tcp(8080, 80, { hostIP: '0.0.0.0' })], { config: natConfig, families: ['v6'] })
      await expectClean()
    },
  },
  {
    id: 'P15',
    title: 'a hostIP that is no address, or not the node’s, is refused by name',
    run: async ({ one, refused, natConfig }) => {
      for (const hostIP of ['bogus', '10.1.0.300', '192.0.2.9', 'fd00:77::9']) {
        const error = await refused('ADD', one, [tcp(8080, 80, { hostIP })], { config: natConfig })
        expect(error.code).toBe(7)
        expect(error.msg).toContain(`hostIP "${hostIP}"`)
      }
    },
  },
  {
    id: 'P22',
    title: 'conditions are honoured or refused by name and value, never passed over',
    run: async ({ one, refused, natConfig, kind }) => {
      for (const key of ['conditionsV4', 'conditionsV6']) {
        const config = { ...natConfig, [key]: ['!', '-d', '192.0.2.0/24'] }
        const error = await refused('ADD', one, USUAL, { config })
        expect({ kind: portOf[kind], code: error.code }).toEqual({ kind: portOf[kind], code: 2 })
        expect(error.msg).toContain(`${key} ["!","-d","192.0.2.0/24"]`)
      }
    },
  },
]
