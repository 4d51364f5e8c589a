/** `vfctl node`: a look at this node and at its agent; the installer ends with the same lines. */
import type { Machine } from '../kernel/api/machine.ts'
import { openNetworkFacts } from '../kernel/linux-network-facts.ts'
import { buildId } from '../lib/build-id.ts'
import { errorText } from '../lib/error-text.ts'
import { checkNode, type NodeCheck } from '../node-check/check.ts'
import { checkLines } from '../node-check/text.ts'
import { readAgent } from './agent.ts'

/** The agent of a node, as far as it answers. */
export type AgentLook =
  | {
      readonly version: string
      readonly build: string
      readonly pid: number
      /** False: it is of another build, and serves no call of this one. */
      readonly isOurs: boolean
    }
  | { readonly absent: string }

/** See the head of this file. */
export interface NodeLook extends NodeCheck {
  readonly agent: AgentLook
}

/** Looks at this node. Never throws: questions that nobody answers are named. */
export async function readNode(machine: Machine): Promise<NodeLook> {
  return { ...checkOf(machine), agent: await agentLook() }
}

/** The look in lines for people. */
export function nodeLines(look: NodeLook): readonly string[] {
  return [...checkLines(look), `  ${agentWords(look.agent)}`]
}

function checkOf(machine: Machine): NodeCheck {
  const [kernel, facts] = [machine.openKernel(), openNetworkFacts()]
  try {
    return checkNode(kernel, facts)
  } finally {
    kernel.close()
    facts.close()
  }
}

async function agentLook(): Promise<AgentLook> {
  try {
    const { version, build, pid } = await readAgent()
    return { version, build, pid, isOurs: build === buildId }
  } catch (error) {
    return { absent: errorText(error) }
  }
}

function agentWords(agent: AgentLook): string {
  if ('absent' in agent) return agent.absent
  const { version, build, pid, isOurs } = agent
  const other = isOurs ? '' : '; it is of another build, and serves no call of this one'
  return `vf-agent ${version} (build ${build}) runs, process ${pid}${other}`
}
