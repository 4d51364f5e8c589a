/** The metrics of the device plugin: things that happen are counted when they do, all others are looked up at a scrape. */
import { readdirSync } from 'node:fs'
import { Counter, Histogram, Registry } from 'prom-client'
import type { Shown, ShownFilters } from '../../src/ctl/show.ts'
import type { Counted } from '../../src/kernel/api/traffic.ts'
import { version } from '../../src/lib/version.ts'
import type { Snapshot } from '../inventory/snapshot.ts'
import { addFilters, trafficInPods } from './attachments.ts'
import type { LinkReadings } from './links.ts'
import { addTraffic, addView } from './pools.ts'
import { Samples } from './samples.ts'
import { type LabelsOf, type MetricName, metricTable } from './table.ts'
import type { View } from './view.ts'

/** Questions of a scrape. What reaches libc comes from outside, so that everything else runs without it. */
export interface Questions {
  view(): View
  /** Counters of PFs and VFs (readLinks). */
  links?(snapshot: Snapshot): LinkReadings
  /** Filters by attachment (eachWithFilters of vfctl). `errors` gets a line for each record that can't be read. */
  filters?(errors: string[]): Iterable<ShownFilters>
  /** Attachments of vf-attach (eachAttachment of vfctl), likewise. */
  inPods?(errors: string[]): Iterable<Shown>
}

/** Milliseconds of work after which a scrape lets others have their turn, and after which it looks at no more attachments. */
const turn = 10
const longest = 5_000
/** A text answers all scrapes of this many milliseconds. */
const fresh = 1_000

const noLinks: LinkReadings = { pfs: new Map(), wires: new Map(), vfs: new Map() }

/** See the head of this file. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #counters = new Map<string, Counter>()
  readonly #histograms = new Map<string, Histogram>()
  readonly #questions: Questions
  readonly #started = Date.now() / 1_000 - process.uptime()
  #making: Promise<readonly string[]> | undefined

  constructor(questions: Questions) {
    this.#questions = questions
    for (const [name, { kind, help, labels, buckets, isPushed }] of Object.entries(metricTable)) {
      const common = { name, help, labelNames: [...labels], registers: [this.#registry] }
      if (kind === 'histogram')
        this.#histograms.set(name, new Histogram({ ...common, ...(buckets && { buckets: [...buckets] }) }))
      else if (isPushed === true) this.#counters.set(name, new Counter(common))
    }
  }

  /** Content type of the text: Prometheus 0.0.4. */
  get contentType(): string {
    return this.#registry.contentType
  }

  /** Counts something that happened. `by` is 0 or above. */
  count<N extends MetricName>(name: N, labels: LabelsOf<N>, by = 1): void {
    this.#counters.get(name)?.inc({ ...labels }, by)
  }

  /** Takes a time, in milliseconds, into a histogram of seconds. */
  time<N extends MetricName>(name: N, labels: LabelsOf<N>, milliseconds: number): void {
    this.#histograms.get(name)?.observe({ ...labels }, milliseconds / 1_000)
  }

  /** Forgets what was counted for pools other than these. */
  async keepPools(resources: ReadonlySet<string>): Promise<void> {
    for (const metric of [...this.#counters.values(), ...this.#histograms.values()]) {
      const { values } = await metric.get()
      const gone = new Map(
        values.flatMap(({ labels: { le: _, ...labels } }) =>
          labels.resource === undefined || resources.has(String(labels.resource))
            ? []
            : [[JSON.stringify(labels), labels]],
        ),
      )
      for (const labels of gone.values()) metric.remove({ ...labels })
    }
  }

  /** The text of all metrics. */
  async text(): Promise<string> {
    return (await this.parts()).join('')
  }

  /** The text of all metrics, a part for each. Scrapes at the same time, and within one second, get one text. */
  parts(): Promise<readonly string[]> {
    if (this.#making !== undefined) return this.#making
    const making = this.#make()
    this.#making = making
    const forget = () => {
      setTimeout(() => {
        if (this.#making === making) this.#making = undefined
      }, fresh).unref()
    }
    making.then(forget, () => {
      this.#making = undefined
    })
    return making
  }

  async #make(): Promise<readonly string[]> {
    const samples = new Samples()
    const view = this.#questions.view()
    await this.#part(samples, 'view', () => addView(samples, view))
    const { snapshot } = view
    let links = noLinks
    if (snapshot !== undefined)
      await this.#part(samples, 'links', () => {
        links = this.#questions.links?.(snapshot) ?? noLinks
      })
    const errors: string[] = []
    await this.#part(samples, 'filters', async () => {
      const all = await inTurns(this.#questions.filters?.(errors) ?? [])
      addFilters(samples, all, view.attachments)
    })
    const inPods = await this.#trafficInPods(samples, view, links, errors)
    samples.add('vf_flower_records_unusable', {}, new Set(errors).size)
    addTraffic(samples, view, links, inPods)
    addProcess(samples, this.#started)
    return this.#format(samples)
  }

  /** Interfaces in pods are asked only where nobody on the host counts. */
  async #trafficInPods(
    samples: Samples,
    { pools, attachments }: View,
    { vfs }: LinkReadings,
    errors: string[],
  ): Promise<ReadonlyMap<string, Counted>> {
    const isSilent = pools.some(({ devices }) =>
      devices.some(({ id }) => attachments.has(id) && !vfs.has(id)),
    )
    if (!isSilent) return new Map()
    let found: readonly Shown[] = []
    await this.#part(samples, 'pods', async () => {
      found = await inTurns(this.#questions.inPods?.(errors) ?? [])
    })
    return trafficInPods(found)
  }

  /** Times a part. One that fails is counted, and the others go on. */
  async #part(samples: Samples, part: string, action: () => void | Promise<void>): Promise<void> {
    const began = performance.now()
    try {
      await action()
    } catch {
      this.count('vf_flower_collect_failures_total', { part })
    }
    samples.add('vf_flower_collect_duration_seconds', { part }, (performance.now() - began) / 1_000)
    await nextTurn()
  }

  async #format(samples: Samples): Promise<readonly string[]> {
    const parts: string[] = []
    const pause = pacer()
    for (const name of Object.keys(metricTable) as MetricName[]) {
      const isCounted = this.#registry.getSingleMetric(name) !== undefined
      parts.push(isCounted ? `${await this.#registry.getSingleMetricAsString(name)}\n` : samples.take(name))
      await pause()
    }
    return parts
  }
}

function addProcess(samples: Samples, started: number): void {
  const { user, system } = process.cpuUsage()
  samples.add('vf_flower_build_info', { version }, 1)
  samples.add('vf_flower_process_start_time_seconds', {}, started)
  samples.add('vf_flower_process_resident_memory_bytes', {}, process.memoryUsage.rss())
  samples.add('vf_flower_process_cpu_seconds_total', {}, (user + system) / 1e6)
  samples.add('vf_flower_process_open_fds', {}, openFiles())
}

function openFiles(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return undefined
  }
}

/** Everything that is asked for within the longest time; others have their turn in between. */
async function inTurns<T>(all: Iterable<T>): Promise<readonly T[]> {
  const found: T[] = []
  const pause = pacer()
  const end = performance.now() + longest
  for (const one of all) {
    found.push(one)
    if (performance.now() > end) break
    await pause()
  }
  return found
}

/** A function that lets others have their turn whenever the work since the last time was long. */
function pacer(): () => Promise<void> | undefined {
  let since = performance.now()
  return () => {
    if (performance.now() - since < turn) return undefined
    return nextTurn().then(() => {
      since = performance.now()
    })
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
