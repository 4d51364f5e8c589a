/**
 * `vf-offload`, the CNI chain plugin: port mappings of a VF as tc filters on its uplink. Start reading here: config/config.ts
 * (wishes) and portmap/facts.ts (node) go into portmap/plan.ts (operations). What belongs to an attachment is found again by the
 * cookies in state/identity.ts, with or without the record.
 */

import { checkAddresses } from '../cni/addresses.ts'
import type { Plugin } from '../cni/dispatch.ts'
import { CniError, code } from '../cni/error.ts'
import { explained, failure, throwJoined } from '../cni/failure.ts'
import { openPod } from '../cni/open-pod.ts'
import type { Request } from '../cni/request.ts'
import type { Result } from '../cni/result.ts'
import type { Kernel } from '../kernel/api/kernel.ts'
import type { Machine } from '../kernel/api/machine.ts'
import { isOfKind } from '../lib/error-kind.ts'
import { notice } from '../lib/log/notice.ts'
import { probeFolder, type RecordStore } from '../ops/record-store.ts'
import { checkRates, wishedOtherwise } from './bandwidth/check.ts'
import { bandwidthFeature } from './bandwidth/feature.ts'
import type { RateWishes } from './config/bandwidth.ts'
import { readOffloadConfig } from './config/config.ts'
import { type OffloadName, offloadNames } from './config/plugin-names.ts'
import { readTeardown } from './config/teardown.ts'
import { offloadDel, recordsOf, storesOf, withFreeLock, withSharedLock } from './del.ts'
import type { Feature } from './feature.ts'
import { partsOf } from './features.ts'
import { podAddressesOf } from './portmap/facts.ts'
import { portmapFeature } from './portmap/feature.ts'
import { lacksReservations, type TableContext, wholeTable } from './portmap/host/whole-table.ts'
import type { OffloadJournal } from './state/record.ts'
import { addAttachment } from './verbs/add.ts'
import { checkAttachment } from './verbs/check.ts'
import { clearDebris, clearDebrisWhenDue } from './verbs/debris.ts'
import { collectGarbage } from './verbs/gc.ts'
import { collectOrphans } from './verbs/gc-orphans.ts'
import { withView } from './verbs/look.ts'
import { requireReady } from './verbs/status.ts'
import type { Locked } from './verbs/sweep.ts'

/** The plugin on a given machine, under one of its names. */
export function offloadPlugin(machine: Machine, name: OffloadName = 'vf-offload'): Plugin {
  const of: Instance = { machine, name, parts: partsOf(name) }
  return {
    name,
    about:
      'vf-offload: CNI chain plugin that maps node ports to pods and limits their bandwidth, in the NIC where it can',
    add: (request) => explained(() => add(of, request)),
    del: offloadDel(machine, name),
    check: (request) => explained(() => check(of, request)),
    gc: (request) => explained(() => gc(of, request)),
    status: (request) => explained(() => status(of, request)),
  }
}

/** The plugin under one name. */
interface Instance {
  readonly machine: Machine
  readonly name: OffloadName
  readonly parts: readonly Feature[]
}

/** Without a wish the plugin prints prevResult and touches nothing. */
function add(of: Instance, request: Request): Result {
  const { machine, parts } = of
  const { prevResult } = request
  if (prevResult === undefined) throw new CniError(code.invalidConfig, 'must be called as chained plugin')
  const config = readOffloadConfig(request)
  for (const line of config.warnings) notice(`${of.name}: ${line}`)
  if (!parts.some((part) => part.wanted(config))) return prevResult
  checkAddresses('prevResult', prevResult)
  const pod = openPod(machine, request.netns)
  const kernel = machine.openKernel(pod)
  try {
    const setting = { machine, kernel, pod, ...storesOf(of.name, config.stateDir), parts }
    return withView(setting, request, config, (seen) =>
      withSharedLock(machine, () => {
        const result = addAttachment(setting, seen, prevResult)
        clearDebrisWhenDue(machine, config.stateDir)
        return result
      }),
    )
  } finally {
    kernel.close()
    pod.close()
  }
}

