/**
 * What an ADD finds out before it asks for the node's lock, for which others wait: the pod's port, and what each part has to know
 * about the node. Under the lock (verbs/add.ts) follows what is told apart from it in feature.ts: what other calls of this plugin
 * may have changed meanwhile.
 */
import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { addVerbFields, step } from '../../lib/log/steps.ts'
import type { OffloadConfig } from '../config/config.ts'
import type { Feature, LookContext, Looked } from '../feature.ts'
import { portNow, readPort } from '../port/port.ts'

/** What an ADD has seen. */
export interface View extends LookContext {
  /** Of the parts that have something to do, in their order. */
  readonly parts: readonly Looked[]
}

/** What is looked at, and by whom. */
export interface Looker {
  readonly machine: Machine
  readonly kernel: Kernel
  readonly parts: readonly Feature[]
}

/** Looks around, without the lock. @throws CniError for what can't be had */
export function lookAround(
  { machine, kernel, parts }: Looker,
  request: Request,
  config: OffloadConfig,
): View {
  const { containerID, ifname, name: network } = request
  const port = step('port', () => readPort(kernel, request, config))
  addVerbFields({ port: port.kind, device: port.device, uplink: port.wire?.uplink.name })
  const attachment = { containerID, ifname, network }
  const context = { machine, kernel, request, config, attachment, port }
  const wanted = parts.filter((part) => part.wanted(config))
  return { ...context, parts: step('look', () => wanted.flatMap((part) => part.look(context) ?? [])) }
}

/** How often an ADD looks around at most. */
const mostLooks = 5

/** The port has become another one since it was looked at: what was seen is worth nothing. */
class PortChanged extends CniError {
  constructor(name: string) {
    super(
      code.tryAgainLater,
      `Cannot serve "${name}": ${mostLooks} times the pod's interface was another one as soon as it had been looked at`,
    )
  }
}

/**
 * Runs `act` with what a look around shows, and again with a new one where {@link viewNow} finds that the port is another one by
 * now. The lock is not held for a look: a pod can change its interface as often as it likes, and have as much in it as it likes.
 * @throws CniError as lookAround(), and 11 for a port that is never the same
 */
export function withView<T>(
  looker: Looker,
  request: Request,
  config: OffloadConfig,
  act: (view: View) => T,
): T {
  for (let look = 1; ; look++) {
    try {
      return act(lookAround(looker, request, config))
    } catch (error) {
      if (!(error instanceof PortChanged) || look === mostLooks) throw error
    }
  }
}

/** The view with the port as it is now that the lock is held. @throws PortChanged, for {@link withView} */
export function viewNow({ kernel }: Pick<Looker, 'kernel'>, view: View): View {
  const port = step('port', () => portNow(kernel, view.port))
  if (port === undefined) throw new PortChanged(view.port.name)
  return { ...view, port }
}
