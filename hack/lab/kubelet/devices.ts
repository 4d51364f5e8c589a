// The books of kubelet's device manager: the devices of each resource, the pods that have them, and the checkpoint.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type DeviceSet, type KnownDevice, type Pod, SimulatorError } from './api.ts'
import {
  type ContainerResponse,
  decodeContainerResponse,
  encodeContainerResponse,
  type WireDevice,
} from './wire.ts'

/** Devices of one container. */
export interface Entry {
  readonly pod: Pod
  readonly container: string
  readonly resource: string
  readonly ids: readonly string[]
  readonly response: ContainerResponse
  /** The container only prepares the others, which have its devices. podresources does not show it. */
  readonly isInit: boolean
}

interface Resource {
  devices: ReadonlyMap<string, KnownDevice>
  messages: number
  connected: boolean
}

interface Checkpoint {
  readonly Data: {
    readonly PodDeviceEntries:
      | readonly {
          readonly PodUID: string
          readonly ContainerName: string
          readonly ResourceName: string
          readonly DeviceIDs: Readonly<Record<string, readonly string[]>>
          readonly AllocResp: string
        }[]
      | null
  }
}

/** Key of devices without a NUMA node in the checkpoint. */
const NO_NODE = '-1'

/** All books. */
export class DeviceBooks {
  readonly #resources = new Map<string, Resource>()
  #entries: readonly Entry[] = []
  readonly #checkpoint: string

  /** @param checkpoint path of kubelet_internal_checkpoint */
  constructor(checkpoint: string) {
    this.#checkpoint = checkpoint
  }

  get names(): readonly string[] {
    return [...this.#resources.keys()].sort()
  }

  get entries(): readonly Entry[] {
    return this.#entries
  }

  /** A message of ListAndWatch: it replaces the set. */
  replace(name: string, devices: readonly WireDevice[]): void {
    const known = this.#resource(name)
    known.messages++
    known.devices = new Map(devices.map((one) => [one.ID, knownAs(one)]))
    this.#write()
  }

  connected(name: string): void {
    this.#resource(name).connected = true
  }

  /** The end of a stream: nothing is healthy any more. */
  disconnected(name: string): void {
    const known = this.#resource(name)
    known.connected = false
    known.devices = new Map([...known.devices].map(([id, one]) => [id, { ...one, healthy: false }]))
  }

  set(name: string): DeviceSet | null {
    const known = this.#resources.get(name)
    if (known === undefined) return null
    const devices = [...known.devices.values()].sort((left, right) => (left.id < right.id ? -1 : 1))
    return { devices, messages: known.messages, connected: known.connected }
  }

  entry(uid: string, container: string, resource: string): Entry | undefined {
    return this.#entries.find(
      (one) => one.pod.uid === uid && one.container === container && one.resource === resource,
    )
  }

  /** Ids of healthy devices that no pod has, in order. @throws SimulatorError in kubelet's words when there are too few */
  available(name: string, count: number): readonly string[] {
    const healthy = this.set(name)?.devices.filter((one) => one.healthy)
    if (healthy === undefined) throw new SimulatorError(`cannot allocate unregistered device ${name}`)
    if (healthy.length === 0)
      throw new SimulatorError(`no healthy devices present; cannot allocate unhealthy devices ${name}`)
    const taken = new Set(this.#entries.filter(({ resource }) => resource === name).flatMap(({ ids }) => ids))
    const free = healthy.filter(({ id }) => !taken.has(id))
    if (free.length < count)
      throw new SimulatorError(
        `requested number of devices unavailable for ${name}. Requested: ${count}, Available: ${free.length}`,
      )
    return free.map(({ id }) => id)
  }

  /** Healthy devices of all resources: the answer of podresources GetAllocatableResources. */
  allocatable(): object {
    const devices = this.names.flatMap((name) =>
      (this.set(name)?.devices ?? [])
        .filter(({ healthy }) => healthy)
        .map(({ id, numa }) => ({ resource_name: name, device_ids: [id], ...topologyOf(numa) })),
    )
    return { devices }
  }

  add(entry: Entry): void {
    this.#entries = [...this.#entries, entry]
    this.#write()
  }

  endPod(uid: string): void {
    this.#entries = this.#entries.filter(({ pod }) => pod.uid !== uid)
    this.#write()
  }

  /** A restart: entries come from the checkpoint, devices only by a new stream. What the API server knows of pods is kept. */
  reload(): void {
    const known = new Map(this.#entries.map((one) => [`${one.pod.uid} ${one.container}`, one]))
    for (const one of this.#resources.values()) Object.assign(one, { devices: new Map(), connected: false })
    this.#entries = []
    const { Data } = this.#read()
    this.#entries = (Data.PodDeviceEntries ?? []).map((one) => ({
      ...{ pod: { uid: one.PodUID, namespace: 'default', name: one.PodUID }, isInit: false },
      ...pick(known.get(`${one.PodUID} ${one.ContainerName}`)),
      container: one.ContainerName,
      resource: one.ResourceName,
      ids: Object.values(one.DeviceIDs).flat(),
      response: decodeContainerResponse(Buffer.from(one.AllocResp, 'base64')) as ContainerResponse,
    }))
  }

