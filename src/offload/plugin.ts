/**
 * `vf-offload`, the CNI chain plugin: port mappings and rate limits of a pod, in the NIC where it can. Start reading here. Each verb
 * reads its config (config/), and serves all features by their contract (feature.ts, features.ts): ADD looks around (verbs/look.ts),
 * then plans and installs with the node's lock held (verbs/add.ts, verbs/joint-plan.ts). Things of an attachment are found again by
 * the cookies in state/identity.ts, with or without the record.
 */
import { checkAddresses } from '../cni/addresses.ts'
import type { Plugin } from '../cni/dispatch.ts'
import { CniError, code } from '../cni/error.ts'
import { explained, failure, throwJoined } from '../cni/failure.ts'
import { openPod } from '../cni/open-pod.ts'
import type { Request } from '../cni/request.ts'
import type { Result } from '../cni/result.ts'
import type { Kernel } from '../kernel/api/kernel.ts'
import type { Machine, OpenNetns } from '../kernel/api/machine.ts'
import { isOfKind } from '../lib/error-kind.ts'
import { notice } from '../lib/log/notice.ts'
import type { OffloadJournal } from '../records/offload.ts'
import { probeFolder, type RecordStore } from '../records/store.ts'
import { type OffloadConfig, readOffloadConfig } from './config/config.ts'
import { type OffloadName, offloadNames } from './config/plugin-names.ts'
import { readTeardown } from './config/teardown.ts'
import { offloadDel } from './del.ts'
import type { Feature, SharedState } from './feature.ts'
import { everyFeature, featuresOf } from './features.ts'
import type { StateContext } from './state/context.ts'
import { recordsOf, storesOf, withFreeLock, withSharedLock } from './state/stores.ts'
import { addAttachment } from './verbs/add.ts'
import { checkAttachment } from './verbs/check.ts'
import type { Locked, OffloadContext } from './verbs/context.ts'
import { clearDebris, clearDebrisWhenDue } from './verbs/debris.ts'
import { collectGarbage } from './verbs/gc.ts'
import { collectOrphans } from './verbs/gc-orphans.ts'
import { lookAround, mostLooks, PortChanged } from './verbs/look.ts'
import { removeLost } from './verbs/lost.ts'
import { requireReady } from './verbs/status.ts'

/** The plugin on a given machine, under one of its names. */
export function offloadPlugin(machine: Machine, name: OffloadName = 'vf-offload'): Plugin {
  const of: Instance = { machine, name, features: featuresOf(name) }
  return {
    name,
    about:
      'vf-offload: CNI chain plugin that maps node ports to pods and limits their bandwidth, in the NIC where it can',
    add: (request) => add(of, request),
    del: offloadDel(machine, name),
    check: (request) => explained(() => check(of, request)),
    gc: (request) => explained(() => gc(of, request)),
    status: (request) => explained(() => status(of, request)),
    removeLost: (request) => explained(() => takeBack(of, request)),
  }
}

/** Takes back an ADD that a dead worker had. */
function takeBack({ machine, name, features }: Instance, request: Request): void {
  const { stateDir } = readTeardown(request)
  removeLost({ store: recordsOf(name, stateDir), features }, request, offloadDel(machine, name))
}

/** The plugin under one name. */
interface Instance {
  readonly machine: Machine
  readonly name: OffloadName
  readonly features: readonly Feature[]
}

/** Without a wish the plugin prints prevResult and touches nothing. */
function add(of: Instance, request: Request): Result {
  try {
    const { prevResult } = request
    if (prevResult === undefined) throw new CniError(code.invalidConfig, 'must be called as chained plugin')
    const config = readOffloadConfig(request)
    for (const line of config.warnings) notice(`${of.name}: ${line}`)
    if (!of.features.some((feature) => feature.wanted(config))) return prevResult
    checkAddresses('prevResult', prevResult)
    const pod = openPod(of.machine, request.netns)
    const kernel = of.machine.openKernel(pod)
    try {
      return addTo(of, { kernel, pod }, request, config, prevResult)
    } finally {
      kernel.close()
      pod.close()
    }
  } catch (error) {
    throw failure(error)
  }
}

