/**
 * The look around of an ADD, before it asks for the node's lock, for which others wait: the pod's port, and everything that each
 * feature has to know about the node. Under the lock (verbs/add.ts) each feature asks again for the facts that other calls of this
 * plugin may have changed meanwhile.
 */
import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { addVerbFields, step } from '../../lib/log/steps.ts'
import type { OffloadConfig } from '../config/config.ts'
import type { Feature, LookContext, Looked } from '../feature.ts'
import { portNow, readPort } from '../port/port.ts'

/** The findings of a look around. */
export interface View extends LookContext {
  /** Of the features that have something to do, in their order. */
  readonly looked: readonly Looked[]
}

/** The node that is looked at, and the features that look. */
export interface Looker {
  readonly machine: Machine
  readonly kernel: Kernel
  readonly features: readonly Feature[]
}

/** Looks around, without the lock. @throws CniError for wishes that can't be fulfilled */
export function lookAround(
  { machine, kernel, features }: Looker,
  request: Request,
  config: OffloadConfig,
): View {
  const { containerID, ifname, name: network } = request
  const port = step('port', () => readPort(kernel, request, config))
  addVerbFields({ port: port.kind, device: port.device, uplink: port.wire?.uplink.name })
  const attachment = { containerID, ifname, network }
  const context = { machine, kernel, request, config, attachment, port }
  const wanted = features.filter((feature) => feature.wanted(config))
  return { ...context, looked: step('look', () => wanted.flatMap((feature) => feature.look(context) ?? [])) }
}

/** An ADD looks around so often at most. A pod can change its interface, and the things in it, as often as it likes. */
export const mostLooks = 5

/** The port has become another one since the look: the findings are worth nothing. */
export class PortChanged extends CniError {
  constructor(name: string) {
    super(
      code.tryAgainLater,
      `Cannot serve "${name}": ${mostLooks} times the pod's interface was another one as soon as it had been looked at`,
    )
  }
}

/** The view with the port as it is now that the lock is held. @throws PortChanged where it is another one */
export function viewNow({ kernel }: Pick<Looker, 'kernel'>, view: View): View {
  const port = step('port', () => portNow(kernel, view.port))
  if (port === undefined) throw new PortChanged(view.port.name)
  return { ...view, port }
}
