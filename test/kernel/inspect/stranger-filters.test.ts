// Filters of others that would take frames before ours are found in the bytes of a dump, among our own.
import { expect, test } from 'vitest'
import { strangersIn } from '../../../src/kernel/inspect/stranger-filters.ts'
import { addFlowFilters } from '../../../src/kernel/tc/flow-filters.ts'
import { NLM_F } from '../../../src/netlink/message.ts'
import { placeOf } from '../../../src/netlink/tc/filter.ts'
import { tcMessage } from '../../../src/netlink/tc/msg.ts'
import type { FlowFilter } from '../../../src/ops/op.ts'
import { join, message } from '../../netlink/script.ts'
import { pf, prefix, spec, withClsact } from '../flow-filter.ts'

const foreign = 'f'.repeat(32)
const early: FlowFilter = { ...spec, prio: 3, cookie: foreign }
const beside: FlowFilter = { ...spec, port: 9, cookie: foreign }
const late: FlowFilter = { ...spec, prio: 11, cookie: foreign }
const ours = (port: number): FlowFilter => ({ ...spec, port })

/** A datagram of a dump with these filters. */
function dumped(...filters: readonly FlowFilter[]): Uint8Array {
  const sched = withClsact(true)
  addFlowFilters(
    sched.socket,
    filters.map((one) => ({ ifindex: pf, spec: one, offload: 'require' })),
  )
  return join(...sched.filters.map((one) => message(44, NLM_F.NLM_F_MULTI, 7, tcMessage.encode(one))))
}

test.each<[string, readonly FlowFilter[], readonly FlowFilter[]]>([
  ['none', [ours(1), ours(2)], []],
  ['the first of all', [early, ours(1), ours(2)], [early]],
  ['one between ours', [ours(1), ours(2), beside, ours(3)], [beside]],
  ['the last of all, behind ours', [ours(1), beside], [beside]],
  ['several in a row', [early, beside, ours(1), ours(2)], [early, beside]],
  ['none of a later priority', [ours(1), late], []],
])('finds %s', (_, filters, found) => {
  const strangers = strangersIn(dumped(...filters), spec.prio, prefix).map((one) => tcMessage.decode(one))
  expect(strangers.map((one) => placeOf(one).priority)).toEqual(found.map(({ prio }) => prio))
  for (const [at, one] of found.entries())
    expect(strangers[at]?.TCA_OPTIONS).toMatchObject({ TCA_FLOWER_KEY_TCP_DST: one.port })
})
