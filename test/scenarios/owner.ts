/** Scenarios P25 to P34: whose a port is, and what ADD, DEL and CHECK make of it. */
import { expect } from 'vitest'
import { inTurn, json, silently } from '../../hack/lab/bed/plugins.ts'
import { type PortBed, portOf } from '../../hack/lab/bed/port-bed.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'
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
  USUAL,
} from './scenario.ts'

/** Containers that an ADD at once is made for. */
const CROWD = 30

/** A datagram from one client port, as a client sends that never restarts. */
function persistent(address: string): Ask[] {
  return [{ protocol: 'udp', address, port: 5353, sourcePort: 41_000 }]
}

/** Takes one rule of a pod's mappings away, of whatever the kind has. */
async function removeOneRule({ lab, kind, node }: PortBed): Promise<void> {
  if (portOf[kind] === 'veth') {
    await lab.must(`
      element=$(nft list map inet vf-flower ports4 | grep -o '${HOST.v4} . tcp . 8080' | head -n 1)
      nft delete element inet vf-flower ports4 "{ $element }"`)
    return
  }
  const filters = await json(lab, `tc -j filter show dev ${node.net.pf} ingress`)
  const found = filters.find(({ options }) => JSON.stringify(options ?? {}).includes('"dst_port":8080'))
  if (found === undefined) throw new Error('no filter for port 8080')
  const { handle } = found.options as { handle: number }
  await lab.must(
    `tc filter del dev ${node.net.pf} ingress protocol ${found.protocol} prio ${found.pref} handle ${handle} flower`,
  )
}

/** A mapping that stays: with the last one the kernel stops to translate, and forgets nothing. */
async function addBystander({ two, add, natConfig }: Scene): Promise<void> {
  await add(two, [tcp(8099, 81)], { config: natConfig, containerID: 'bystander' })
}

async function expectCheckFails({ call, one, natConfig }: Scene): Promise<void> {
  const { code, stdout } = await call('CHECK', one, USUAL, { config: natConfig })
  expect(code, stdout).not.toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ code: expect.any(Number), msg: expect.any(String) })
}

