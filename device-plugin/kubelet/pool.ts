/**
 * One pool on its way to kubelet: socket, registration, streams. Nothing here is a sequence that could get stuck: each sign of a change
 * and each timer leads to a look at the state as it is, and to the one step that is missing.
 */
import { errorText } from '../../src/lib/error-text.ts'
import type { Core, Offer, PoolStatus } from '../front-end.ts'
import type { PluginLog } from '../log.ts'
import { isSameList, listOf, tooLongIds } from './answers.ts'
import type { RunningCall } from './client.ts'
import type { Folders } from './folders.ts'
import { noObserver, type Way } from './observer.ts'
import { register } from './register.ts'
import { PoolServer } from './server.ts'
import { backoff, type KubeletSettings, type Timings } from './settings.ts'
import { isServed, SocketFile, siblings, socketName } from './socket-file.ts'
import { Streams } from './streams.ts'

/** A pool. Its name never changes; its devices do. */
export class KubeletPool {
  readonly resource: string
  readonly #settings: KubeletSettings
  readonly #timings: Timings
  readonly #log: PluginLog
  readonly #streams: Streams
  readonly #server: PoolServer
  #offer: Offer
  #folders: Folders | undefined
  #socket: SocketFile | undefined
  #siblings: readonly string[] = []
  /** kubelet's socket that we have registered at. */
  #registeredAt: string | undefined
  #isRegistered = false
  #problem: string | undefined
  #failures = 0
  /** kubelet has refused the last registration. */
  #isRefused = false
  /** Times of the next attempts to register and to make a socket that could not be made, by the clock of performance.now(). */
  #nextTry = 0
  #nextSocket = 0
  /** Another process has left while we had a stream. */
  #hasLost = false
  #timer: NodeJS.Timeout | undefined
  #registering: RunningCall | undefined
  #stepping: Promise<void> | undefined
  #isStale = false
  #isStopped = false