  /** The answer of podresources List: an entry for each device, as kubelet has it. */
  list(): object {
    const pods = new Map<string, Entry[]>()
    for (const entry of this.#entries.filter(({ isInit }) => !isInit))
      pods.set(entry.pod.uid, [...(pods.get(entry.pod.uid) ?? []), entry])
    const pod_resources = [...pods.values()].map((entries) => ({
      name: entries[0]?.pod.name,
      namespace: entries[0]?.pod.namespace,
      containers: [...new Set(entries.map(({ container }) => container))].map((name) => ({
        name,
        devices: entries
          .filter(({ container }) => container === name)
          .flatMap(({ resource, ids }) =>
            ids.map((id) => ({
              resource_name: resource,
              device_ids: [id],
              ...topologyOf(this.#resources.get(resource)?.devices.get(id)?.numa),
            })),
          ),
      })),
    }))
    return { pod_resources }
  }

  /** A checkpoint that can't be read is one without entries, for kubelet too. */
  #read(): Checkpoint {
    try {
      return JSON.parse(readFileSync(this.#checkpoint, 'utf8')) as Checkpoint
    } catch {
      return { Data: { PodDeviceEntries: null } }
    }
  }

  #resource(name: string): Resource {
    const known = this.#resources.get(name) ?? { devices: new Map(), messages: 0, connected: false }
    this.#resources.set(name, known)
    return known
  }

  #write(): void {
    const PodDeviceEntries = this.#entries.map((one) => ({
      PodUID: one.pod.uid,
      ContainerName: one.container,
      ResourceName: one.resource,
      DeviceIDs: this.#byNode(one),
      AllocResp: Buffer.from(encodeContainerResponse(one.response)).toString('base64'),
    }))
    const RegisteredDevices = Object.fromEntries(
      [...this.#resources].map(([name, { devices }]) => [
        name,
        [...devices.values()].filter(({ healthy }) => healthy).map(({ id }) => id),
      ]),
    )
    // The sum is Go's own and nobody but kubelet checks it.
    const text = JSON.stringify({
      Data: { PodDeviceEntries: PodDeviceEntries.length === 0 ? null : PodDeviceEntries, RegisteredDevices },
      Checksum: 0,
    })
    mkdirSync(dirname(this.#checkpoint), { recursive: true })
    writeFileSync(`${this.#checkpoint}.new`, text)
    renameSync(`${this.#checkpoint}.new`, this.#checkpoint)
  }

  #byNode({ resource, ids }: Entry): Record<string, string[]> {
    const nodes: Record<string, string[]> = {}
    for (const id of ids) {
      const node = String(this.#resources.get(resource)?.devices.get(id)?.numa ?? NO_NODE)
      nodes[node] = [...(nodes[node] ?? []), id]
    }
    return nodes
  }
}

/** The part of an entry that the pod's own object has. */
function pick(entry: Entry | undefined): Partial<Entry> {
  return entry === undefined ? {} : { pod: entry.pod, isInit: entry.isInit }
}

function knownAs({ ID, health, topology }: WireDevice): KnownDevice {
  const node = topology?.nodes[0]?.ID
  return { id: ID, healthy: health === 'Healthy', ...(node === undefined ? {} : { numa: node }) }
}

function topologyOf(numa: number | undefined): object {
  return numa === undefined ? {} : { topology: { nodes: [{ ID: numa }] } }
}