function check(of: Instance, request: Request): void {
  const { machine, parts } = of
  const { prevResult } = request
  if (prevResult === undefined) {
    throw new CniError(code.invalidConfig, 'Cannot check without prevResult: the runtime must send it')
  }
  const config = readOffloadConfig(request)
  const wanted = parts.filter((part) => part.wanted(config))
  if (wanted.length === 0) return
  checkAddresses('prevResult', prevResult)
  const pod = openPod(machine, request.netns)
  const kernel = machine.openKernel(pod)
  try {
    const ips = podAddressesOf(prevResult, request.ifname).map(({ ip }) => ip)
    const mine = wanted.includes(portmapFeature) ? config : { ...config, mappings: [] }
    const journal = checkAttachment(kernel, pod, recordsOf(of.name, config.stateDir), request, mine, ips)
    if (wanted.includes(bandwidthFeature)) checkLimits(kernel, journal, config.rates)
  } finally {
    kernel.close()
    pod.close()
  }
}

function checkLimits(kernel: Kernel, journal: OffloadJournal | undefined, wishes: RateWishes): void {
  const { limits, uplink } = journal ?? {}
  const findings =
    limits === undefined
      ? ['the ADD made none']
      : [...wishedOtherwise(wishes, limits), ...checkRates(kernel, limits, uplink)]
  const [first, ...others] = findings
  if (first === undefined) return
  throw new CniError(code.checkFailed, `Attachment is not limited as ADD left it: ${first}`, {
    details: others.length === 0 ? undefined : others.join('; '),
  })
}

function gc(of: Instance, request: Request): void {
  const { machine, parts } = of
  const { stateDir, gcLive } = readTeardown(request)
  const all = offloadNames.map((name) => recordsOf(name, stateDir))
  const setting = { machine, ...storesOf(of.name, stateDir), parts }
  const locked: Locked = (action) => withSharedLock(machine, action)
  throwJoined([
    ...collectGarbage(setting, request, gcLive, locked),
    ...collectOrphans(machine, all, request, gcLive, locked),
    ...(parts.includes(portmapFeature) ? locked(() => completeTable(setting)) : []),
    ...locked(() => clearDebris(machine, stateDir)),
  ])
}

/** What a flush of the node's rules has taken from those who stay is put back. Returns the errors. */
function completeTable(setting: TableContext): CniError[] {
  const kernel = setting.machine.openKernel()
  try {
    wholeTable(setting, kernel)
    return []
  } catch (error) {
    return [failure(error)]
  } finally {
    kernel.close()
  }
}

function status(of: Instance, request: Request): void {
  const config = readOffloadConfig(request)
  const store = withShared(of.machine, recordsOf(of.name, config.stateDir))
  requireReady(of.machine, store, config, {
    ports: of.parts.includes(portmapFeature) && config.servesPorts,
    limited: of.parts.includes(bandwidthFeature) ? config.limited : 'none',
  })
  if (of.parts.includes(portmapFeature)) mendTable({ machine: of.machine, store })
}

/**
 * Runtimes ask for the status every few seconds: what a flush of the node's rules has taken need not wait for the next pod.
 * A call that has the lock looks at it by itself, and the answer does not depend on it.
 */
function mendTable(setting: TableContext): void {
  const { machine } = setting
  const kernel = machine.openKernel()
  try {
    if (lacksReservations(setting, kernel)) withFreeLock(machine, () => wholeTable(setting, kernel))
  } catch (error) {
    const isBusy = isOfKind(error, 'lock-timeout')
    if (!isBusy) notice(`vf-offload: ${failure(error).message}`)
  } finally {
    kernel.close()
  }
}

/** The store, of which a probe also tries the folder of what attachments share: the lock, and notes. */
function withShared({ sharedDir }: Machine, store: RecordStore<OffloadJournal>): RecordStore<OffloadJournal> {
  const probe = () => {
    store.probe()
    probeFolder(sharedDir)
  }
  return { ...store, probe }
}
