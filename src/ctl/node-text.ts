/** The output of `vfctl node` for people; the installer ends with the same lines. Pure. */
import type { NodeCheck } from '../node-check/check.ts'
import { checkLines } from '../node-check/text.ts'

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

/** A look at a node and at its agent. */
export interface NodeLook extends NodeCheck {
  readonly agent: AgentLook
}

/** The look in lines. */
export function nodeLines(look: NodeLook): readonly string[] {
  return [...checkLines(look), `  ${agentWords(look.agent)}`]
}

function agentWords(agent: AgentLook): string {
  if ('absent' in agent) return agent.absent
  const { version, build, pid, isOurs } = agent
  const other = isOurs ? '' : '; it is of another build, and serves no call of this one'
  return `vf-agent ${version} (build ${build}) runs, process ${pid}${other}`
}
