// The kubelet simulator as its users see it, be it in their own process (simulator.ts) or in a node of the lab (remote.ts).
import type { ContainerResponse } from './wire.ts'

/** A device as kubelet knows it. */
export interface KnownDevice {
  readonly id: string
  readonly healthy: boolean
  /** Undefined: the plugin named no node. */
  readonly numa?: number
}

/** A resource as kubelet's device manager knows it. */
export interface DeviceSet {
  /** By id. */
  readonly devices: readonly KnownDevice[]
  /** Messages of ListAndWatch since the simulator was made. */
  readonly messages: number
  /** A stream is open. */
  readonly connected: boolean
}

/** A pod, as far as the device manager asks. */
export interface Pod {
  readonly uid: string
  readonly namespace: string
  readonly name: string
}

/** Devices given to a container. */
export interface Allocation {
  readonly ids: readonly string[]
  readonly response: ContainerResponse
  /** The answer comes from the checkpoint: the container had its devices before, and the plugin was not asked. */
  readonly replayed: boolean
}

/** One attempt of a plugin to register. */
export interface RegistrationAttempt {
  readonly way: 'watcher' | 'legacy'
  readonly resource: string
  readonly socket: string
  /** Undefined: accepted. */
  readonly error?: string
}

/** A state of a resource to wait for; all that is present must hold. */
export interface Wanted {
  /** Ids of the healthy devices, all of them, in any order; or their number. */
  readonly healthy?: readonly string[] | number
  readonly unhealthy?: readonly string[] | number
  readonly connected?: boolean
  /** At least so many messages. */
  readonly messages?: number
}

/** Folders of kubelet that sockets of plugins are in. */
export type SocketFolder = 'plugins_registry' | 'device-plugins'

/** Options of a simulator. */
export interface KubeletOptions {
  /** `/var/lib/kubelet`. */
  readonly root: string
  /** False: a kubelet without a plugin watcher, which makes no plugins_registry. Default true. */
  readonly watcher?: boolean
  /**
   * Second registration of a resource that has a live one: `replace` (1.25 to 1.36, as their source and real ones have it: the second takes
   * over, be it of another socket or of the same, and the end of the first stream closes the second's connection), `refused` or `by-path` (streams are told apart; both only in sources of no
   * release that was seen). Default `replace`.
   */
  readonly second?: 'refused' | 'replace' | 'by-path'
  /** `:authority` of the calls; default `localhost`, as kubelet has since 1.26. */
  readonly authority?: string
}

/** A container and the devices of resources that it wants, by their names. */
export interface ContainerWish {
  readonly name: string
  readonly wants: Readonly<Record<string, number>>
  /** Runs to its end before the others start: their devices are the same. */
  readonly isInit?: boolean
}

/** A kubelet. Every call fails with a SimulatorError, or with the gRPC error of the plugin (`CODE: text`). */
export interface Kubelet {
  /** Starts as kubelet does: reads the checkpoint, removes all sockets of device-plugins, serves, looks for plugins. */
  start(): Promise<void>
  /** Ends as kubelet does on SIGTERM: streams end, kubelet.sock stays as a dead file. */
  stop(): Promise<void>
  restart(): Promise<void>
  /** Undefined: never registered. */
  devices(resource: string): Promise<DeviceSet | null>
  resources(): Promise<readonly string[]>
  /** Waits until a resource is in a state; fails with the state that it has instead after `timeoutMs`, default 60,000. */
  wait(resource: string, wanted: Wanted, timeoutMs?: number): Promise<DeviceSet>
  /** Gives `count` devices to a container of a pod as kubelet does: chooses, asks for the preference, calls Allocate, notes it. */
  allocate(pod: Pod, container: string, resource: string, count: number): Promise<Allocation>
  /** Starts a pod: devices for all containers, those for initialisation first, then PreStartContainer for each as it starts. */
  run(pod: Pod, containers: readonly ContainerWish[]): Promise<void>
  /** Calls Allocate for these devices, whatever the device manager knows. */
  allocateIds(resource: string, ids: readonly string[]): Promise<ContainerResponse>
  /** The plugin's answer to GetPreferredAllocation. */
  prefer(
    resource: string,
    available: readonly string[],
    required: readonly string[],
    count: number,
  ): Promise<readonly string[]>
  /** Calls PreStartContainer. */
  preStart(resource: string, ids: readonly string[]): Promise<void>
  /** The answer to GetDevicePluginOptions at the last registration. */
  options(resource: string): Promise<{ preStart: boolean; preferred: boolean } | null>
  /** A pod is over: its devices are free. */
  endPod(uid: string): Promise<void>
  /** Ends the streams of a resource, or of all, as a broken connection does. */
  dropStreams(resource?: string): Promise<void>
  /** Stops reading from the streams, or goes on. */
  hang(isHanging: boolean): Promise<void>
  /** Removes the sockets of plugins in a folder. */
  removeSockets(folder: SocketFolder): Promise<void>
  /** Removes a folder with all that is in it; with `remake` makes it anew. */
  wipe(folder: SocketFolder, remake: boolean): Promise<void>
  /** Refuses the next registrations with a message. */
  refuse(count: number, message: string): Promise<void>
  /** Accepts the next registrations and opens no stream for them. */
  ignore(count: number): Promise<void>
  registrations(): Promise<readonly RegistrationAttempt[]>
}

/** The names of all calls of {@link Kubelet}. */
export type KubeletCall = keyof Kubelet

/** A call that a kubelet would refuse too, or a state that did not come. */
export class SimulatorError extends Error {
  override readonly name = 'SimulatorError'
}