/** Looks around without the lock, and again where the port is another one as soon as the lock is held. */
function addTo(
  { machine, name, features }: Instance,
  open: { readonly kernel: Kernel; readonly pod: OpenNetns },
  request: Request,
  config: OffloadConfig,
  prevResult: Result,
): Result {
  const stores = storesOf(name, config.stateDir)
  const context: OffloadContext = { machine, ...open, ...stores, features, everyFeature }
  for (let look = 1; ; look++) {
    const view = lookAround(context, request, config)
    try {
      return withSharedLock(machine, () => {
        const result = addAttachment(context, view, prevResult)
        clearDebrisWhenDue(machine, config.stateDir, everyFeature)
        return result
      })
    } catch (error) {
      if (!(error instanceof PortChanged) || look === mostLooks) throw error
    }
  }
}

function check({ machine, name, features }: Instance, request: Request): void {
  const { prevResult } = request
  if (prevResult === undefined) {
    throw new CniError(code.invalidConfig, 'Cannot check without prevResult: the runtime must send it')
  }
  const config = readOffloadConfig(request)
  if (!features.some((feature) => feature.wanted(config))) return
  checkAddresses('prevResult', prevResult)
  const pod = openPod(machine, request.netns)
  const kernel = machine.openKernel(pod)
  try {
    checkAttachment(kernel, pod, recordsOf(name, config.stateDir), request, config, features)
  } finally {
    kernel.close()
    pod.close()
  }
}

function gc({ machine, name, features }: Instance, request: Request): void {
  const { stateDir, gcLive } = readTeardown(request)
  const all = offloadNames.map((one) => recordsOf(one, stateDir))
  const context = { machine, ...storesOf(name, stateDir), features }
  const locked: Locked = (action) => withSharedLock(machine, action)
  throwJoined([
    ...collectGarbage(context, request, gcLive, locked),
    ...collectOrphans(machine, all, everyFeature, request, gcLive, locked),
    ...sharedOf(features).flatMap((shared) => locked(() => complete(context, shared))),
    ...locked(() => clearDebris(machine, stateDir, everyFeature)),
  ])
}

/** Puts back the shared state that others have taken from attachments that stay. Returns the errors. */
function complete(context: StateContext, shared: SharedState): CniError[] {
  const kernel = context.machine.openKernel()
  try {
    shared.complete(context, kernel)
    return []
  } catch (error) {
    return [failure(error)]
  } finally {
    kernel.close()
  }
}

function status({ machine, name, features }: Instance, request: Request): void {
  const config = readOffloadConfig(request)
  const store = withShared(machine, recordsOf(name, config.stateDir))
  requireReady(machine, store, config, features)
  for (const shared of sharedOf(features)) mend({ machine, store }, shared)
}

/**
 * Runtimes ask for the status every few seconds: attachments that a flush of the node's rules has robbed need not wait for the next
 * pod. A call that has the lock looks at the state by itself, and the answer of STATUS does not depend on it.
 */
function mend(context: StateContext, shared: SharedState): void {
  const { machine } = context
  const kernel = machine.openKernel()
  try {
    if (shared.isLacking(context, kernel)) withFreeLock(machine, () => shared.complete(context, kernel))
  } catch (error) {
    const isBusy = isOfKind(error, 'lock-timeout')
    if (!isBusy) notice(`vf-offload: ${failure(error).message}`)
  } finally {
    kernel.close()
  }
}

function sharedOf(features: readonly Feature[]): SharedState[] {
  return features.flatMap(({ shared }) => shared ?? [])
}

/** The store, of which a probe also tries the folder that all attachments share: the lock, and notes. */
function withShared({ sharedDir }: Machine, store: RecordStore<OffloadJournal>): RecordStore<OffloadJournal> {
  const probe = () => {
    store.probe()
    probeFolder(sharedDir)
  }
  return { ...store, probe }
}
