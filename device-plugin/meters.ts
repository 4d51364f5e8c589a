/** The metrics of the service: who counts, and where values are looked up. */
import { eachAttachment, eachWithFilters } from '../src/ctl/show.ts'
import { linuxMachine } from '../src/kernel/linux-machine.ts'
import { openTraffic } from '../src/kernel/linux-traffic.ts'
import type { Snapshot } from './inventory/snapshot.ts'
import type { Changes } from './inventory/watch/change.ts'
import type { KubeletObserver } from './kubelet/observer.ts'
import type { HttpOptions } from './observe/http.ts'
import { readLinks } from './observe/links.ts'
import { Metrics } from './observe/metrics.ts'
import type { View } from './observe/view.ts'

/** Those who count. */
export interface Meters {
  readonly observer: KubeletObserver
  scanned(snapshot: Snapshot): void
  scanFailed(): void
  changed(changes: Changes): void
  /** These pools are in use: they alone are counted, and series of others end. */
  keepPools(resources: ReadonlySet<string>): void
  page: HttpOptions['pages']['metrics']
}

/** Starts to count. `stateDir`: records of the CNI plugins. */
export function startMeters(view: () => View, stateDir: string): Meters {
  const metrics = new Metrics({
    view,
    links: (snapshot) => {
      const facts = openTraffic()
      try {
        return readLinks(facts, snapshot)
      } finally {
        facts.close()
      }
    },
    filters: (errors) => eachWithFilters(linuxMachine, stateDir, errors),
    inPods: (errors) => eachAttachment(linuxMachine, stateDir, errors),
  })
  // A pool that is taken down ends its calls later than its series.
  let kept: ReadonlySet<string> = new Set()
  return {
    observer: {
      onRpc: (method, resource, milliseconds, code) => {
        if (!kept.has(resource)) return
        metrics.count('vf_flower_rpc_total', { resource, method, code })
        // A stream lasts as long as kubelet does: its time says nothing.
        if (method !== 'ListAndWatch')
          metrics.time('vf_flower_rpc_duration_seconds', { resource, method }, milliseconds)
      },
      onRegistration: (resource, _way, accepted) => {
        const labels = { resource, result: accepted ? 'ok' : 'error' }
        if (kept.has(resource)) metrics.count('vf_flower_registrations_total', labels)
      },
      onStream: (resource, event) => {
        if (event === 'sent' && kept.has(resource))
          metrics.count('vf_flower_list_messages_total', { resource })
      },
    },
    scanned: ({ duration }) => metrics.time('vf_flower_scan_duration_seconds', {}, duration),
    scanFailed: () => metrics.count('vf_flower_scan_failures_total', {}),
    changed: ({ counts }) => {
      for (const [kind, count] of Object.entries(counts)) {
        if (kind === 'lost') metrics.count('vf_flower_events_lost_total', {}, count)
        else if (kind !== 'timer' && kind !== 'asked')
          metrics.count('vf_flower_events_total', { kind }, count)
      }
    },
    keepPools: (resources) => {
      kept = resources
      void metrics.keepPools(resources)
    },
    page: async () => ({ contentType: metrics.contentType, parts: await metrics.parts() }),
  }
}
