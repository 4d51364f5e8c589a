/**
 * Makes the tests of fault tables of vf-offload, for port mappings or limits. In: a node, kinds of port, how much of the
 * table. Out: tests for vitest. VF_SOAK_FAULTS asks for another extent, of all steps; VF_FAULT_CASE for some cases.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type KindName, makeBed, type PortBed } from '../../hack/lab/bed/port-bed.ts'
import { makeNode, type Nic, type Node } from '../../hack/lab/bed/port-node.ts'
import { countOf, expectFaultTable } from '../support/fault-report.ts'
import { lab } from '../support/lab.ts'
import { agentStatus, startAgent } from '../support/warm-agent.ts'
import type { Extent, Point } from './fault-cases.ts'
import { type FaultRow, runFaultTable } from './faults.ts'
import { offloadPlace, offloadSubject } from './offload-subject.ts'
import { seedOf } from './seed.ts'

const { VF_SOAK_FAULTS, VF_FAULT_CASE } = process.env
const seed = seedOf(process.env)

/** The wishes of one kind of port, and the steps that its table must have. */
export interface OffloadTable {
  readonly kind: KindName
  /** The wishes of the runtime, by what the machine can do; port mappings if absent. */
  readonly wishes?: (bed: PortBed) => Promise<{ readonly bandwidth: Readonly<Record<string, number>> }>
  /** Scripts that give the VF or its port something to come back to, and take that back. */
  readonly dressUp?: (node: Node) => string
  readonly undress?: (node: Node) => string
  /** Looks at the rows, unless only some cases were run. */
  readonly expectRows: (rows: readonly FaultRow[], bed: PortBed) => Promise<void> | void
}

/** The tables that are run, and their extent as long as VF_SOAK_FAULTS asks for nothing else. */
export interface OffloadTables {
  readonly nic: Nic
  readonly tables: readonly OffloadTable[]
  readonly extent: Extent
  /** Only these steps. */
  readonly chosen?: (point: Point) => boolean
  /** An agent serves the calls: a fault that kills strikes its worker alone, and the call is done and answered all the same. */
  readonly warm?: true
}

/** One node for all tables, a bed for each. */
export function describeOffloadFaults({ nic, tables, warm, ...usual }: OffloadTables): void {
  const isLong = VF_SOAK_FAULTS === 'full' || VF_SOAK_FAULTS === 'short'
  const { extent, chosen }: Pick<OffloadTables, 'extent' | 'chosen'> = isLong
    ? { extent: VF_SOAK_FAULTS }
    : usual
  const once = extent === 'once' || extent === 'killed'
  const way = warm === undefined ? {} : { warm }
  let node: Node

  beforeAll(async () => {
    node = await makeNode(await lab(), nic)
    if (warm === true) await startAgent(node.lab, { settings: { workers: 4 } })
  })
  afterAll(() => node?.end())

  const titled = tables.map((table) => [titleOf(table), table] as const)
  test.each(titled)('%s', { timeout: 7_200_000 }, async (_, table) => {
    const { kind } = table
    const bed = await makeBed(node, kind, { compares: isLong || extent === 'full' })
    const { port, remove } = await bed.addInterface(bed.one)
    await bed.lab.must(table.dressUp?.(node) ?? 'true')
    const started = Date.now()
    const report = await runFaultTable(bed.lab, {
      subject: { ...offloadSubject(bed, port, {}, await table.wishes?.(bed)), ...way },
      places: [offloadPlace],
      seed,
      extent,
      only: VF_FAULT_CASE,
      ...(chosen === undefined ? {} : { chosen }),
    })
    await bed.lab.must(table.undress?.(node) ?? 'true')
    await remove()
    const name = `${isOfLimits(table) ? 'limits' : 'vf-offload'}, ${kind}${warm === true ? ', warm' : ''}`
    expectFaultTable(`fault table of ${name}, seed ${seed}`, report, started, VF_FAULT_CASE, once)
    if (VF_FAULT_CASE === undefined) await table.expectRows(report.rows, bed)
    if (warm === true) expect((await agentStatus(bed.lab)).refusals).toEqual({})
    await bed.expectClean()
    await bed.end()
  })
}

const isOfLimits = ({ wishes }: OffloadTable) => wishes !== undefined

function titleOf(table: OffloadTable): string {
  return isOfLimits(table)
    ? `${table.kind}: limits killed or failed before or after each step`
    : `${table.kind}: killed or failed before or after each step: DEL or GC leads back`
}

/** At least so many operations of an ADD, and so many writes of files by ADD, DEL and GC. */
export function expectAtLeast(rows: readonly FaultRow[], ops: number, files: readonly number[]): void {
  expect(countOf(rows, 'ADD', 'op')).toBeGreaterThanOrEqual(ops)
  expect(countOf(rows, 'DEL', 'op')).toBeGreaterThanOrEqual(2)
  expect(countOf(rows, 'GC', 'op')).toBeGreaterThanOrEqual(2)
  const counted = ['ADD', 'DEL', 'GC'].map((verb) => countOf(rows, verb, 'file'))
  expect(counted.map((count, at) => count >= (files[at] ?? 0))).toEqual([true, true, true])
}
