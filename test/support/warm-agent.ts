// The agent of the build for tests, on a node of the tests. In: a lab. Out: its state, and its process to do harm to.
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { WAIT_UNTIL } from '../../hack/lab/bed/topology.ts'
import type { Lab, LabProcess } from '../../hack/lab/lab.ts'
import { settingsFile } from '../../src/agent/settings.ts'
import { type AgentStatus, statusSocketPath } from '../../src/agent/status.ts'

/** The agent whose calls are those of `pluginPath`. */
export const agentProgram = fileURLToPath(new URL('../../dist/test/vf-agent', import.meta.url))
/** Standard error of agents that {@link freshAgent} has started. */
export const agentLog = '/tmp/vf-agent.log'
/** Longest wait for a state, in milliseconds. */
const LONGEST = 60_000

/** A started agent. */
export interface TestAgent {
  readonly process: LabProcess
  /** Number of the supervisor's process, in the lab. */
  readonly pid: number
  status(): Promise<AgentStatus>
  /** Waits until the state fits. */
  until(fits: (status: AgentStatus) => boolean): Promise<AgentStatus>
  /** Lines of its standard error. */
  log(): string
  /** Sends a signal to the supervisor. */
  signal(name: string): Promise<void>
  /** Numbers of the workers' processes. */
  workers(): Promise<number[]>
  /** SIGTERM; resolves with the exit code when it and its workers have ended. */
  stop(): Promise<number>
  /** SIGKILL; resolves when it and its workers have ended. */
  kill(): Promise<void>
}

/** Options of {@link startAgent}. */
export interface AgentOptions {
  /** Content of its file of settings. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** Another program than that of the build for tests. */
  readonly program?: string
  /** Words before the program, such as prlimit and its options. */
  readonly before?: readonly string[]
}

/** Starts an agent; resolves when it listens and its workers are free: two, unless the settings say another number. */
export async function startAgent(lab: Lab, options: AgentOptions = {}): Promise<TestAgent> {
  const { settings = {}, program = agentProgram, before = [] } = options
  if (options.settings !== undefined) await lab.writeFile(settingsFile, JSON.stringify(settings))
  const process = await lab.spawn([...before, program], { timeoutMs: 0 })
  const { pid } = process
  const gone = (pids: readonly number[]) =>
    lab.must(`${WAIT_UNTIL}
      reached() { [ -z "$(ps -o stat= -p ${pids.join(',')} | grep -v '^Z')" ]; }
      wait_until reached`)
  const end = async (signal: string) => {
    const all = [pid, ...(await agent.workers())]
    await lab.must(`kill -${signal} ${pid} 2>/dev/null || true`)
    await gone(all)
    return (await process.wait()).code ?? -1
  }
  const agent: TestAgent = {
    ...{ process, pid },
    status: () => agentStatus(lab),
    until: (fits) => until(lab, fits),
    log: () => process.stderr(),
    signal: async (name) => {
      await lab.must(`kill -${name} ${pid}`)
    },
    workers: async () => {
      const out = await lab.must(`cat /proc/${pid}/task/${pid}/children 2>/dev/null || true`)
      return out.trim().split(' ').filter(Boolean).map(Number)
    },
    stop: () => end('TERM'),
    kill: async () => {
      await end('KILL')
    },
  }
  const least = Number(settings.workers ?? 2)
  // The state comes from this agent, not from one before it.
  const isFree = ({ workers }: AgentStatus) => workers.filter(({ state }) => state === 'free').length >= least
  await until(lab, (now) => now.pid === pid && isFree(now)).catch((cause: unknown) => {
    throw new Error(`the agent does not serve: ${process.stderr()}`, { cause })
  })
  return agent
}

async function until(lab: Lab, fits: (status: AgentStatus) => boolean): Promise<AgentStatus> {
  for (const end = Date.now() + LONGEST; ; await setTimeout(20)) {
    const now = await agentStatus(lab).catch(() => undefined)
    if (now !== undefined && fits(now)) return now
    if (Date.now() > end) throw new Error(`The agent does not come to the state: ${JSON.stringify(now)}`)
  }
}

/** A script that prints the agent's state; nothing when no agent answers. */
export const askStatus = `printf 'GET /status HTTP/1.0\\r\\n\\r\\n' | socat -t 5 - UNIX-CONNECT:${statusSocketPath} 2>/dev/null | tail -n 1`

/** The state of the agent that runs now. */
export async function agentStatus(lab: Lab): Promise<AgentStatus> {
  return JSON.parse(await lab.must(askStatus)) as AgentStatus
}

/** The states that agents had before {@link freshAgent} replaced them, a line each: the next agent counts anew. */
const formerStates = '/tmp/vf-agent-former-states'

/** The last known state of each agent of this node, by the process. */
export async function statesOfAll(lab: Lab): Promise<readonly AgentStatus[]> {
  const lines = await lab.must(`cat ${formerStates} 2>/dev/null || true; ${askStatus}`)
  const states = lines
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as AgentStatus)
  return [...new Map(states.map((state) => [state.pid, state])).values()]
}

/** Calls that a worker has answered so far. */
export function answered({ verbs }: AgentStatus): number {
  return verbs.reduce((sum, { outcomes }) => sum + (outcomes.answered ?? 0), 0)
}

/** The state when no call is under way, and the last report of each has come: the worker is free then. */
export function atRest(agent: TestAgent): Promise<AgentStatus> {
  return agent.until(({ workers }) => workers.length > 0 && workers.every(({ state }) => state === 'free'))
}

/** The state once workers have answered so many calls: the last report of a call comes after its answer. */
export function afterCalls(agent: TestAgent, count: number): Promise<AgentStatus> {
  return agent.until((status) => answered(status) >= count)
}

/** Waits until workers have answered so many calls of each verb. The last report of a call comes after its answer. */
export async function servedBy(agent: TestAgent, calls: Readonly<Record<string, number>>): Promise<void> {
  await agent.until(({ verbs }) => {
    const seen = verbs.map(({ verb, outcomes }) => [verb, outcomes.answered ?? 0])
    return isDeepStrictEqual(Object.fromEntries(seen), calls)
  })
}

/**
 * A script that does nothing if two workers are free, and else starts another agent, which takes over: an agent whose workers are killed
 * one after the other pauses, and calls run by themselves meanwhile.
 */
export const freshAgent = `free() { [ "$(${askStatus} | grep -o '"state":"free"' | wc -l)" -ge 2 ]; }
  if free; then exit 0; fi
  ${askStatus} >>${formerStates}
  setsid ${agentProgram} </dev/null >>${agentLog} 2>&1 &
  ${WAIT_UNTIL}
  wait_until free`
