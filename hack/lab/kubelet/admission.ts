// Devices for the containers of a pod, in the order in which kubelet's device manager asks the plugin for them. Imports this folder.
import type { Allocation, ContainerWish, Pod } from './api.ts'
import type { DeviceBooks } from './devices.ts'
import type { PluginConnection } from './plugin.ts'

/** A live plugin of one resource. */
export interface LivePlugin {
  readonly connection: PluginConnection
  readonly options: { preStart: boolean; preferred: boolean }
}

/** Admission of pods. */
export class Admission {
  readonly #books: DeviceBooks
  readonly #plugin: (resource: string) => LivePlugin

  /** @param plugin the plugin of a resource; throws where there is none */
  constructor(books: DeviceBooks, plugin: (resource: string) => LivePlugin) {
    this.#books = books
    this.#plugin = plugin
  }

  /** Gives devices to all containers of a pod, then starts them. */
  async run(pod: Pod, containers: readonly ContainerWish[]): Promise<void> {
    const reusable = new Map<string, readonly string[]>()
    const first = containers.filter(({ isInit = false }) => isInit)
    const all = [...first, ...containers.filter(({ isInit = false }) => !isInit)]
    for (const { name, wants, isInit = false } of all)
      for (const [resource, count] of Object.entries(wants)) {
        const before = reusable.get(resource) ?? []
        const { ids } = await this.give(pod, name, resource, count, { isInit, reusable: before })
        // Devices of a container for initialisation are for all that come behind it; a container that stays keeps its own.
        const others = before.filter((id) => !ids.includes(id))
        reusable.set(resource, isInit ? [...others, ...ids] : others)
      }
    for (const { name, wants } of all)
      for (const resource of Object.keys(wants))
        await this.starting(this.#books.entry(pod.uid, name, resource)?.ids ?? [], resource)
  }

  /** Devices for a container, first those of `reusable`, which the pod has already. */
  async give(
    pod: Pod,
    container: string,
    resource: string,
    count: number,
    { isInit = false, reusable = [] }: { isInit?: boolean; reusable?: readonly string[] } = {},
  ): Promise<Allocation> {
    const known = this.#books.entry(pod.uid, container, resource)
    if (known !== undefined) return { ids: known.ids, response: known.response, replayed: true }
    const again = reusable.slice(0, count)
    const chosen =
      again.length === count ? again : await this.#choose(resource, again, count - again.length, count)
    const response = await this.#plugin(resource).connection.allocate(chosen)
    this.#books.add({ pod, container, resource, ids: chosen, response, isInit })
    return { ids: chosen, response, replayed: false }
  }

  async #choose(
    resource: string,
    again: readonly string[],
    lacking: number,
    count: number,
  ): Promise<readonly string[]> {
    const available = this.#books.available(resource, lacking)
    const { connection, options } = this.#plugin(resource)
    const wish = options.preferred ? await connection.prefer([...available, ...again], again, count) : []
    // The plugin may wish for anything; what is not free is left out, and what lacks is taken from the rest.
    const wished = wish.filter((id) => available.includes(id))
    return [...new Set([...again, ...wished, ...available])].slice(0, count)
  }

  /** PreStartContainer, where the plugin wants it. */
  async starting(ids: readonly string[], resource: string): Promise<void> {
    const { connection, options } = this.#plugin(resource)
    if (options.preStart) await connection.preStart(ids)
  }
}