export const ownerScenarios: readonly Scenario[] = [
  {
    id: 'P25',
    title: 'a client that never stops sending from one port reaches each pod that gets the host port',
    shown: [at('igb')],
    run: async (scene) => {
      const { one, two, add, del, natConfig, node } = scene
      await addBystander(scene)
      for (const pod of [one, two, one]) {
        // Frames that it sends while nobody has the port must not stand in the way afterwards.
        await Promise.all(
          node.clients.map(({ agent }) => expectNobody(agent, bothFamilies(HOST, persistent))),
        )
        await add(pod, USUAL, { config: natConfig })
        for (const { agent } of node.clients) {
          await expectServer(agent, bothFamilies(HOST, persistent), `${pod.name} udp 53`)
        }
        await del(pod)
      }
    },
  },
  {
    id: 'P26',
    title: 'after DEL a program of the host on that UDP port hears the client that sent before',
    shown: [at('simnic-legacy')],
    run: async (scene) => {
      const { one, add, del, natConfig, node } = scene
      await addBystander(scene)
      await add(one, USUAL, { config: natConfig })
      for (const { agent } of node.clients) {
        await expectServer(agent, bothFamilies(HOST, persistent), `${one.name} udp 53`)
      }
      await del(one)
      const server = await node.host.serve([
        { name: 'host', protocol: 'udp', port: 5353, address: HOST.v4 },
        { name: 'host', protocol: 'udp', port: 5353, address: HOST.v6 },
      ])
      for (const { agent } of node.clients) {
        await expectServer(agent, bothFamilies(HOST, persistent), 'host')
      }
      await server.stop()
    },
  },
  {
    id: 'P27',
    title: 'a host port that another pod has is refused and its owner named; neither DEL harms the other pod',
    shown: [at('simnic-full')],
    run: async (scene) => {
      const { one, two, add, del, refused, natConfig } = scene
      await add(one, USUAL, { config: natConfig })
      const error = await refused('ADD', two, [tcp(8080, 81)], { config: natConfig })
      expect(error.code).toBe(100)
      expect(error.msg).toContain(`"${one.name}/net1"`)
      await del(two)
      await expectUsual(scene, one)
      await del(one)
      await add(two, USUAL, { config: natConfig })
      await del(one)
      await expectUsual(scene, two)
    },
  },
  {
    id: 'P28',
    title: 'DEL works before any ADD, three times, and without prevResult, namespace or runtimeConfig',
    run: async ({ one, add, call, expectClean, natConfig }) => {
      const bare = { prevResult: undefined } as const
      await silently(call('DEL', one, [], bare))
      await add(one, USUAL, { config: natConfig })
      await silently(call('DEL', one, [], { ...bare, netns: '' }))
      await expectClean()
      for (const options of [bare, { ...bare, netns: '' }, {}])
        await silently(call('DEL', one, USUAL, options))
      await add(one, USUAL, { config: natConfig })
      await silently(call('DEL', one, USUAL, { netns: '/run/netns/is-gone' }))
      await expectClean()
    },
  },
  {
    id: 'P29',
    title: 'ten DELs of one container at once all succeed',
    run: async ({ one, add, call, expectClean, natConfig }) => {
      await add(one, USUAL, { config: natConfig })
      await Promise.all(Array.from({ length: 10 }, () => silently(inTurn(() => call('DEL', one, USUAL)))))
      await expectClean()
    },
  },
  {
    id: 'P30',
    title: `${CROWD} ADDs at once map ${CROWD} ports, and as many DELs take them back`,
    // test/soak/lab/offload-crowd.test.ts has as many on VFs.
    run: async ({ one, call, del, natConfig, node }) => {
      // Behind one address of a pod each stands for a container: what they share is the node.
      const ports = Array.from({ length: CROWD }, (_, index) => 9000 + index)
      const servers = ports.map((port) => ({ name: String(port), protocol: 'tcp', port }) as const)
      const server = await one.agent.serve(servers)
      const optionsOf = (port: number) => ({
        config: natConfig,
        containerID: `crowd-${port}`,
        timeoutMs: 600_000,
      })
      const answers = await Promise.all(
        ports.map((port) => inTurn(() => call('ADD', one, [tcp(port, port)], optionsOf(port)))),
      )
      expect(answers.filter(({ code }) => code !== 0).map(({ stdout }) => stdout)).toEqual([])
      const ask = (address: string): Ask[] => ports.map((port) => ({ protocol: 'tcp', address, port }))
      for (const { agent } of node.clients) {
        await expectServer(agent, bothFamilies(HOST, ask), [...ports, ...ports].map(String))
      }
      for (let first = 0; first < CROWD; first += 10) {
        const some = ports.slice(first, first + 10)
        await Promise.all(some.map((port) => del(one, optionsOf(port))))
      }
      await server.stop()
    },
  },
  {
    id: 'P31',
    title: 'CHECK holds right after ADD, and fails when a rule or its target is not as it was, and after DEL',
    run: async (scene) => {
      const { one, add, del, check, natConfig, lab, nat, kind } = scene
      await add(one, USUAL, { config: natConfig })
      await check(one, USUAL, { config: natConfig })
      await removeOneRule(scene)
      await expectCheckFails(scene)
      await del(one)
      await add(one, USUAL, { config: natConfig, families: ['v4'] })
      await check(one, USUAL, { config: natConfig, families: ['v4'] })
      if (nat === 'pod' && portOf[kind] !== 'veth') {
        await lab.must(`table=$(ip netns exec ${one.name} nft list tables | cut -d' ' -f2-)
          ip netns exec ${one.name} nft list table $table | sed 's/: ${one.v4} . 80/: ${one.v4} . 81/' >/run/changed
          ip netns exec ${one.name} nft delete table $table
          ip netns exec ${one.name} nft -f /run/changed; rm /run/changed`)
        await expectCheckFails(scene)
      }
      await del(one)
      await expectCheckFails(scene)
    },
  },
  {
    id: 'P32',
    title: 'two interfaces of one container are two attachments: DEL of one keeps the other’s ports',
    shown: [at('simnic-legacy'), at('ptp')],
    run: async ({ one, add, del, addInterface, natConfig, node }) => {
      const { port, remove } = await addInterface(one)
      const other = { config: natConfig, ifname: 'net2' }
      try {
        await add(one, [tcp(8080, 80)], { config: natConfig })
        await add(port, [tcp(8081, 81)], other)
        const ask =
          (...ports: readonly number[]) =>
          (address: string): Ask[] =>
            ports.map((hostPort) => ({ protocol: 'tcp', address, port: hostPort }))
        const servers = [`${one.name} tcp 80`, `${one.name} tcp 81`]
        for (const { agent } of node.clients) {
          await expectServer(agent, bothFamilies(HOST, ask(8080, 8081)), [...servers, ...servers])
        }
        await del(one)
        for (const { agent } of node.clients) {
          await expectServer(agent, bothFamilies(HOST, ask(8081)), `${one.name} tcp 81`)
        }
        await del(port, other)
      } finally {
        await remove()
      }
    },
  },
  {
    id: 'P33',
    title: 'DEL for another network of the same interface takes nothing of a pod that lives',
    run: async (scene) => {
      const { one, add, call, del, expectClean, natConfig } = scene
      await add(one, USUAL, { config: natConfig })
      await silently(call('DEL', one, USUAL, { network: 'other-net' }))
      await expectUsual(scene, one)
      await del(one)
      await expectClean()
    },
  },
  {
    id: 'P34',
    title: 'an ADD that fails midway leaves nothing',
    run: async ({ lab, one, add, del, refused, expectClean, natConfig, kind }) => {
      const trace = '/tmp/p34-trace'
      await add(one, USUAL, { config: natConfig, env: { VF_FLOWER_FAULT_TRACE: trace } })
      await del(one)
      // The last file is the report: notes before it, without which the next call looks again, fail nothing.
      const [files = ''] = (await lab.must(`grep -c '^file:.*before' ${trace}; rm ${trace}`)).split('\n')
      // Behind a bridge the ports are one step.
      const last = portOf[kind] === 'veth' ? 1 : 4
      for (const fault of ['op:1:after:ENOSPC', `op:${last}:before:EBUSY`, `file:${files}:before:ENOSPC`]) {
        const error = await refused('ADD', one, USUAL, { config: natConfig, env: { VF_FLOWER_FAULT: fault } })
        expect(error.msg).not.toBe('')
        await expectClean()
      }
    },
  },
]
