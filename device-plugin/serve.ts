/** The service with the real kernel, kubelet, files and signals around it, until a signal ends it. */

import { wasInPod } from '../src/attach/device/pod-had-note.ts'
import { linuxMachine } from '../src/kernel/linux-machine.ts'
import { errorText } from '../src/lib/error-text.ts'
import { version } from '../src/lib/version.ts'
import { collectGarbage, giveBackMemory } from '../src/sys/memory/memory.ts'
import { openNetlink } from '../src/sys/netlink.ts'
import { openNotifications } from '../src/sys/notifications.ts'
import { attachmentsByDevice } from './allocations/attachments.ts'
import { AllocationKeeper } from './allocations/keeper.ts'
import { watchRecords } from './allocations/watch-records.ts'
import { type FileRead, readConfigFile } from './config/config-file.ts'
import type { PluginConfig } from './config/plugin-config.ts'
import type { Settings } from './config/settings.ts'
import { watchConfig } from './config/watch-config.ts'
import { Containers } from './container/containers.ts'
import { makeCore } from './core.ts'
import { isDeviceId } from './inventory/device-id.ts'
import { scan } from './inventory/scan.ts'
import type { Snapshot } from './inventory/snapshot.ts'
import { processClock } from './inventory/watch/clock.ts'
import { type Watch, watchNode } from './inventory/watch/watch.ts'
import { checkpoint } from './kubelet/checkpoint.ts'
import { openKubeletFrontEnd } from './kubelet/front-end.ts'
import { podResources } from './kubelet/podresources.ts'
import { endOnUncaughtErrors } from './last-resort.ts'
import type { PluginLog } from './log.ts'
import { type Meters, startMeters } from './meters.ts'
import { nodeSources } from './node-sources.ts'
import { serveHttp } from './observe/http.ts'
import { startPluginLog } from './observe/log.ts'
import { unready } from './observe/readiness.ts'
import { keepReadyFile } from './observe/ready-file.ts'
import { type Restores, startRestores } from './restores.ts'
import { Service } from './service.ts'
import { Tidy } from './tidy.ts'

/** Bytes of its own with which the process gives up compiled code: with pages of its file it stays below 80 MB. */
const mostOwn = 46 << 20

/** Exit codes of the service. */
export const exitCodes = { ended: 0, failed: 1, config: 3 } as const

/**
 * Serves until SIGTERM, SIGINT or SIGQUIT.
 * @returns the exit code: 3 for a config with a mistake at the start. A file that is missing is waited for
 */
export async function serve(settings: Settings, warnings: readonly string[]): Promise<number> {
  const log = startPluginLog(settings.logLevel)
  endOnUncaughtErrors(log, exitCodes.failed)
  for (const warning of warnings) log.warn(warning)
  const read = readConfigFile(settings.configFile)
  const running = new Running(settings, log)
  if (!running.begin(read) && 'text' in read) {
    // What waits for kubelet by now would keep the process.
    await running.end()
    return exitCodes.config
  }
  log.info(`vf-device-plugin ${version} serves kubelet at ${settings.roots.kubelet}`)
  const signal = await endingSignal(() => running.reload())
  log.info(`Ends on ${signal}`)
  await running.end()
  return exitCodes.ended
}

