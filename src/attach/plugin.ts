/**
 * `vf-attach`, the CNI main plugin: moves a VF or another host NIC into the pod's network namespace and puts it back.
 * Start reading here: config/config.ts (wishes) and device/facts.ts (node) go into plan/add.ts (operations); records/attach.ts makes DEL
 * possible after a crash at any point.
 */

import { ipamGc, ipamStatus } from '../cni/delegate.ts'
import type { Plugin } from '../cni/dispatch.ts'
import { explained, failure, throwJoined } from '../cni/failure.ts'
import { openPod } from '../cni/open-pod.ts'
import type { Request } from '../cni/request.ts'
import type { Result } from '../cni/result.ts'
import type { Machine } from '../kernel/api/machine.ts'
import { notice } from '../lib/log/notice.ts'
import { attachRecords } from '../records/attach.ts'
import { attachCheck } from './check.ts'
import { readAttachConfig, readStatusConfig, readTeardownConfig } from './config/config.ts'
import { attachDel } from './del.ts'
import { selectDevice } from './device/select.ts'
import { withDeviceLock } from './foreign/device-lock.ts'
import type { AttachContext } from './state/context.ts'
import { withPatience } from './state/locks.ts'
import { addLocked } from './verbs/add.ts'
import { addFreeVf } from './verbs/add-free-vf.ts'
import { clearDebris, clearDebrisWhenDue } from './verbs/debris.ts'
import { collectGarbage, type Locked } from './verbs/gc.ts'
import { withoutLeftovers } from './verbs/ownership.ts'
import { countedSpawn } from './verbs/spawn.ts'
import { requireReady } from './verbs/status.ts'

/** The plugin on a given machine; `name` is what it was called as. */
export function attachPlugin(machine: Machine, name = 'vf-attach'): Plugin {
  const called = name === 'vf-attach' ? name : `vf-attach (as ${name})`
  return {
    name: 'vf-attach',
    about: `${called}: CNI main plugin that gives an SR-IOV virtual function or a host NIC to a container`,
    add: (request) => add(machine, request),
    del: attachDel(machine),
    check: attachCheck(machine),
    gc: (request) => explained(() => gc(machine, request)),
    status: (request) => status(machine, request),
  }
}

function add(node: Machine, request: Request): Result {
  const machine = withPatience(node)
  const config = readAttachConfig(request)
  for (const line of config.warnings) notice(`vf-attach: ${line}`)
  const pod = openPod(machine, request.netns)
  const kernel = machine.openKernel(pod)
  try {
    const context: AttachContext = { machine, kernel, pod, store: attachRecords(config.stateDir) }
    const result = withoutLeftovers(context, config.stateDir, () => {
      if (config.pf !== undefined) return addFreeVf(context, request, config, config.pf)
      const select = () => selectDevice(context, config.selectors)
      const [first] = config.selectors
      // A PCI address is its own name: then the device is looked at only once, under the lock.
      const isNamed = first?.by === 'pci' && config.selectors.every(({ by }) => by === 'pci')
      const id = isNamed ? first.address : select().id
      return withDeviceLock(machine, config.stateDir, id, () => addLocked(context, request, config, select))
    })
    clearDebrisWhenDue(machine, config.stateDir)
    return result
  } catch (error) {
    throw failure(error)
  } finally {
    kernel.close()
    pod.close()
  }
}

function gc(machine: Machine, request: Request): void {
  const { hasIpam, stateDir, gcLive } = readTeardownConfig(request)
  const locked: Locked = (patient, subject, action, milliseconds) =>
    withDeviceLock(patient, stateDir, subject, action, milliseconds)
  const errors = collectGarbage(machine, attachRecords(stateDir), request, gcLive, locked)
  try {
    clearDebris(machine, stateDir)
  } catch (error) {
    errors.push(failure(error))
  }
  if (hasIpam) {
    try {
      ipamGc(request, countedSpawn(machine))
    } catch (error) {
      errors.push(failure(error))
    }
  }
  throwJoined(errors)
}

function status(machine: Machine, request: Request): void {
  const { hasIpam, stateDir } = readTeardownConfig(request)
  requireReady(machine, attachRecords(stateDir), () => readStatusConfig(request))
  if (hasIpam) ipamStatus(request, countedSpawn(machine))
}
