/** `vfctl agent`: asks the agent at its status socket. */
import { type AgentStatus, statusSocketPath } from '../agent/status.ts'
import { errorText } from '../lib/error-text.ts'

/** Longest wait for the agent, in milliseconds. */
const patience = 5_000

/** Nobody answers at the status socket. The message says what that means. */
export class NoAgent extends Error {
  override readonly name = 'NoAgent'
}

/** The engine calls an absent socket a typing error. */
function wordsOf(error: unknown): string {
  const { code } = error as { readonly code?: string }
  return code === 'ENOENT' || code === 'FailedToOpenSocket' ? 'there is no such socket' : errorText(error)
}

/** The state of the agent of this node. @throws NoAgent */
export async function readAgent(path = statusSocketPath): Promise<AgentStatus> {
  try {
    const answer = await fetch('http://agent/status', { unix: path, signal: AbortSignal.timeout(patience) })
    return (await answer.json()) as AgentStatus
  } catch (error) {
    throw new NoAgent(
      `No vf-agent answers at ${path}: ${wordsOf(error)}. Each call of a plugin runs by itself then, which takes longer`,
    )
  }
}
