// Each verb of both plugins gets through when it is called as the daemon of Multus calls, warm and standalone.
// needs: veth, nft
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type AgentBed, makeAgentBed } from '../../support/agent-bed.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { ASKING_CALLS, everyVerb, MULTUS } from '../../support/thick-multus.ts'
import { afterCalls, answered, startAgent } from '../../support/warm-agent.ts'

let lab: Lab
let bed: AgentBed

beforeAll(async () => {
  lab = await sharedLab()
  bed = await makeAgentBed(lab, 1, { front: MULTUS })
})
afterAll(() => bed?.end())

test('standalone', () => everyVerb(bed))

test('warm', async () => {
  const agent = await startAgent(lab)
  await everyVerb(bed)
  const status = await afterCalls(agent, ASKING_CALLS)
  expect({ answered: answered(status), refusals: status.refusals, fallbacks: status.fallbacks }).toEqual({
    ...{ answered: ASKING_CALLS, refusals: {}, fallbacks: {} },
  })
  await agent.kill()
})
