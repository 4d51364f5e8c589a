/** `vfctl agent`: asks the agent at its status socket. */
import { type AgentStatus, statusSocketPath } from '../agent/status.ts'
import { errorText } from '../lib/error-text.ts'

/** Longest wait for the agent, in milliseconds. */
const patience = 5_000

/** Nobody answers at the status socket. The message says what that means. */
export class NoAgent extends Error {
  override readonly name = 'NoAgent'
}

/** The state of the agent of this node. @throws NoAgent */
export async function readAgent(path = statusSocketPath): Promise<AgentStatus> {
  try {
    const answer = await fetch('http://agent/status', { unix: path, signal: AbortSignal.timeout(patience) })
    return (await answer.json()) as AgentStatus
  } catch (error) {
    throw new NoAgent(
      `No vf-agent answers at ${path}: ${errorText(error)}. Each call of a plugin runs by itself then, which takes longer`,
    )
  }
}
