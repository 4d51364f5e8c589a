// The benchmark takes a call's waits from the lines of strace: requests by netlink, and programs from their start to their end.
import { describe, expect, test } from 'vitest'
import { waitsOf } from '../../hack/bench/traced.ts'

const near = (waits: { kernel: number; ipam: number }) => ({
  kernel: Math.round(waits.kernel),
  ipam: Math.round(waits.ipam),
})

describe('the waits of a call', () => {
  test('are the time inside of requests by netlink, and not of other sockets', () => {
    const lines = [
      '100.000000 sendto(5<NETLINK:[ROUTE:7]>, [{...}], 40, 0, NULL, 0) = 40 <0.010000>',
      '100.020000 sendto(6<UNIX-STREAM:[1->2]>, "x", 1, 0, NULL, 0) = 1 <0.500000>',
      '100.600000 sendmsg(5<NETLINK:[ROUTE:7]>, {...}, 0) = 40 <0.004000>',
    ]
    expect(near(waitsOf(lines))).toEqual({ kernel: 14, ipam: 0 })
  })

  test('are put together when strace cuts a line in two', () => {
    const lines = [
      '12 100.000000 sendto(5<NETLINK:[ROUTE:7]>, [{...}], 40, 0, NULL, 0 <unfinished ...>',
      '13 100.001000 wait4(14,  <unfinished ...>',
      '12 100.009000 <... sendto resumed>) = 40 <0.009000>',
    ]
    expect(near(waitsOf(lines))).toEqual({ kernel: 9, ipam: 0 })
  })

  test('have the time of a program once, less the requests meanwhile', () => {
    const lines = [
      '12 100.000000 vfork( <unfinished ...>',
      '14 100.000500 execve("/usr/lib/cni/host-local", ["host-local"], 0x1 /* 3 vars */) = 0 <0.000300>',
      '12 100.001000 <... vfork resumed>) = 14 <0.001000>',
      '12 100.002000 sendto(5<NETLINK:[ROUTE:7]>, [{...}], 40, 0, NULL, 0) = 40 <0.004000>',
      '14 100.010000 +++ exited with 0 +++',
      '12 100.030000 wait4(14, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 14 <0.000010>',
    ]
    expect(near(waitsOf(lines))).toEqual({ kernel: 4, ipam: 6 })
  })

  test('know the end of a child by its signal or by the wait for it', () => {
    const start =
      '100.000000 clone(child_stack=0x1, flags=CLONE_VM|CLONE_VFORK|SIGCHLD) = 14<host-local> <0.001000>'
    const signal =
      '100.008000 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=14, si_uid=0, si_status=0} ---'
    const wait =
      '100.020000 waitid(P_PID, 14, {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=14, si_uid=0}, WEXITED, NULL) = 0 <0.000500>'
    expect(near(waitsOf([start, signal, wait]))).toEqual({ kernel: 0, ipam: 8 })
    expect(near(waitsOf([start, wait]))).toEqual({ kernel: 0, ipam: 21 })
  })

  test('have no threads', () => {
    const lines = [
      '12 100.000000 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0}, 88) = 15 <0.000100>',
      '15 100.500000 +++ exited with 0 +++',
    ]
    expect(waitsOf(lines)).toEqual({ kernel: 0, ipam: 0 })
  })
})
