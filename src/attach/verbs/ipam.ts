/**
 * IPAM's part of one verb. The kernel waits some 15 ms whenever an interface changes its namespace. An IPAM plugin that looks at no
 * interface runs meanwhile, and beside the looks of a CHECK. A failure to start it in a DEL is reported at its end, so that it never
 * stops a move.
 */
import { ipamDel, isIpamBlind, startIpam, startIpamAdd } from '../../cni/delegate.ts'
import { failure } from '../../cni/failure.ts'
import type { Request } from '../../cni/request.ts'
import type { Result } from '../../cni/result.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import type { RecordName } from '../../records/store.ts'
import { countedSpawn, spawnHolding } from './spawn.ts'

type Node = Pick<Machine, 'withLock' | 'startProgram'>

/** IPAM's ADD for an attachment whose record is written. */
export interface IpamOfAdd {
  /** To be called before the interface moves: starts the plugin if that may run meanwhile. @throws as startIpamAdd() */
  beforeMove(): void
  /**
   * The result, once the interface is in the pod; undefined if the config wants no IPAM.
   * @throws as ipamAdd(), after the plugin's DEL
   */
  result(): Result | undefined
  /**
   * After a failure of the ADD: gives the addresses back, if there are any or the plugin still runs. Does nothing the second time.
   * Returns lines about that which went wrong.
   */
  giveBack(): readonly string[]
}

/** IPAM's part of an ADD. */
export function ipamOfAdd(request: Request, machine: Node, name: RecordName): IpamOfAdd {
  const spawn = spawnHolding(machine, name)
  let end: (() => Result) | undefined
  let isToFree = false
  const start = () => {
    end = startIpamAdd(request, spawn)
  }
  const awaitEnd = () => {
    const wait = end
    end = undefined
    const result = wait?.()
    if (result !== undefined) isToFree = true
    return result
  }
  return {
    beforeMove() {
      if (isIpamBlind(request)) start()
    },
    result() {
      if (end === undefined) start()
      return awaitEnd()
    },
    giveBack() {
      try {
        // A plugin that fails now has been told its DEL already.
        awaitEnd()
      } catch (error) {
        return [failure(error).message]
      }
      if (!isToFree) return []
      isToFree = false
      try {
        ipamDel(request, countedSpawn(machine))
        return []
      } catch (error) {
        return [`the addresses are not freed, DEL does it: ${failure(error).message}`]
      }
    },
  }
}

/** IPAM's DEL or CHECK. */
export interface IpamBeside {
  /**
   * Starts the plugin if that may run beside what follows: in a DEL, when the interface is down and leaves the pod. Never throws.
   */
  begin(): void
  /** Starts the plugin if it was not, and waits for its end. @throws as ipamDel() and ipamCheck() */
  finish(): void
  /** Waits for a plugin that was started, whatever its end is. */
  abandon(): void
}

/** IPAM's part of a DEL or a CHECK. Does nothing if the config wants no IPAM. */
export function ipamBeside(command: 'DEL' | 'CHECK', request: Request, machine: Node): IpamBeside {
  let end: (() => void) | undefined
  const start = () => {
    end = startIpam(command, request, countedSpawn(machine))
  }
  const finish = () => {
    const wait = end
    end = undefined
    wait?.()
  }
  return {
    begin() {
      try {
        if (end === undefined && isIpamBlind(request)) start()
      } catch (error) {
        end = () => {
          throw error
        }
      }
    },
    finish() {
      if (end === undefined) start()
      finish()
    },
    abandon() {
      try {
        finish()
      } catch {
        // The error of the verb is the one that is told.
      }
    },
  }
}
