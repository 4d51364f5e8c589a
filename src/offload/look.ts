/**
 * What an ADD finds out before it asks for the node's lock, for which others wait: the pod's port, and what each part has to know
 * about the node. Under the lock (add.ts) follows what is told apart from it in part.ts: what other calls of this plugin
 * may have changed meanwhile.
 */
import type { Request } from '../cni/request.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Machine } from '../kernel/machine.ts'
import { addVerbFields, step } from '../lib/steps.ts'
import type { OffloadConfig } from './config.ts'
import type { LookContext, Looked, Part } from './part.ts'
import { portNow, readPort } from './port.ts'

/** What an ADD has seen. */
export interface View extends LookContext {
  /** Of the parts that have something to do, in their order. */
  readonly parts: readonly Looked[]
}

/** What is looked at, and by whom. */
export interface Looker {
  readonly machine: Machine
  readonly kernel: Kernel
  readonly parts: readonly Part[]
}

/** Looks around, without the lock. @throws CniError for what can't be had */
export function lookAround(
  { machine, kernel, parts }: Looker,
  request: Request,
  config: OffloadConfig,
): View {
  const { containerId: containerID, ifname, name: network } = request
  const port = step('port', () => readPort(kernel, request, config))
  addVerbFields({ port: port.kind, device: port.device, uplink: port.wire?.uplink.name })
  const attachment = { containerID, ifname, network }
  const context = { machine, kernel, request, config, attachment, port }
  const wanted = parts.filter((part) => part.wanted(config))
  return { ...context, parts: step('look', () => wanted.flatMap((part) => part.look(context) ?? [])) }
}

/**
 * The view with the port as it is now that the lock is held. Where it has become another one while the lock was waited for, all
 * is looked at once more. @throws CniError as lookAround()
 */
export function viewNow(looker: Looker, view: View): View {
  const port = step('port', () => portNow(looker.kernel, view.port))
  return port === undefined ? lookAround(looker, view.request, view.config) : { ...view, port }
}
