// Random sequences of ADD, DEL, CHECK and GC of vf-offload with crashes through an agent, while workers and supervisors are killed, paused,
// stopped and replaced at random: who has a port keeps it, and nothing is left. VF_SOAK_SEED=seed VF_SOAK_COUNT=1 replays one sequence.
// needs: veth, bridge, nft, tbf
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeBed, type PortBed } from '../../../hack/lab/bed/port-bed.ts'
import { makeNode, type Node } from '../../../hack/lab/bed/port-node.ts'
import { canLeadToIfb } from '../../soak/every-frame.ts'
import { runOffloadSequences } from '../../soak/offload-sequences.ts'
import { randomFrom, seedOf } from '../../soak/seed.ts'
import { agentHarm } from '../../support/agent-harm.ts'
import { lab } from '../../support/lab.ts'
import { startAgent } from '../../support/warm-agent.ts'

const seed = seedOf(process.env)
const count = Number(process.env.VF_SOAK_COUNT ?? 12)
let node: Node
let bed: PortBed

beforeAll(async () => {
  node = await makeNode(await lab(), 'veth')
  bed = await makeBed(node, 'bridge', { compares: false })
})
afterAll(async () => {
  await bed?.end()
  await node?.end()
})

test('random sequences of port mappings and limits leave nothing while agents come and go', {
  timeout: 1_800_000,
}, async () => {
  await startAgent(bed.lab)
  const harm = agentHarm(bed.lab, randomFrom(seed))
  const limited = (await canLeadToIfb(bed.lab)) ? 'both ways' : 'to the pod'
  const { verbs, failures } = await runOffloadSequences(bed, seed, count, limited, {
    ...{ onEnd: harm.hurt, warm: true },
  })
  const { happened, served } = await harm.done()
  console.log(
    `sequences of vf-offload with an agent, seed ${seed}: ${count}, verbs ${JSON.stringify(verbs)}, ${served} calls seen as served; ${happened.join(', ')}`,
  )
  expect(failures, failures.join('\n')).toEqual([])
  expect(served).toBeGreaterThan(0)
  await harm.end()
  await bed.expectClean()
})