  constructor(offer: Offer, core: Core, settings: KubeletSettings, timings: Timings, log: PluginLog) {
    this.resource = offer.resource
    this.#offer = offer
    this.#settings = settings
    this.#timings = timings
    this.#log = log
    const { resource } = this
    const observer = settings.observer ?? noObserver
    this.#streams = new Streams(listOf(offer.devices), {
      opened: () => this.#opened(),
      ended: (life) => this.#ended(life),
      sent: () => observer.onStream(resource, 'sent'),
    })
    this.#server = new PoolServer({
      ...{ resource, core, streams: this.#streams, observer, log },
      cdiAnnotations: settings.cdiAnnotations ?? false,
      notified: (refusal) => this.#answered('watcher', refusal),
    })
    this.#warnOfIds()
  }

  status(): PoolStatus {
    const { resource } = this
    // Before kubelet's word nobody knows whether it takes two: the other process must not leave yet.
    const standby = this.#streams.count === 0 && this.#siblings.length > 0 && this.#isRefused
    return {
      ...{ resource, registered: this.#isRegistered, streams: this.#streams.count },
      ...{ problem: this.#problem, standby },
    }
  }

  /** The devices as they are now: a message for kubelet if it would see a difference. */
  update(offer: Offer): void {
    const before = this.#offer
    this.#offer = offer
    if (isSameList(before.devices, offer.devices)) return
    this.#warnOfIds()
    this.#streams.send(listOf(offer.devices))
  }

  /** News of the folders. */
  see(folders: Folders): void {
    const before = this.#folders
    this.#folders = folders
    // A kubelet that has just started is not made to wait for the failures of the one before. One that watches comes by itself.
    const isLegacy = folders.place?.way === 'legacy'
    if (isLegacy && folders.kubelet?.identity !== before?.kubelet?.identity) this.#soon()
    if (folders.place?.folder !== before?.place?.folder) this.#nextSocket = 0
    this.#seeSiblings(folders)
    this.#look()
  }

  /** Ends streams, takes the socket away, closes the server. */
  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#registering?.cancel()
    await this.#stepping
    this.#streams.end()
    this.#socket?.close()
    await this.#server.close(this.#timings.stop)
  }

  #look(): void {
    if (this.#isStopped) return
    if (this.#stepping !== undefined) {
      this.#isStale = true
      return
    }
    this.#isStale = false
    this.#stepping = this.#step()
      .catch((error: unknown) => this.#failed(errorText(error)))
      .then(() => {
        this.#stepping = undefined
        if (this.#isStale) this.#look()
      })
  }

  /** The one step that is missing. */
  async #step(): Promise<void> {
    const { place, kubelet } = this.#folders ?? {}
    if (place === undefined)
      return this.#say(`there is neither plugins_registry nor device-plugins in ${this.#settings.kubelet}`)
    if (!(await this.#isInPlace(place.folder, place.way))) return
    const isOld = place.way === 'legacy' && this.#registeredAt !== kubelet?.identity
    if (this.#streams.count > 0 && !isOld) return
    if (place.way === 'legacy' && kubelet === undefined) return this.#say('kubelet.sock is not there')
    const wait = this.#nextTry - performance.now()
    if (wait > 0) return this.#wake(wait)
    if (place.way === 'watcher') await this.#attract()
    else if (kubelet !== undefined) await this.#register(kubelet)
  }

  /** Puts our socket in its place where it is missing. False: another process serves there, which stays. */
  async #isInPlace(folder: string, way: Way): Promise<boolean> {
    const name = socketName(this.resource, this.#settings.instance, folder)
    const present = this.#socket
    const isNew = present === undefined || !present.path.startsWith(`${folder}/`)
    const socket = isNew ? new SocketFile(folder, name, this.#server) : present
    const state = isNew ? 'missing' : socket.state()
    if (state === 'ours') return true
    if (state === 'foreign' && (await isServed(socket.path))) {
      this.#say(`another process serves ${socket.path}`)
      return false
    }
    const wait = this.#nextSocket - performance.now()
    if (wait > 0) {
      this.#wake(wait)
      return false
    }
    await socket.open()
    this.#socket = socket
    if (isNew) present?.close()
    else this.#log.warn(`${socket.path} was gone; it is back`, { resource: this.resource })
    // In the watched folder the new file is an attempt by itself.
    if (way === 'watcher') this.#nextTry = performance.now() + this.#timings.streamWait
    else if (this.#streams.count === 0) this.#soon()
    return true
  }

  /** The watched folder: kubelet connects to files that appear. */
  async #attract(): Promise<void> {
    this.#say('kubelet has not opened a ListAndWatch stream; the socket is shown to it again')
    this.#isRegistered = false
    await this.#socket?.open()
    this.#retryIn(Math.max(this.#timings.streamWait, backoff(this.#failures++, this.#timings)))
  }

  async #register({ path, identity }: { readonly path: string; readonly identity: string }): Promise<void> {
    const endpoint = this.#socket?.path.split('/').at(-1) ?? ''
    this.#registering = register(path, this.resource, endpoint, this.#timings.register)
    try {
      await this.#registering.done
    } catch (error) {
      if (!this.#isStopped) this.#answered('legacy', errorText(error))
      return
    } finally {
      this.#registering = undefined
    }
    this.#registeredAt = identity
    this.#answered('legacy', undefined)
    if (this.#streams.count === 0) this.#retryIn(this.#timings.streamWait)
  }

  /** kubelet's word on a registration, in either way. */
  #answered(way: Way, refusal: string | undefined): void {
    const { resource } = this
    this.#settings.observer?.onRegistration(resource, way, refusal === undefined)
    this.#isRegistered = refusal === undefined
    this.#isRefused = !this.#isRegistered
    if (refusal === undefined) {
      this.#problem = undefined
      this.#log.info(`kubelet has registered ${resource}`, { resource, way })
    } else {
      this.#say(`kubelet does not register it: ${refusal}`)
      if (this.#streams.count === 0) this.#retryIn(backoff(this.#failures++, this.#timings))
    }
  }

  #opened(): void {
    const { resource } = this
    this.#settings.observer?.onStream(resource, 'opened')
    this.#log.info(`kubelet watches ${resource}`, { resource, streams: this.#streams.count })
    clearTimeout(this.#timer)
    this.#problem = undefined
    this.#isRefused = false
  }

  #ended(life: number): void {
    const { resource } = this
    this.#settings.observer?.onStream(resource, 'ended')
    this.#settings.observer?.onRpc('ListAndWatch', resource, life, 'OK')
    if (this.#streams.count > 0 || this.#isStopped) return
    this.#log.info(`kubelet watches ${resource} no more`, { resource, lasted: Math.round(life) })
    this.#isRegistered = false
    this.#registeredAt = undefined
    // A kubelet that drops each stream at once is left alone for longer and longer.
    this.#failures = life >= this.#timings.streamWait ? 0 : this.#failures + 1
    const wait = backoff(this.#failures, this.#timings)
    const isWatched = this.#folders?.place?.way === 'watcher'
    this.#retryIn(isWatched ? Math.max(wait, this.#timings.streamWait) : wait)
    if (this.#hasLost) this.#soon()
    this.#hasLost = false
    // The reason may be that our socket is gone.
    this.#look()
  }

  #seeSiblings({ place, sockets }: Folders): void {
    if (place === undefined) return
    const own = socketName(this.resource, this.#settings.instance, place.folder)
    const now = siblings(sockets, own)
    const hasLeft = this.#siblings.some((name) => !now.includes(name))
    this.#siblings = now
    if (!hasLeft) return
    // kubelet ends our stream with that of the other process: either may come first here.
    if (this.#streams.count === 0) this.#soon()
    else this.#hasLost = true
  }

  #failed(reason: string): void {
    this.#say(`its socket cannot be served: ${reason}`)
    const wait = backoff(this.#failures++, this.#timings)
    this.#nextSocket = performance.now() + wait
    this.#wake(wait)
  }

  /** The next attempt may be made at once. */
  #soon(): void {
    this.#failures = 0
    this.#nextTry = 0
  }

  #retryIn(milliseconds: number): void {
    this.#nextTry = performance.now() + milliseconds
    this.#wake(milliseconds)
  }

  #wake(milliseconds: number): void {
    clearTimeout(this.#timer)
    if (!this.#isStopped) this.#timer = setTimeout(() => this.#look(), milliseconds)
  }

  /** Notes a problem, and logs it once. */
  #say(problem: string): void {
    if (problem === this.#problem) return
    this.#problem = problem
    this.#log.warn(`${this.resource}: ${problem}`, { resource: this.resource })
  }

  #warnOfIds(): void {
    const ids = tooLongIds(this.#offer.devices)
    if (ids.length > 0)
      this.#log.warn(`Cannot offer ${ids.join(', ')}: an id must have at most 63 characters`, {
        ...{ resource: this.resource, ids },
      })
  }
}
