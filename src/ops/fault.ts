/**
 * Faults on purpose, for the tests that kill or fail a verb at every step. The hook exists only in builds made for
 * tests (the define VF_FLOWER_TEST_BUILD); in a release build the compiler drops the code.
 *
 *     VF_FLOWER_FAULT=KIND:N:WHEN:WHAT[,...]    e.g. op:3:after:SIGKILL, file:1:before:ENOSPC, ipam:1:after:EBUSY
 *
 * KIND is what is counted (op, undo, file, ipam, table), N counts from 1 in one process, WHEN is before or after, WHAT is SIGKILL,
 * an errno name, or FLUSH: the node's rules are flushed, and the step goes on. Several, with commas, reach what only a failure leads to: op:9:before:EBUSY,undo:2:after:SIGKILL.
 * VF_FLOWER_FAULT_TRACE=FILE appends every point that was passed, so that a test knows them all.
 */
import { appendFileSync } from 'node:fs'
import { errnoNumber } from '../lib/errno.ts'

declare const VF_FLOWER_TEST_BUILD: boolean | undefined

/**
 * Kinds of steps that can fail; `undo` is an operation that takes another one back after a failure, `table` a change of the host's
 * port map, by which what was seen of it before may not hold any more.
 */
export type FaultKind = 'op' | 'undo' | 'file' | 'ipam' | 'table'

const counts: Record<FaultKind, number> = { op: 0, undo: 0, file: 0, ipam: 0, table: 0 }

/** Marks a step. `before` counts it; `after` belongs to the last one counted, or with `back` to one so many before it. */
export function faultPoint(kind: FaultKind, when: 'before' | 'after', back = 0): void {
  if (typeof VF_FLOWER_TEST_BUILD === 'undefined' || !VF_FLOWER_TEST_BUILD) return
  if (when === 'before') counts[kind]++
  const number = counts[kind] - back
  const trace = process.env.VF_FLOWER_FAULT_TRACE
  if (trace !== undefined) appendFileSync(trace, `${kind}:${number}:${when}\n`)
  for (const fault of (process.env.VF_FLOWER_FAULT ?? '').split(',')) {
    const [wantedKind, wantedNumber, wantedWhen, what] = fault.split(':')
    if (wantedKind !== kind || Number(wantedNumber) !== number || wantedWhen !== when) continue
    if (what === 'SIGKILL') process.kill(process.pid, 'SIGKILL')
    if (what !== 'FLUSH') throw new InjectedFault(what ?? 'EIO', `${kind} ${number} ${when}`)
    flushRules()
  }
}

/** As a firewall does it that is reloaded. */
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
