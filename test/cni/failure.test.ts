// Failures of the kernel and of files become errors of the protocol with a code, the kernel's own words and details.
import { describe, expect, test } from 'vitest'
import { CniError } from '../../src/cni/error.ts'
import { failure } from '../../src/cni/failure.ts'
import { StoredOtherwise } from '../../src/kernel/errors.ts'
import { MissingLink } from '../../src/kernel/link/links.ts'
import { VfRefusal } from '../../src/kernel/link/vfs.ts'
import { listTable } from '../../src/kernel/nftables/nft-list.ts'
import type { ErrorKind } from '../../src/lib/error-kind.ts'
import { NetlinkError } from '../../src/netlink/socket.ts'
import { ApplyError } from '../../src/ops/apply.ts'
import type { Op } from '../../src/ops/op.ts'
import { PortTaken } from '../../src/ops/port-taken.ts'
import { NamesTooLong, RecordError } from '../../src/records/record.ts'
import { SystemError } from '../../src/sys/errno.ts'

const op: Op = { do: 'altname.add', side: 'host', name: 'pf0', altname: 'x' }
const refusal = (errno: number, extack?: string) =>
  new NetlinkError({ operation: 'RTM_SETLINK', errno, ...(extack === undefined ? {} : { extack }) })
const ofKind = (kind: ErrorKind, message: string, code?: string) =>
  Object.assign(new Error(message), { kind }, code === undefined ? {} : { code })
const fileError = (code: string) =>
  Object.assign(new Error(`${code}: write`), { code, syscall: 'write', path: '/state/x' })
const noList = { status: 1, stdout: '', stderr: 'Error: Could not process rule: Operation not permitted' }
function thrownBy(action: () => unknown): unknown {
  try {
    return action()
  } catch (error) {
    return error
  }
}

describe('code', () => {
  test.each([
    ['a lock that was not free', ofKind('lock-timeout', 'Cannot lock "x"'), 11],
    ['a broken record', new RecordError('/x', 'it is not JSON'), 5],
    ['a container ID that fits into no record', new NamesTooLong('net', 'c'.repeat(250), 20), 4],
    ['a network name that fits into no record', new NamesTooLong('n'.repeat(250), 'c', 20), 7],
    ['a full disk', fileError('ENOSPC'), 5],
    ['a busy file', fileError('EBUSY'), 11],
    ['a refusal of the kernel', refusal(95, 'not here'), 102],
    ['a refusal without a name in errno.h', refusal(524), 102],
    ['a busy device', refusal(16), 11],
    ['an overrun buffer', refusal(105), 11],
    ['a system call', new SystemError('socket', 1), 102],
    ['nft', ofKind('refusal', 'nft -f: no', 'EPERM'), 102],
    ['nft that lists no table', thrownBy(() => listTable(() => noList, 'x')), 102],
    ['an interface that is gone', new MissingLink('x'), 102],
    ['an echo that differs', new StoredOtherwise(['in_hw: missing']), 102],
    ['a VF attribute', new VfRefusal('trust', 'true', refusal(95)), 102],
    ['a failed operation', new ApplyError(op, refusal(22), []), 102],
    ['a failed operation on a busy device', new ApplyError(op, refusal(16), []), 11],
    [
      'a failed operation whose lock was not free',
      new ApplyError(op, ofKind('lock-timeout', 'held'), []),
      11,
    ],
    ['a failed operation for a taken port', new ApplyError(op, ofKind('port-taken', 'taken'), []), 100],
    ['a taken port', new PortTaken({ proto: 'tcp', address: '10.1.0.1', port: 80 }, 'x'), 100],
    ['a failed operation for a reason with a code', new ApplyError(op, new CniError(7, 'no'), []), 7],
    ['a defect', new TypeError('x is undefined'), 199],
    ['a defect in an operation', new ApplyError(op, new TypeError('x is undefined'), []), 199],
    ['a thrown text', 'text', 199],
    ['nothing', undefined, 199],
  ])('of %s', (_, thrown, code) => {
    expect(failure(thrown).code).toBe(code)
  })
})

describe('words', () => {
  test('the kernel’s own stay, with the operation', () => {
    const { message, cause } = failure(new ApplyError(op, refusal(95, 'driver says no'), []))
    expect(message).toBe(
      'Cannot run "ip link property add dev pf0 altname x": RTM_SETLINK: EOPNOTSUPP: driver says no',
    )
    expect(cause).toBeInstanceOf(ApplyError)
  })

  test('a CniError passes as it is', () => {
    const error = new CniError(7, 'Cannot use vlan 4095', { details: 'why' })
    expect(failure(error)).toBe(error)
  })

  test('a defect says that it is one', () => {
    expect(failure(new TypeError('x is undefined')).message).toBe('Internal error: x is undefined')
  })
})

describe('what is stuck', () => {
  const stuck = ['not undone: a', 'not undone: b']

  test.each([
    ['of a failed operation', new ApplyError(op, refusal(22), stuck), 102],
    ['of an operation that met a defect', new ApplyError(op, new TypeError('no'), stuck), 199],
  ])('%s is in the details', (_, thrown, code) => {
    expect(failure(thrown)).toMatchObject({ code, details: 'not undone: a; not undone: b' })
  })

  test.each([
    [new CniError(7, 'no'), 'not undone: a; not undone: b'],
    [new CniError(7, 'no', { details: 'why' }), 'why; not undone: a; not undone: b'],
    [new CniError(7, 'no', { details: '' }), 'not undone: a; not undone: b'],
    [refusal(22), 'not undone: a; not undone: b'],
    [new TypeError('no'), 'not undone: a; not undone: b'],
    ['text', 'not undone: a; not undone: b'],
  ])('is added to %s', (thrown, details) => {
    expect(failure(thrown, stuck).details).toBe(details)
  })

  test('both lists, the given one first', () => {
    expect(failure(new ApplyError(op, refusal(22), ['inner']), ['outer']).details).toBe('outer; inner')
  })

  test('none gives no details', () => {
    expect(failure(refusal(22)).details).toBeUndefined()
  })
})
