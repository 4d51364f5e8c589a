// A lost answer is no refusal: the filter may be in the NIC.
import { describe, expect, test } from 'vitest'
import { addFlowFilters } from '../../src/kernel/tc/flow-filters.ts'
import { addPolice } from '../../src/kernel/tc/matchall-filters.ts'
import { addMacPolicer, addSharedPolicer } from '../../src/kernel/tc/shared-policers.ts'
import { NetlinkError, type NetlinkSocket } from '../../src/netlink/socket.ts'
import { isLostAnswer } from '../../src/ops/lost-answer.ts'
import { OffloadRefused } from '../../src/ops/offload-refused.ts'
import type { FlowFilter, Offload } from '../../src/ops/op.ts'
import { answering, deaf } from './answers.ts'

const cookie = '76660101aabbccdd0011223344556677'
const spec: FlowFilter = { link: 'pf0', prio: 10, address: '10.1.0.1', proto: 'tcp', port: 8080, cookie }
const rate = { bytesPerSecond: 1_000_000, burst: 20_000 }

const additions: readonly (readonly [string, (socket: NetlinkSocket, offload: Offload) => unknown])[] = [
  ['a flow filter', (socket, offload) => addFlowFilters(socket, [{ ifindex: 2, spec, offload }])[0]],
  [
    'a policer of every frame',
    (socket, offload) => addPolice(socket, 2, { link: 'r', cookie, ...rate }, offload),
  ],
  [
    'a MAC policer',
    (socket) =>
      addMacPolicer(socket, {
        ...{ link: 'pf0', ifindex: 2, out: { link: 'r', ifindex: 3 }, mac: '02:00:00:00:00:05' },
        ...{ family: 4, limiter: 9, cookie },
      }),
  ],
]

function errorOf(action: () => unknown): unknown {
  try {
    return action()
  } catch (error) {
    return error
  }
}

describe.each(additions)('%s', (_, add) => {
  test.each<Offload>(['prefer', 'require'])(
    '%s: reports a lost answer as such, and tries once',
    (offload) => {
      const { socket, sent } = deaf()
      const error = errorOf(() => add(socket, offload))
      expect(error).toMatchObject({ name: 'NetlinkError', code: 'ENOBUFS' })
      expect(isLostAnswer(error)).toBe(true)
      expect(sent()).toBe(1)
    },
  )

  test.each<Offload>(['prefer', 'require'])(
    '%s: reports a filter that the kernel does not show as a lost answer',
    (offload) => {
      const error = errorOf(() => add(answering(() => ({})).socket, offload))
      expect(error).toMatchObject({ name: 'NetlinkError', code: 'ENOBUFS' })
      expect(isLostAnswer(error)).toBe(true)
    },
  )
})

test('a shared policer reports a lost answer as such', () => {
  const limiter = { index: 9, cookie, ...rate }
  expect(isLostAnswer(errorOf(() => addSharedPolicer(deaf().socket, limiter, 'require')))).toBe(true)
})

test('a refusal of the kernel is never a lost answer, whatever error wraps it', () => {
  const refusal = new NetlinkError({ operation: 'RTM_NEWTFILTER', errno: 105 })
  expect(isLostAnswer(new OffloadRefused('full', refusal))).toBe(false)
  expect(isLostAnswer('ENOBUFS')).toBe(false)
})
