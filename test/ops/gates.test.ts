// A rollback whose steps fail leaves nothing open that others are to be kept out of.
import { expect, test } from 'vitest'
import { Transaction } from '../../src/ops/apply.ts'
import type { FlowFilter, Op } from '../../src/ops/op.ts'

const key = { address: '10.1.0.1', proto: 'tcp', port: 8080, toAddress: '10.1.0.5', toPort: 80 } as const
const guard: Op = { do: 'guard.add', link: 'cni0', ifindex: 4, isBridge: true }
const setting: Op = {
  ...{ do: 'sysctl.set', side: 'host', key: 'net/ipv4/conf/cni0/route_localnet' },
  ...{ value: '1', was: '0' },
}
const reserved: Op = { do: 'ports.reserve', keys: [key], masquerade: [], owner: 'owner' }
const rule: FlowFilter = {
  link: 'pf0',
  prio: 10,
  address: key.address,
  proto: 'tcp',
  port: 8080,
  cookie: '00',
}
const steered: Op = { do: 'steer.add', rule, offload: 'off' }

/** The operations that a rollback does where the way back of `stuck` fails. */
function takenBack(ops: readonly Op[], stuck: Op['do'] | undefined): { done: string[]; lines: string[] } {
  const done: string[] = []
  let isBack = false
  const transaction = new Transaction({
    run: (op) => {
      if (!isBack) return {}
      if (op.do === stuck) throw new Error('busy')
      done.push(op.do)
      return {}
    },
  })
  transaction.apply(ops)
  isBack = true
  return { lines: transaction.rollback(), done }
}

test('a guard stays while the setting can’t be put back, and so do ports; what else is there goes', () => {
  const { done, lines } = takenBack([reserved, guard, setting, steered], 'sysctl.set')
  expect(done).toEqual(['steer.del'])
  expect(lines).toHaveLength(3)
  expect(lines[1]).toContain('is needed until')
})

test('a reservation stays while a filter can’t be removed; a guard has nothing to do with it', () => {
  expect(takenBack([reserved, guard, setting, steered], 'steer.del').done).toEqual([
    'sysctl.set',
    'guard.del',
  ])
})

test('without a failure all goes', () => {
  expect(takenBack([reserved, guard, setting], undefined).done).toEqual([
    'sysctl.set',
    'guard.del',
    'ports.release',
  ])
})