/** Everything that runs. */
class Running {
  readonly #settings: Settings
  readonly #log: PluginLog
  readonly #meters: Meters
  readonly #allocations: AllocationKeeper
  readonly #service: Service
  /**
   * Devices that a pod has had since this process started; and devices for programs in user space that were there at the start, of
   * which vf-attach keeps no note: a reset too many does no harm.
   */
  readonly #wereHeld = new Set<string>()
  readonly #containers: Containers
  readonly #restores: Restores
  readonly #ends: (() => unknown)[] = []
  #watch: Watch | undefined
  #judgement: NodeJS.Immediate | undefined
  readonly #tidy = new Tidy(processClock, {
    collect: collectGarbage,
    giveBack: () => giveBackMemory(mostOwn),
  })
  /** The config whose pools have counters. */
  #counted: PluginConfig | undefined
  /** The reason why files of devices could not be kept the last time. */
  #fileProblem: string | undefined

  constructor(settings: Settings, log: PluginLog) {
    const { roots } = settings
    this.#settings = settings
    this.#log = log
    const attachments = attachmentsByDevice(roots.state, linuxMachine)
    this.#allocations = new AllocationKeeper({
      sources: [
        podResources(`${roots.kubelet}/pod-resources/kubelet.sock`),
        checkpoint(`${roots.kubelet}/device-plugins`),
      ],
      onChange: ({ held }) => {
        for (const id of held.keys()) this.#wereHeld.add(id)
        this.#judgeSoon()
      },
      log,
      noteFile: `${roots.state}/device-plugin.json`,
      bootId: linuxMachine.bootId(),
      // Other plugins give out devices by ids of their own, and in any number.
      isWanted: ({ device }) => isDeviceId(device),
    })
    this.#service = new Service({
      resourcePrefix: settings.resourcePrefix,
      scan: (number) => scan(nodeSources(settings), number),
      attachments,
      allocations: () => this.#allocations.now,
      lookAtAttachments: (found) => this.#allocations.look(found),
      beforeOffer: (state) => {
        this.#keepFiles()
        this.#keepSeries(state.config)
        this.#restores.look(state)
        this.#tidy.soon()
      },
      onFailure: () => this.#watch?.touch('judgement'),
      afterScan: (snapshot) => this.#scanned(snapshot),
      log,
    })
    this.#restores = startRestores({
      ...{ stateDir: roots.state, state: () => this.#service.state, attachments, log },
      onEnd: () => this.#watch?.touch('restore'),
    })
    this.#meters = startMeters(() => this.#service.view(), roots.state)
    this.#containers = new Containers(
      { roots, cdi: settings.useCdi ? 'names' : 'off' },
      {
        pools: () => this.#service.state?.assignment.pools ?? [],
        held: () => new Set(this.#allocations.now.held.keys()),
        attachmentOf: (device) => attachments().get(device),
        wasHeld: (device) => this.#wereHeld.has(device) || wasInPod(linuxMachine.sharedDir, device),
      },
    )
    const core = makeCore({
      state: () => this.#service.state,
      containers: this.#containers,
      given: (resource, ids) => {
        this.#allocations.given(resource, ids)
        this.#service.gave(ids)
      },
      doubt: (resource, reason, device) => {
        if (device !== undefined) this.#service.refuse(device, resource, reason)
        this.#watch?.touch(resource)
      },
    })
    const frontEnd = openKubeletFrontEnd(
      core,
      {
        ...{ kubelet: roots.kubelet, instance: settings.instance, observer: this.#meters.observer },
        cdiAnnotations: settings.cdiAnnotations,
      },
      log,
    )
    this.#service.serve(frontEnd)
    this.#ends.push(() => frontEnd.stop())
  }

  /** Begins to watch and to serve. @returns false for a config that can't be used */
  begin(read: FileRead): boolean {
    const { configFile, listen, readyFile } = this.#settings
    const isUsable = this.#service.configure(read)
    if (!isUsable && 'text' in read) return false
    this.#startHttp(listen)
    if (readyFile !== undefined)
      this.#ends.push(keepReadyFile({ path: readyFile, unready: () => this.#unready(), log: this.#log }))
    // kubelet is asked who has what before the first offer: a device of a pod must not be missing from it, and its open file is the pod's.
    const informed = this.#allocations.start()
    const records = watchRecords(this.#settings.roots.state, () => this.#judgeSoon())
    // The watch comes before the first scan, which then misses nothing.
    const watch = watchNode({
      port: { subscribe: openNotifications, connect: openNetlink },
      clock: processClock,
      onChange: async (changes) => {
        await informed
        this.#meters.changed(changes)
        this.#service.look()
      },
      onFailure: (error) => {
        this.#meters.scanFailed()
        this.#log.error(`A scan of the node has failed: ${errorText(error)}`)
      },
      onLost: (error) => this.#log.warn(`Notifications of the kernel are missing: ${errorText(error)}`),
    })
    this.#watch = watch
    const config = watchConfig(configFile, (next) => void this.#service.configure(next), { since: read })
    this.#reread = () => config.check()
    this.#ends.push(
      () => watch.close(),
      () => records.close(),
      () => config.close(),
      () => this.#allocations.stop(),
    )
    watch.touch('start')
    return isUsable
  }

  #scanned(snapshot: Snapshot): void {
    this.#meters.scanned(snapshot)
    if (this.#service.state !== undefined) return
    for (const { id, vfio, uio } of snapshot.devices)
      if (vfio !== undefined || uio !== undefined) this.#wereHeld.add(id)
  }

  #reread: () => void = () => {}

  /** Reads the config file again. */
  reload(): void {
    this.#log.info('SIGHUP: the config file is read again')
    this.#reread()
  }

  async end(): Promise<void> {
    this.#service.stop()
    this.#restores.stop()
    clearImmediate(this.#judgement)
    this.#tidy.stop()
    await Promise.all(this.#ends.map((end) => end()))
  }

  #startHttp(listen: string | undefined): void {
    if (listen === undefined) return
    const server = serveHttp({
      listen,
      pages: { metrics: () => this.#metrics(), unready: () => this.#unready() },
      log: this.#log,
    })
    this.#ends.push(() => server.stop())
  }

  #unready(): readonly string[] {
    return unready(this.#service.view())
  }

  #metrics(): ReturnType<Meters['page']> {
    this.#tidy.soon()
    return this.#meters.page()
  }

  /** Several changes of allocations in one turn are one judgement. */
  #judgeSoon(): void {
    this.#judgement ??= setImmediate(() => {
      this.#judgement = undefined
      this.#service.judge()
    })
  }

  /** Counters of pools that are gone end. */
  #keepSeries(config: PluginConfig): void {
    if (config === this.#counted) return
    this.#counted = config
    this.#meters.keepPools(new Set(config.pools.map(({ resource }) => resource)))
  }

  /** Files that name devices follow the devices. A file that can't be written makes no offer late. */
  #keepFiles(): void {
    let problem: string | undefined
    try {
      this.#containers.update()
    } catch (error) {
      problem = errorText(error)
    }
    // Each judgement comes here: what lasts is told once.
    if (problem === this.#fileProblem) return
    this.#fileProblem = problem
    if (problem === undefined) this.#log.info('The files of devices are kept again')
    else this.#log.warn(`Cannot keep the files of devices: ${problem}`)
  }
}

/** Waits for a signal that ends the process. */
function endingSignal(onHangup: () => void): Promise<string> {
  process.on('SIGHUP', onHangup)
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const)
      process.once(signal, () => resolve(signal))
  })
}
