/** A table of those who reach a mapped port, by which two plugins can be compared. */
import type { Agent } from '../../hack/lab/bed/agent.ts'
import type { PortBed } from '../../hack/lab/bed/port-bed.ts'
import { FAMILIES } from '../../hack/lab/bed/port-node.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'
import { usual } from './scenario.ts'

/** By asker, protocol and family, and at 127.0.0.1 by the node: who answered and, for clients on the wire, whether they kept their address. */
export async function reachability({ node, one, two }: PortBed): Promise<Record<string, string>> {
  const [a, b] = node.clients
  const askers: readonly (readonly [string, Agent, typeof a?])[] = [
    ['wire A', a.agent, a],
    ['wire B', b.agent, b],
    ['the node', node.host],
    ['the pod itself', one.agent],
    ['a neighbour', two.agent],
  ]
  const table: Record<string, string> = {}
  for (const [name, agent, client] of askers) {
    const questions = FAMILIES.flatMap((family) =>
      usual(HOST[family], { timeoutMs: 4_000 }).map((ask) => ({ family, ask })),
    )
    const outcomes = await agent.tryAsk(questions.map(({ ask }) => ask))
    for (const [index, { family, ask }] of questions.entries()) {
      const outcome = outcomes[index]
      const kept = outcome?.ok === true && client !== undefined && outcome.peer.address === client[family]
      table[`${name}, ${ask.protocol}, ${family}`] =
        outcome?.ok === true ? `${outcome.server}${kept ? ' sees the client' : ''}` : 'nobody'
    }
  }
  const local = usual('127.0.0.1', { timeoutMs: 4_000 })
  for (const [index, outcome] of (await node.host.tryAsk(local)).entries())
    table[`the node at 127.0.0.1, ${local[index]?.protocol}`] = outcome.ok ? outcome.server : 'nobody'
  return table
}
