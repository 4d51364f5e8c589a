// Harm to agents and workers at random, beside calls. In: a lab with an agent, a source of chance. Out: what happened, and how many calls agents
// have served meanwhile. A node has an agent afterwards, or gets one.
import type { Lab } from '../../hack/lab/lab.ts'
import type { Random } from '../soak/seed.ts'
import { agentProgram, agentStatus, answered } from './warm-agent.ts'

const START = `setsid ${agentProgram} </dev/null >/dev/null 2>&1 &`
const SUPERVISOR = `supervisor() { pgrep -x -o -f ".*vf-agent"; }`
const worker = '$(pgrep -x -P $(supervisor) -f "vf-agent worker" | head -1)'
const pause = (pid: string) => `pid=${pid}; kill -STOP $pid; sleep 1; kill -CONT $pid`

/** The agent goes on afterwards. A pause of a second is shorter than all patience with locks. */
const harm = {
  'a worker is killed': `kill -KILL ${worker}`,
  'all workers are killed': 'kill -KILL $(pgrep -x -P $(supervisor) -f "vf-agent worker")',
  'a worker stands still': pause(worker),
  'the supervisor stands still': pause('$(supervisor)'),
} as const
/** Another agent is started afterwards. */
const end = {
  'the supervisor is killed': 'kill -KILL $(supervisor)',
  'the agent is stopped': 'kill -TERM $(supervisor)',
  'another agent takes over': 'true',
} as const
const all: Readonly<Record<string, string>> = { ...harm, ...end }

/** Harm that is done. */
export interface AgentHarm {
  /** Does some harm; hand this to what tells of progress. */
  readonly hurt: () => void
  /** Waits for all of it. Returns its names, and the number of calls that were seen as served. */
  done(): Promise<{ readonly happened: readonly string[]; readonly served: number }>
  /** Kills all agents. */
  end(): Promise<void>
}

/** Makes a source of harm for the agents of a lab. */
export function agentHarm(lab: Lab, random: Random): AgentHarm {
  const happened: string[] = []
  const running: Promise<unknown>[] = []
  let served = 0
  const count = async () => {
    const status = await agentStatus(lab).catch(() => undefined)
    if (status !== undefined) served += answered(status)
  }
  const one = async () => {
    await count()
    const name = random.pick(Object.keys(all))
    happened.push(name)
    await lab.must(`${SUPERVISOR}\n${all[name]}\n${name in end ? START : ''}\ntrue`)
  }
  return {
    hurt: () => {
      running.push(one())
    },
    done: async () => {
      await Promise.all(running)
      await count()
      return { happened, served }
    },
    end: async () => {
      await lab.must(`${SUPERVISOR}\nwhile pid=$(supervisor); do kill -KILL $pid; done; true`)
    },
  }
}
