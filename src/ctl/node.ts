/** `vfctl node`: a look at this node and at its agent. */
import type { Machine } from '../kernel/api/machine.ts'
import { openNetworkFacts } from '../kernel/linux-network-facts.ts'
import { buildId } from '../lib/build-id.ts'
import { errorText } from '../lib/error-text.ts'
import { checkNode, type NodeCheck } from '../node-check/check.ts'
import { readAgent } from './agent.ts'
import type { AgentLook, NodeLook } from './node-text.ts'

/** Looks at this node. Never throws: questions that nobody answers are named. */
export async function readNode(machine: Machine): Promise<NodeLook> {
  return { ...checkOf(machine), agent: await agentLook() }
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
