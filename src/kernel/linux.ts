/** The real kernel: operations become netlink requests, and questions too. linux/ has a file for each subject. */
import { waiting } from '../lib/call/call.ts'
import type { Op, OpKind, Outcome } from '../ops/op.ts'
import type { Kernel } from './api/kernel.ts'
import type { OpenNetns } from './api/machine.ts'
import { addressKernel, addressRuns } from './linux/addresses.ts'
import { deviceStateKernel, deviceStateRuns } from './linux/device-state.ts'
import { filterKernel, filterRuns, runFilters } from './linux/filters.ts'
import { linkKernel, linkRuns } from './linux/links.ts'
import { type OpenSides, openSides } from './linux/open-sides.ts'
import { portUserKernel } from './linux/port-users.ts'
import { probeKernel, verifyKernel } from './linux/probe.ts'
import { limitKernel, rateRuns } from './linux/rates.ts'
import { reservationKernel, reservationRuns } from './linux/reservations.ts'
import type { Run, Runs } from './linux/runs.ts'

/** A kind without an entry does not compile. */
const runs: Runs<OpKind> = {
  ...linkRuns,
  ...addressRuns,
  ...filterRuns,
  ...reservationRuns,
  ...rateRuns,
  ...deviceStateRuns,
}

/** Opens the kernel. Sockets are made when first used; `close` closes them. */
export function openLinuxKernel(pod?: OpenNetns): Kernel {
  const sides = openSides(pod)
  return {
    run: (op) => run(sides, op),
    runAll: (ops) => runFilters(sides, ops),
    ...linkKernel(sides),
    ...deviceStateKernel(sides),
    ...addressKernel(sides),
    ...filterKernel(sides),
    ...reservationKernel(sides),
    ...portUserKernel(sides),
    ...limitKernel(sides),
    ...probeKernel(sides),
    ...verifyKernel(sides),
    close: sides.close,
  }
}

/** Operations for which the kernel waits until nobody sees the former state any more (synchronize_net): milliseconds, or many. */
const slow: ReadonlySet<OpKind> = new Set(['link.move', 'link.set', 'driver.rebind', 'function.reset'])

function run(sides: OpenSides, op: Op): Outcome {
  // The entry of a kind takes the operations of that kind.
  const action = () => (runs[op.do] as unknown as Run<OpKind>)(sides, op)
  return slow.has(op.do) ? waiting('kernel', action) : action()
}
