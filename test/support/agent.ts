// A vf-agent in a lab: started, asked, ended. In: the lab. Out: the agent's process and what `vfctl agent` says of it.
import { expect } from 'vitest'
import { pluginPath } from '../../hack/lab/bed/plugins.ts'
import type { Lab, LabProcess } from '../../hack/lab/lab.ts'
import type { AgentStatus } from '../../src/agent/status.ts'

/** Path of the agent in a lab: the build with the fault hook. */
const AGENT = `${pluginPath[0]}/vf-agent`
const slow = { timeout: 30_000, interval: 20 }

/** A running agent. */
export interface RunningAgent {
  readonly process: LabProcess
  readonly pid: number
  status(): Promise<AgentStatus>
  /** Lines of its standard error. */
  log(): Promise<string>
  /** Waits until the state fits. */
  until(fits: (status: AgentStatus) => boolean): Promise<AgentStatus>
  /** Sends SIGTERM and waits for the end. Returns the exit code. */
  end(): Promise<number>
}

/** Starts an agent and waits until `workers` of its workers are free. `before` are words before its path, such as env and variables. */
export async function startAgent(
  lab: Lab,
  workers = 2,
  before: readonly string[] = [],
): Promise<RunningAgent> {
  const former = await agentStatus(lab).catch(() => undefined)
  const process = await lab.spawn([...before, AGENT], { timeoutMs: 0 })
  let latest: AgentStatus | undefined
  const status = async () => {
    latest = await agentStatus(lab)
    return latest
  }
  const until = async (fits: (status: AgentStatus) => boolean) => {
    await expect
      .poll(async () => {
        const now = await status().catch(() => undefined)
        return now !== undefined && fits(now)
      }, slow)
      .toBe(true)
    return latest as AgentStatus
  }
  const { pid } = await until(
    (now) => now.pid !== former?.pid && now.workers.filter(({ state }) => state === 'free').length >= workers,
  )
  return {
    ...{ process, pid, status, until },
    log: async () => process.stderr(),
    end: async () => {
      await lab.must(`kill -TERM ${pid}`)
      return (await process.wait()).code ?? -1
    },
  }
}

/** The words of `vfctl agent`. */
export async function agentStatus(lab: Lab): Promise<AgentStatus> {
  return JSON.parse(await lab.must(`${pluginPath[0]}/vfctl agent --json`)) as AgentStatus
}

/** Waits until workers have answered so many calls of each verb. The last report of a call comes after its answer. */
export async function servedBy(agent: RunningAgent, calls: Readonly<Record<string, number>>): Promise<void> {
  await expect.poll(async () => answered(await agent.status()), slow).toEqual(calls)
}

function answered({ verbs }: AgentStatus): Readonly<Record<string, number>> {
  return Object.fromEntries(verbs.map(({ verb, outcomes }) => [verb, outcomes.answered ?? 0]))
}
