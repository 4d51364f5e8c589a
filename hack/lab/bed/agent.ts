// A process that stays in a namespace and serves or asks whenever it is told. In: a Lab, a namespace. Out: an Agent.
import type { Lab } from '../lab.ts'
import { type Reply, startOrders } from './orders.ts'
import {
  type Answer,
  type Ask,
  answersOf,
  inNamespace,
  type Listen,
  type Namespace,
  type Outcome,
  PROGRAM,
  type Server,
} from './traffic.ts'

/** A line on the process's standard input. `server` is the `id` of the order that started it. */
export type AgentOrder =
  | { readonly id: number; readonly do: 'ask'; readonly questions: readonly Ask[] }
  | { readonly id: number; readonly do: 'serve'; readonly listeners: readonly Listen[] }
  | { readonly id: number; readonly do: 'stop'; readonly server: number }

/** A line on the process's standard output, after `ready`. */
export interface AgentReply extends Reply {
  readonly outcomes: readonly Outcome[]
}

/** One namespace's end of the traffic. */
export interface Agent {
  readonly namespace: Namespace
  /** Asks all questions at the same time; one outcome for each, in the same order. */
  tryAsk(questions: readonly Ask[]): Promise<Outcome[]>
  /** {@link tryAsk} that fails, naming the question, unless all get the right answer. */
  ask(questions: readonly Ask[]): Promise<Answer[]>
  /** Starts servers; they listen when this resolves. */
  serve(listeners: readonly Listen[]): Promise<Server>
  /** Stops all servers that were started since {@link keepServers} and still run. */
  stopServers(): Promise<void>
  /** Servers that have been started so far are no longer {@link stopServers}' business. */
  keepServers(): void
  /** Ends the process. */
  end(): Promise<void>
}

type Wish = AgentOrder extends infer Order ? (Order extends unknown ? Omit<Order, 'id'> : never) : never

/** Starts an agent in a namespace that exists. */
export async function startAgent(lab: Lab, namespace: Namespace): Promise<Agent> {
  const { order, end } = await startOrders<Wish, AgentReply>(
    lab,
    `The agent in ${namespace ?? 'the host'}`,
    inNamespace(namespace, [...PROGRAM, 'agent']),
  )
  const running = new Set<number>()
  const stop = async (id: number): Promise<void> => {
    running.delete(id)
    await order({ do: 'stop', server: id })
  }
  const tryAsk: Agent['tryAsk'] = async (questions) => [...(await order({ do: 'ask', questions })).outcomes]
  return {
    namespace,
    tryAsk,
    ask: async (questions) => answersOf(namespace, questions, await tryAsk(questions)),
    serve: async (listeners) => {
      const { id } = await order({ do: 'serve', listeners })
      running.add(id)
      return { stop: () => stop(id) }
    },
    stopServers: async () => {
      for (const id of running) await stop(id)
    },
    keepServers: () => running.clear(),
    end,
  }
}
