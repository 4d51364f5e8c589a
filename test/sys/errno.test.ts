// Errors of system calls carry name and number.
import { expect, test } from 'vitest'
import { errorCode, SystemError } from '../../src/sys/errno.ts'

test('a failed system call says which, with the errno’s name', () => {
  expect(new SystemError('setns', 22, '"/x" is not a network namespace')).toMatchObject({
    ...{ name: 'SystemError', errno: 22, code: 'EINVAL', syscall: 'setns' },
    message: 'setns: EINVAL: "/x" is not a network namespace',
  })
  expect(new SystemError('socket', 524)).toMatchObject({ message: 'socket: errno 524', code: 'errno 524' })
})

test.each([
  [new SystemError('socket', 1), 'EPERM'],
  [Object.assign(new Error('x'), { code: 'ENOENT' }), 'ENOENT'],
  [{ code: 'EBUSY' }, 'EBUSY'],
  [{ code: 5 }, undefined],
  [new Error('x'), undefined],
  ['ENOENT', undefined],
  [null, undefined],
  [undefined, undefined],
])('the errno name of %s is %s', (thrown, code) => {
  expect(errorCode(thrown)).toBe(code)
})
