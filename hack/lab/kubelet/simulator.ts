// A kubelet, as far as device plugins can tell: plugin watcher, registration service, device manager, pod resources. Written from the
// protocols, not from our plugin. In: a folder for /var/lib/kubelet. Works under Node and, compiled, under Bun. Imports this folder.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Admission, type LivePlugin } from './admission.ts'
import type {
  Allocation,
  ContainerWish,
  DeviceSet,
  Kubelet,
  KubeletOptions,
  Pod,
  RegistrationAttempt,
  SocketFolder,
  Wanted,
} from './api.ts'
import { SimulatorError } from './api.ts'
import { DeviceBooks } from './devices.ts'
import { invalidName, isExtendedResource, wordsAgainst } from './names.ts'
import { PluginConnection } from './plugin.ts'
import { removeSocketsIn, SocketServer } from './server.ts'
import { isAsWanted } from './wanted.ts'
import { SocketWatcher } from './watcher.ts'
import type { ContainerResponse } from './wire.ts'

/** Milliseconds until a registration that failed before the plugin was known is tried again. */
const RETRY_MS = 500
const RETRIES = 20
const WAIT_MS = 60_000

/** The simulator. One object lives through restarts. */
export class KubeletSimulator implements Kubelet {
  readonly #options: KubeletOptions
  readonly #books: DeviceBooks
  readonly #admission: Admission
  readonly #registry: SocketWatcher | undefined
  readonly #clients = new Map<string, LivePlugin>()
  /** Connections whose end was not seen, also those that others of their resource have followed. */
  readonly #connections = new Set<PluginConnection>()
  /** Names of plugins that the watcher has, by socket. */
  readonly #plugins = new Map<string, string>()
  readonly #lastOptions = new Map<string, LivePlugin['options']>()
  readonly #attempts: RegistrationAttempt[] = []
  readonly #waiting = new Set<() => void>()
  #servers: readonly SocketServer[] = []
  #refusals = { count: 0, message: '' }
  #ignored = 0
  #isRunning = false
  #isHanging = false
  /** Registrations run one after the other. */
  #queue: Promise<void> = Promise.resolve()

