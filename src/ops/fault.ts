/**
 * Faults on purpose, for the tests that kill or fail a verb at every step. The hook exists only in builds made for
 * tests (the define VF_FLOWER_TEST_BUILD); in a release build the compiler drops the code.
 *
 *     VF_FLOWER_FAULT=KIND:N:WHEN:WHAT[,...]    e.g. op:3:after:SIGKILL, file:1:before:ENOSPC, ipam:1:after:EBUSY
 *
 * KIND is the kind of step that is counted (op, undo, file, ipam, table). N counts from 1 in one call. WHEN is before or after.
 * WHAT is SIGKILL, SIGSTOP, an errno name, or FLUSH: FLUSH flushes the node's rules, and the step goes on. A process that was stopped
 * goes on after SIGCONT. A list with commas reaches steps that only follow a failure: op:9:before:EBUSY,undo:2:after:SIGKILL.
 * VF_FLOWER_FAULT_ONCE=FILE has a signal strike one process alone, which makes FILE: a worker, but not the program that is executed in
 * its place with the same variables.
 * VF_FLOWER_FAULT_TRACE=FILE appends every point that a call passes, so that a test knows all points. Both are variables of the call, so
 * that they reach a worker of the agent too.
 */
import { appendFileSync, writeFileSync } from 'node:fs'
import { callEnvironment, perCall } from '../lib/call/call.ts'
import { errnoNumber } from '../lib/errno.ts'
import { errorCode } from '../sys/errno.ts'

declare const VF_FLOWER_TEST_BUILD: boolean | undefined

/**
 * Kinds of steps that can fail. An `undo` takes an operation back after a failure. A `table` changes the host's port map; facts
 * that were read from that map before may not hold any more.
 */
export type FaultKind = 'op' | 'undo' | 'file' | 'ipam' | 'table'

const countsOf = perCall<Record<FaultKind, number>>(() => ({ op: 0, undo: 0, file: 0, ipam: 0, table: 0 }))

/** Marks a step. `before` counts the step; `after` belongs to the last step counted, or to the step `back` steps before that one. */
export function faultPoint(kind: FaultKind, when: 'before' | 'after', back = 0): void {
  if (typeof VF_FLOWER_TEST_BUILD === 'undefined' || !VF_FLOWER_TEST_BUILD) return
  const counts = countsOf()
  const env = callEnvironment()
  if (when === 'before') counts[kind]++
  const number = counts[kind] - back
  const trace = env.VF_FLOWER_FAULT_TRACE
  if (trace !== undefined) appendFileSync(trace, `${kind}:${number}:${when}\n`)
  for (const fault of (env.VF_FLOWER_FAULT ?? '').split(',')) {
    const [wantedKind, wantedNumber, wantedWhen, what] = fault.split(':')
    if (wantedKind !== kind || Number(wantedNumber) !== number || wantedWhen !== when) continue
    if (what === 'SIGKILL' || what === 'SIGSTOP') {
      if (!isFirst(env.VF_FLOWER_FAULT_ONCE)) continue
      process.kill(process.pid, what)
      // Nothing after SIGKILL runs in the process, nor in a test that only notes the signal.
      if (what === 'SIGKILL') throw new InjectedFault('EINTR', `${kind} ${number} ${when}`)
      continue
    }
    if (what !== 'FLUSH') throw new InjectedFault(what ?? 'EIO', `${kind} ${number} ${when}`)
    flushRules()
  }
}

/** True without a file, and for the process that makes it. */
function isFirst(file: string | undefined): boolean {
  if (file === undefined) return true
  try {
    writeFileSync(file, '', { flag: 'wx' })
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    throw error
  }
}

/** Flushes all rules, as a firewall does that is reloaded. */
function flushRules(): void {
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const env = { PATH: '/usr/sbin:/sbin:/usr/bin:/bin' }
  const { status } = spawnSync('nft', ['flush', 'ruleset'], { env })
  if (status !== 0) throw new InjectedFault('EIO', 'nft flush ruleset')
}

class InjectedFault extends Error {
  readonly code: string
  readonly errno: number

  constructor(code: string, where: string) {
    super(`${code}: injected fault at ${where}`)
    this.name = 'InjectedFault'
    this.code = code
    this.errno = errnoNumber(code) ?? 5
  }
}
