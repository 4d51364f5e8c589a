/**
 * IPAM's part of one ADD or one DEL. The kernel waits some 15 ms whenever an interface changes its namespace. An IPAM plugin that looks
 * at no interface runs meanwhile. A failure to start it is reported at its end, so that it never stops a move.
 */
import { ipamDel, isIpamBlind, startIpamAdd, startIpamDel } from '../../cni/delegate.ts'
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

/** IPAM's DEL. */
export interface IpamOfDel {
  /** To be called when the interface is down and leaves the pod: starts the plugin if that may run meanwhile. Never throws. */
  leaving(): void
  /** Starts the plugin if it was not, and waits for its end. @throws as ipamDel() */
  finish(): void
}

/** IPAM's part of a DEL. */
export function ipamOfDel(request: Request, machine: Node): IpamOfDel {
  let finish: (() => void) | undefined
  return {
    leaving() {
      try {
        if (finish === undefined && isIpamBlind(request))
          finish = startIpamDel(request, countedSpawn(machine))
      } catch (error) {
        finish = () => {
          throw error
        }
      }
    },
    finish() {
      if (finish === undefined) ipamDel(request, countedSpawn(machine))
      else finish()
    },
  }
}