  constructor(options: KubeletOptions) {
    this.#options = options
    this.#books = new DeviceBooks(this.#path('device-plugins', 'kubelet_internal_checkpoint'))
    this.#admission = new Admission(this.#books, (resource) => this.#client(resource))
    if (options.watcher === false) return
    this.#registry = new SocketWatcher(this.#path('plugins_registry'), {
      created: (path) => this.#later(() => this.#appeared(path, RETRIES)),
      removed: (path) => this.#later(async () => this.#forget(path)),
    })
  }

  async start(): Promise<void> {
    if (this.#isRunning) throw new SimulatorError('the kubelet runs already')
    this.#isRunning = true
    this.#books.reload()
    mkdirSync(this.#path('device-plugins'), { recursive: true })
    removeSocketsIn(this.#path('device-plugins'))
    this.#servers = [
      await SocketServer.open(this.#path('device-plugins', 'kubelet.sock'), 'v1beta1.Registration', {
        Register: (request) => this.#register(request as RegisterRequest),
      }),
      await SocketServer.open(this.#path('pod-resources', 'kubelet.sock'), 'v1.PodResourcesLister', {
        List: async () => this.#books.list(),
        GetAllocatableResources: async () => this.#books.allocatable(),
      }),
    ]
    this.#registry?.start()
    this.#changed()
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    this.#registry?.stop()
    this.#plugins.clear()
    for (const resource of [...this.#clients.keys()]) this.#disconnect(resource)
    for (const connection of this.#connections) connection.close()
    this.#connections.clear()
    for (const server of this.#servers) server.close()
    this.#servers = []
    await this.#queue
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  async devices(resource: string): Promise<DeviceSet | null> {
    return this.#books.set(resource)
  }

  async resources(): Promise<readonly string[]> {
    return this.#books.names
  }

  wait(resource: string, wanted: Wanted, timeoutMs = WAIT_MS): Promise<DeviceSet> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const set = this.#books.set(resource)
        if (set === null || !isAsWanted(set, wanted)) return
        over()
        resolve(set)
      }
      const over = () => {
        clearTimeout(timer)
        this.#waiting.delete(look)
      }
      const timer = setTimeout(() => {
        over()
        const words = JSON.stringify([wanted, this.#books.set(resource), this.#attempts.slice(-5)])
        reject(new SimulatorError(`${resource} is not as wanted after ${timeoutMs} ms: ${words}`))
      }, timeoutMs)
      this.#waiting.add(look)
      look()
    })
  }

  async allocate(pod: Pod, container: string, resource: string, count: number): Promise<Allocation> {
    const allocation = await this.#admission.give(pod, container, resource, count)
    if (!allocation.replayed) await this.#admission.starting(allocation.ids, resource)
    return allocation
  }

  run(pod: Pod, containers: readonly ContainerWish[]): Promise<void> {
    return this.#admission.run(pod, containers)
  }

  allocateIds(resource: string, ids: readonly string[]): Promise<ContainerResponse> {
    return this.#client(resource).connection.allocate(ids)
  }

  prefer(
    resource: string,
    available: readonly string[],
    required: readonly string[],
    count: number,
  ): Promise<readonly string[]> {
    return this.#client(resource).connection.prefer(available, required, count)
  }

  preStart(resource: string, ids: readonly string[]): Promise<void> {
    return this.#client(resource).connection.preStart(ids)
  }

  async options(resource: string): Promise<LivePlugin['options'] | null> {
    return this.#lastOptions.get(resource) ?? null
  }

  async endPod(uid: string): Promise<void> {
    this.#books.endPod(uid)
    this.#changed()
  }

  async dropStreams(resource?: string): Promise<void> {
    for (const name of resource === undefined ? [...this.#clients.keys()] : [resource]) this.#disconnect(name)
  }

  async hang(isHanging: boolean): Promise<void> {
    this.#isHanging = isHanging
    for (const { connection } of this.#clients.values()) connection.hang(isHanging)
  }

  async removeSockets(folder: SocketFolder): Promise<void> {
    removeSocketsIn(this.#path(folder), ['kubelet.sock'])
  }

  async wipe(folder: SocketFolder, remake: boolean): Promise<void> {
    const gone = this.#path(`${folder}.gone`)
    // At once, as a mount that goes: file by file, a plugin would put its socket back meanwhile.
    if (existsSync(this.#path(folder))) renameSync(this.#path(folder), gone)
    rmSync(gone, { recursive: true, force: true })
    if (remake) mkdirSync(this.#path(folder))
  }

  async refuse(count: number, message: string): Promise<void> {
    this.#refusals = { count, message }
  }

  async ignore(count: number): Promise<void> {
    this.#ignored = count
  }

  async registrations(): Promise<readonly RegistrationAttempt[]> {
    return [...this.#attempts]
  }

  #path(...names: readonly string[]): string {
    return join(this.#options.root, ...names)
  }

  #later(action: () => Promise<void>): void {
    this.#queue = this.#queue.then(async () => {
      if (this.#isRunning) await action()
    })
  }

  /** A socket in the registry: GetInfo, the plugin's own registration, and the notice about it. */
  async #appeared(path: string, retries: number): Promise<void> {
    if (this.#plugins.has(path)) this.#forget(path)
    let name = ''
    let registrar: PluginConnection | undefined
    try {
      registrar = await this.#dial(path)
      const info = await registrar.info()
      name = info.name
      const words = wordsAgainst(info, path)
      if (words !== undefined) {
        await registrar.notify(words)
        throw new SimulatorError(words)
      }
      this.#plugins.set(path, name)
      const error = await this.#connect(name, info.endpoint || path).then(
        () => undefined,
        (reason: Error) => reason.message,
      )
      this.#note({ way: 'watcher', resource: name, socket: path, ...(error === undefined ? {} : { error }) })
      await registrar.notify(error && `RegisterPlugin error -- plugin registration failed with err: ${error}`)
    } catch (error) {
      this.#note({ way: 'watcher', resource: name, socket: path, error: String(error) })
      if (!this.#plugins.has(path) && retries > 0)
        setTimeout(() => this.#later(() => this.#again(path, retries - 1)), RETRY_MS).unref()
    } finally {
      registrar?.close()
    }
  }

  async #again(path: string, retries: number): Promise<void> {
    if (!this.#plugins.has(path)) await this.#appeared(path, retries)
  }

  #dial(socket: string): Promise<PluginConnection> {
    // kubelet waits for each plugin apart from the others; here they stand in one queue, so nobody waits for a file that is gone.
    const isWanted = () => this.#isRunning && existsSync(socket)
    return PluginConnection.dial(socket, this.#options.authority ?? 'localhost', isWanted)
  }

  /** A socket of the registry is gone. kubelet finds the plugin by its name, whatever socket the name has. */
  #forget(path: string): void {
    const name = this.#plugins.get(path)
    this.#plugins.delete(path)
    if (name === undefined) return
    const isOther = this.#clients.get(name)?.connection.socket !== path
    if (this.#options.second !== 'by-path' || !isOther) this.#disconnect(name)
  }

  /** The legacy way. kubelet dials back before it answers. */
  async #register({ version, endpoint, resource_name }: RegisterRequest): Promise<object> {
    const socket = this.#path('device-plugins', endpoint)
    try {
      if (version !== 'v1beta1')
        throw new SimulatorError(
          `requested API version "${version}" is not supported by kubelet. Supported version is ["v1beta1"]`,
        )
      if (!isExtendedResource(resource_name)) throw new SimulatorError(invalidName(resource_name))
      await this.#connect(resource_name, socket)
    } catch (error) {
      this.#note({ way: 'legacy', resource: resource_name, socket, error: String(error) })
      throw error
    }
    this.#note({ way: 'legacy', resource: resource_name, socket })
    return {}
  }

  async #connect(resource: string, socket: string): Promise<void> {
    if (this.#refusals.count > 0) {
      this.#refusals = { ...this.#refusals, count: this.#refusals.count - 1 }
      throw new SimulatorError(this.#refusals.message)
    }
    if (this.#ignored > 0) {
      this.#ignored--
      return
    }
    const present = this.#clients.get(resource)
    const second = this.#options.second ?? 'replace'
    // A kubelet that follows the source of 1.25 to 1.36 looks at no socket: it connects again, beside the connection that it has.
    if (second !== 'replace' && present?.connection.socket === socket) return
    if (present !== undefined && second === 'refused')
      throw new SimulatorError(
        `the device plugin ${resource} already registered with a different socket path`,
      )
    const connection = await this.#dial(socket)
    try {
      const options = await connection.options()
      this.#lastOptions.set(resource, options)
      this.#clients.set(resource, { connection, options })
    } catch (error) {
      connection.close()
      throw error
    }
    this.#connections.add(connection)
    this.#books.connected(resource)
    connection.watch(
      (devices) => {
        this.#books.replace(resource, devices)
        this.#changed()
      },
      () => {
        if (this.#connections.delete(connection)) this.#ended(resource, connection)
      },
    )
    if (this.#isHanging) connection.hang(true)
    this.#changed()
  }

  #ended(resource: string, connection: PluginConnection): void {
    const isCurrent = this.#clients.get(resource)?.connection === connection
    connection.close()
    if (isCurrent) this.#clients.delete(resource)
    // Such kubelets know a resource by its name alone, and end what has the name when any stream of it ends.
    else if ((this.#options.second ?? 'replace') === 'replace') this.#disconnect(resource)
    if (isCurrent) this.#books.disconnected(resource)
    this.#changed()
  }

  #disconnect(resource: string): void {
    const client = this.#clients.get(resource)
    if (client !== undefined) this.#ended(resource, client.connection)
  }

  #client(resource: string): LivePlugin {
    const client = this.#clients.get(resource)
    if (client === undefined) throw new SimulatorError(`no plugin is connected for ${resource}`)
    return client
  }

  #note(attempt: RegistrationAttempt): void {
    this.#attempts.push(attempt)
    this.#changed()
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look()
  }
}

interface RegisterRequest {
  readonly version: string
  readonly endpoint: string
  readonly resource_name: string
}
