/** Makes tests of the scenarios and of the table of offload and NAT: a test file's share, on one node. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type KindName, makeBed, type PortBed } from '../../hack/lab/bed/port-bed.ts'
import { makeNode, type Node } from '../../hack/lab/bed/port-node.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../hack/lab/bed/snapshot.ts'
import { lab } from '../support/lab.ts'
import { type NodeOfKinds, nodes, sceneName, shareOf } from './all.ts'
import { cellName, isRefused, runCell, runCells } from './cells.ts'
import { play } from './scenario.ts'

/** VF_TEST_ALL=1: everything wherever it holds, else each scenario and cell of the table where it tells most. */
const all = process.env.VF_TEST_ALL === '1'
/** P30 begins thirty programs at once. */
const LIMIT_MS = 600_000

/** The share of a test file: one node for all kinds, one bed for all tests of a kind. */
export function describeScenarios(file: keyof typeof nodes): void {
  const { kinds, ...rest }: NodeOfKinds = nodes[file]
  let node: Node
  let before: Snapshot
  beforeAll(async () => {
    node = await makeNode(await lab(), rest.nic, rest.others)
    before = await snapshot(node.lab)
  })
  afterAll(async () => {
    try {
      if (before !== undefined) expect(diffSnapshot(before, await snapshot(node.lab))).toEqual([])
    } finally {
      await node?.end()
    }
  })
  for (const kind of kinds) describeKind(kind)

  function describeKind(kind: KindName): void {
    const { scenes, cells } = shareOf(nodes[file], kind, all)
    if (scenes.length + cells.length === 0) return
    describe(kind, () => {
      let bed: PortBed
      let running: Promise<void> = Promise.resolve()
      /** A test that has reached its limit does not end by that: whoever comes next waits for it. */
      const run = (action: Promise<void>): Promise<void> => {
        running = action
        return action
      }
      const newBed = (): Promise<PortBed> => makeBed(node, kind, { compares: false })
      beforeAll(async () => {
        bed = await newBed()
      })
      afterEach(async () => {
        await bed.close()
        await running.catch(() => undefined)
        try {
          await bed.reset()
        } catch (error) {
          await bed.abandon()
          bed = await newBed()
          throw error
        }
      }, LIMIT_MS)
      afterAll(() => bed?.end())
      for (const { scenario, nat } of scenes) {
        test(sceneName(scenario, kind, nat), { timeout: LIMIT_MS }, () => run(play(scenario, bed, nat)))
      }
      for (const cell of cells.filter((cell) => !isRefused(cell)))
        test(cellName(cell), () => run(runCell(bed, cell)))
      // One look after all of them shows that none has left anything.
      const refused = cells.filter(isRefused)
      if (refused.length > 0) test(refused.map(cellName).join('; '), () => run(runCells(bed, refused)))
    })
  }
}
