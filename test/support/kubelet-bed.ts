// The front end and the kubelet simulator in one process, on real sockets in a folder of their own.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ContainerAccess } from '../../device-plugin/container/access.ts'
import type { Core, FrontEnd, Offer, OfferedDevice } from '../../device-plugin/front-end.ts'
import type { HealthReason } from '../../device-plugin/health/health.ts'
import { openKubeletFrontEnd } from '../../device-plugin/kubelet/front-end.ts'
import type { KubeletSettings, Timings } from '../../device-plugin/kubelet/settings.ts'
import type { PluginLog } from '../../device-plugin/log.ts'
import type { KubeletOptions } from '../../hack/lab/kubelet/api.ts'
import { KubeletSimulator } from '../../hack/lab/kubelet/simulator.ts'

/** Times for tests, in milliseconds: long enough for a busy machine where a test waits for a second attempt to be left out. */
export const quick: Partial<Timings> = {
  ...{ settle: 5, poll: 60_000, pollMissing: 50, streamWait: 1_000 },
  ...{ backoffMin: 20, backoffMax: 200, stop: 2_000 },
}

/** A line of the front end's log. */
export interface LogLine {
  readonly level: keyof PluginLog
  readonly message: string
}

/** A kubelet's folder, with what runs in it. */
export interface KubeletBed {
  readonly root: string
  readonly kubelet: KubeletSimulator
  readonly log: readonly LogLine[]
  /** Opens a front end; the bed stops it at its end. */
  open(settings?: Partial<KubeletSettings>, core?: Core): FrontEnd
  path(...names: readonly string[]): string
  close(): Promise<void>
}

/** Makes a folder; the simulator is not started yet. */
export function kubeletBed(options: Partial<KubeletOptions> = {}): KubeletBed {
  const root = mkdtempSync(join(tmpdir(), 'kubelet-'))
  const kubelet = new KubeletSimulator({ root, ...options })
  const opened: FrontEnd[] = []
  const log: LogLine[] = []
  const write = (level: keyof PluginLog) => (message: string) => void log.push({ level, message })
  const logger: PluginLog = {
    ...{ debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
  }
  return {
    ...{ root, kubelet, log },
    open: (settings = {}, core = fixedCore()) => {
      const full = { kubelet: root, instance: '', timings: quick, ...settings }
      const frontEnd = openKubeletFrontEnd(core, full, logger)
      opened.push(frontEnd)
      return frontEnd
    },
    path: (...names) => join(root, ...names),
    close: async () => {
      await Promise.all(opened.map((one) => one.stop()))
      await kubelet.stop()
      rmSync(root, { recursive: true, force: true })
    },
  }
}

/** A device that is offered. */
export function device(id: string, reason?: HealthReason, numaNode?: number): OfferedDevice {
  const reasons = reason === undefined ? [] : [{ reason, text: `${id} has ${reason}` }]
  return { id, health: { healthy: reason === undefined, reasons }, numaNode }
}

/** Offers of one pool: ids of healthy devices, or devices. */
export function offer(resource: string, ...devices: readonly (string | OfferedDevice)[]): Offer {
  return { resource, devices: devices.map((one) => (typeof one === 'string' ? device(one) : one)) }
}

/** A core that gives away everything, and prefers the last ids. */
export function fixedCore(changes: Partial<Core> = {}): Core {
  return {
    prefer: (_, available, required, count) =>
      [...required, ...available.filter((id) => !required.includes(id)).reverse()].slice(0, count),
    allocate: async (resource, ids) => access({ env: { [resource]: ids.join(',') } }),
    ...changes,
  }
}

/** An access that holds nothing but what is named. */
export function access(parts: Partial<ContainerAccess>): ContainerAccess {
  return { env: {}, deviceNodes: [], mounts: [], cdiNames: [], ...parts }
}
