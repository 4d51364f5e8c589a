/** Programs of the node at 127.0.0.1: the way to the pod is opened for them, or a note says why not. */
import { CniError, code } from '../../../cni/error.ts'
import { ApplyError, type Transaction } from '../../../ops/apply.ts'
import type { Op, PortKey } from '../../../ops/op.ts'
import type { AddContext } from '../../feature.ts'
import { isLoopback, localhost, servesLocalhost } from '../keys.ts'
import { claimLocalnet, PassedGuard, releaseLocalnet } from './route-localnet.ts'

/**
 * Lets programs of the node reach the keys of its loopback address, by the interface that leads to the pod. Where the kernel has
 * no guard for that interface, or others take packets before it, the node stays closed: who has asked for the address gets an
 * error, others a note. What must be there for CHECK comes back.
 * @throws CniError 106 where others come first
 */
export function openLocalhost(
  { machine, kernel, config, port }: AddContext,
  transaction: Transaction,
  keys: readonly PortKey[],
  cookie: string,
): { readonly holds: readonly Op[]; readonly notes: readonly string[] } {
  const key = servesLocalhost(config, port) ? keys.find(({ address }) => isLoopback(address)) : undefined
  const link = key === undefined ? undefined : kernel.interfaceTo(key.toAddress)
  if (link === undefined) return { holds: [], notes: [] }
  try {
    const { ops, holds } = claimLocalnet(machine, kernel, link, cookie)
    transaction.attempt(ops)
    return { holds, notes: [] }
  } catch (error) {
    const reason = whyUnguarded(error)
    if (reason === undefined) throw error
    if (config.localhost === undefined) {
      releaseLocalnet(machine, kernel, cookie, { interfaces: [], whole: () => undefined })
      return { holds: [], notes: [`no program at ${localhost} reaches the pod: ${reason}`] }
    }
    if (!(error instanceof PassedGuard)) throw error
    throw new CniError(code.uplinkTaken, `Cannot use localhost true: ${reason}`, { cause: error })
  }
}

/** Errors of a kernel that has no bpf(2), no classifier for programs, or no place for one. Other errors are failures. */
const lacks: ReadonlySet<unknown> = new Set(['ENOENT', 'EINVAL', 'ENOSYS', 'EPERM', 'EACCES', 'EOPNOTSUPP'])

/** Why an interface can have no guard; undefined for errors that are about something else, and where anything is left of it. */
function whyUnguarded(error: unknown): string | undefined {
  if (error instanceof PassedGuard) return error.message
  if (!(error instanceof ApplyError) || error.stuck.length > 0 || error.op.do === 'sysctl.set')
    return undefined
  const { cause } = error
  return cause instanceof Error && 'code' in cause && lacks.has(cause.code) ? error.message : undefined
}
