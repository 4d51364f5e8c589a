// The agent of the build for tests, on a node of the tests. In: a lab. Out: its state, and its process to do harm to.
import { fileURLToPath } from 'node:url'
import { WAIT_UNTIL } from '../../hack/lab/bed/topology.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { socketPath } from '../../src/agent/protocol.ts'
import { settingsFile } from '../../src/agent/settings.ts'
import { type AgentStatus, statusSocketPath } from '../../src/agent/status.ts'

/** The agent whose calls are those of `pluginPath`. */
export const agentProgram = fileURLToPath(new URL('../../dist/test/vf-agent', import.meta.url))
/** Its standard error. */
export const agentLog = '/tmp/vf-agent.log'

/** A started agent. */
export interface TestAgent {
  /** Number of the supervisor's process, in the lab. */
  readonly pid: number
  status(): Promise<AgentStatus>
  /** Sends a signal to the supervisor. */
  signal(name: string): Promise<void>
  /** Numbers of the workers' processes. */
  workers(): Promise<number[]>
  /** SIGTERM; resolves when it has ended. */
  stop(): Promise<void>
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

/** Starts an agent; resolves when it listens and a worker is free. */
export async function startAgent(lab: Lab, options: AgentOptions = {}): Promise<TestAgent> {
  const { settings, program = agentProgram, before = [] } = options
  if (settings !== undefined) await lab.writeFile(settingsFile, JSON.stringify(settings))
  const words = [...before, program].join(' ')
  const started = await lab.must(`setsid ${words} </dev/null >>${agentLog} 2>&1 & echo $!`)
  const pid = Number(started)
  const status = () => agentStatus(lab)
  const wait = (condition: string) =>
    lab.must(`${WAIT_UNTIL}
      reached() { ${condition}; }
      wait_until reached`)
  // The state comes from this agent, not from one before it.
  await wait(`[ -d /proc/${pid} ] || { cat ${agentLog} >&2; exit 1; }
    ${askStatus} | grep -q '"pid":${pid},.*"state":"free"'`)
  const family = async () => [pid, ...(await workersOf(lab, pid))]
  const gone = (pids: readonly number[]) =>
    wait(
      `! kill -0 ${pids.join(' ')} 2>/dev/null || [ -z "$(ps -o stat= -p ${pids.join(',')} | grep -v '^Z')" ]`,
    )
  return {
    pid,
    status,
    signal: async (name) => {
      await lab.must(`kill -${name} ${pid}`)
    },
    workers: () => workersOf(lab, pid),
    stop: async () => {
      const all = await family()
      await lab.must(`kill -TERM ${pid}`)
      await gone(all)
    },
    kill: async () => {
      const all = await family()
      await lab.must(`kill -KILL ${pid} 2>/dev/null || true`)
      await gone(all)
    },
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

async function workersOf(lab: Lab, pid: number): Promise<number[]> {
  const out = await lab.must(`cat /proc/${pid}/task/${pid}/children 2>/dev/null || true`)
  return out.trim().split(' ').filter(Boolean).map(Number)
}

/** Waits until the agent's socket is gone, or is there. */
export async function agentListens(lab: Lab, listens: boolean): Promise<void> {
  await lab.must(`${WAIT_UNTIL}
    reached() { ${listens ? '' : '!'} [ -S ${socketPath} ]; }
    wait_until reached`)
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
