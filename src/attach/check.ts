/** CHECK of `vf-attach`, with an entry of its own for the reason of del.ts. */
import { failure } from '../cni/failure.ts'
import { openPod } from '../cni/open-pod.ts'
import type { Request } from '../cni/request.ts'
import type { Machine } from '../kernel/api/machine.ts'
import { attachRecords } from '../records/attach.ts'
import { readAttachConfig } from './config/config.ts'
import type { AttachContext } from './state/context.ts'
import { checkAttachment } from './verbs/check.ts'
import { ipamBeside } from './verbs/ipam.ts'

/** Serves CHECK. */
export function attachCheck(machine: Machine): (request: Request) => void {
  return (request) => check(machine, request)
}

function check(machine: Machine, request: Request): void {
  const config = readAttachConfig(request)
  const pod = openPod(machine, request.netns)
  const kernel = machine.openKernel(pod)
  const ipam = ipamBeside('CHECK', request, machine)
  const context: AttachContext = { machine, kernel, pod, store: attachRecords(config.stateDir) }
  try {
    checkAttachment(context, request, config, config.hasIpam ? ipam.begin : undefined)
    if (config.hasIpam) ipam.finish()
  } catch (error) {
    ipam.abandon()
    throw failure(error)
  } finally {
    kernel.close()
    pod.close()
  }
}
