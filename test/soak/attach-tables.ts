/**
 * Fault tables of vf-attach as tests run them, and which of them strikes which operation of its plan. In: a lab, what a table
 * is about. Out: rows; throws unless every case led back and every step was hit.
 */
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { diffSnapshot, isCarrierOf, snapshot } from '../../hack/lab/bed/snapshot.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { invert } from '../../src/ops/invert.ts'
import type { Op } from '../../src/ops/op.ts'
import { examples } from '../ops/examples.ts'
import { expectFaultTable } from '../support/fault-report.ts'
import { bridge } from './attach-bridge-subject.ts'
import { vethBridge } from './attach-veth-subject.ts'
import type { Point } from './fault-cases.ts'
import { type FaultOptions, type FaultRow, runFaultTable } from './faults.ts'
import { seedOf } from './seed.ts'

/** VF_FAULT_CASE runs the cases again whose names hold it. */
export const only = process.env.VF_FAULT_CASE
const seed = seedOf(process.env)

/**
 * Every kind of operation of src/attach/plan/add.ts and addressing.ts: whether a software interface has it too, so that the long tables of
 * test/native strike it, or a VF alone, so that the short tables of test/lab do.
 */
const struckOn: Readonly<Partial<Record<Op['do'], 'software' | 'VF'>>> = {
  'link.set': 'software',
  'vf.set': 'VF',
  'bridge.vlan.del': 'VF',
  'bridge.vlan.add': 'VF',
  'altname.del': 'software',
  'link.move': 'software',
  'sysctl.set': 'software',
  'addr.add': 'software',
  'route.add': 'software',
  announce: 'software',
  'neigh.use': 'software',
}

/**
 * Steps that only a VF has: the attributes that its PF keeps, and the claim that tells other plugins of it. And what is another thing for a VF: a move, and all that GC restores,
 * as a VF comes home from a namespace that dies, where a software interface dies with it.
 */
export function isOfVf({ verb, op, what }: Point): boolean {
  if (op === undefined) return what.startsWith('note.')
  return op === 'vf.set' || op === 'link.move' || verb === 'GC'
}

/** Runs a table, prints it and fails unless every case led back and every step was hit. */
export async function runTable(
  lab: Lab,
  device: string,
  options: Pick<FaultOptions, 'subject' | 'places' | 'chosen' | 'extent'>,
): Promise<readonly FaultRow[]> {
  const before = await snapshot(lab)
  const started = Date.now()
  const report = await runFaultTable(lab, { ...options, seed, only, wayBack: true })
  const what = `fault table of vf-attach, ${device}, seed ${seed}`
  const isOnce = options.extent === 'once' || options.extent === 'killed'
  expectFaultTable(what, report, started, only, isOnce)
  // A bridge has a carrier as long as one of its ports has.
  const lines = diffSnapshot(before, await snapshot(lab))
  expect(lines.filter((line) => ![bridge, vethBridge].some((name) => isCarrierOf(name, line)))).toEqual([])
  return report.rows
}

/** The tables of software interfaces, or of VFs, have struck all that is theirs; together they leave no operation out. */
export function expectEveryOperation(device: 'software' | 'VF', rows: readonly FaultRow[]): void {
  if (only !== undefined) return
  const source = ['add', 'addressing']
    .map((name) => readFileSync(new URL(`../../src/attach/plan/${name}.ts`, import.meta.url), 'utf8'))
    .join('')
  const planned = [...new Set([...source.matchAll(/\bdo: '([\w.]+)'/g)].map(([, op]) => op as Op['do']))]
  expect(planned.length).toBeGreaterThanOrEqual(11)
  expect(planned.sort()).toEqual(Object.keys(struckOn).sort())
  const own = planned.filter((op) => struckOn[op] === device)
  const hit = (verb: string, kind: string) =>
    rows.flatMap((row) => (row.verb === verb && row.point.startsWith(kind) ? (row.op ?? []) : []))
  expect(own.filter((op) => !hit('ADD', 'op:').includes(op))).toEqual([])
  const inverses = own.flatMap((op) => invert(examples[op])?.do ?? [])
  expect(inverses.filter((op) => !hit('failed ADD', 'undo:').includes(op))).toEqual([])
}
