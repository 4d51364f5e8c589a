// A device plugin that notes each call of kubelet, for a comparison of kubelets: whatever a plugin can tell of them stands in its notes.
// Written from the protocols, apart from our plugin. Works under Node and, compiled, under Bun. Imports this folder.
import { rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { SimulatorError } from './api.ts'
import { ask, type PodResources, podResources } from './ask.ts'
import { service } from './wire.ts'

/** A device that the plugin offers. */
export interface OfferedId {
  readonly id: string
  readonly healthy?: boolean
  readonly numa?: number
}

/** A plugin to serve. */
export interface RecorderOptions {
  /** Path of its socket. In `plugins_registry` kubelet finds it; elsewhere {@link Recorder.register} tells kubelet of it. */
  readonly socket: string
  readonly resource: string
  readonly devices: readonly OfferedId[]
  /** Declares GetPreferredAllocation, and prefers the last ids by the alphabet behind those that are required. */
  readonly preferred?: boolean
  /** Declares PreStartContainer. */
  readonly preStart?: boolean
  /** Versions of the protocol for GetInfo; default `v1beta1` alone. */
  readonly versions?: readonly string[]
  /** Type for GetInfo; default `DevicePlugin`. */
  readonly type?: string
  /** Allocate fails with these words. */
  readonly refuse?: string
}

/** A call of kubelet, or the end of a stream: its name, then what it asked for, ids in the order of the alphabet. */
export type Note = readonly [
  call: string,
  ...details: readonly (string | number | boolean | readonly string[])[],
]

/** A plugin that takes notes. */
export interface Recorder {
  /** Serves; resolves when the socket accepts. */
  serve(options: RecorderOptions): Promise<void>
  /** Calls Register at `kubelet.sock` of a folder. Resolves to kubelet's answer: `OK`, or `CODE: text`. */
  register(
    folder: string,
    changes?: { version?: string; resource?: string; endpoint?: string },
  ): Promise<string>
  /** Sends another list. */
  list(devices: readonly OfferedId[]): Promise<void>
  /** Ends the streams, or the oldest `count` of them, as a server does; the socket stays. */
  endStreams(count?: number): Promise<void>
  /** Ends the server and removes its socket. */
  close(): Promise<void>
  /** Notes since the last time that this was asked, or since the start. */
  notes(): Promise<readonly Note[]>
  /** Waits until the notes that were not taken yet have `count` of a call. */
  heard(name: string, count: number): Promise<void>
  /** Asks podresources of the kubelet with a root folder. */
  resources(root: string): Promise<PodResources>
}

/** Names of all calls of {@link Recorder}. */
export const RECORDER_CALLS = [
  ...(['serve', 'register', 'list', 'endStreams', 'close', 'notes', 'heard', 'resources'] as const),
] satisfies readonly (keyof Recorder)[]

const WAIT_MS = 60_000

/** The plugin in this process. One object serves one socket at a time. */
export class RecordingPlugin implements Recorder {
  #options: RecorderOptions | undefined
  #devices: readonly OfferedId[] = []
  #server: Server | undefined
  #notes: Note[] = []
  readonly #streams = new Set<ServerWritableStream<object, object>>()
  readonly #waiting = new Set<() => void>()

  async serve(options: RecorderOptions): Promise<void> {
    this.#options = options
    this.#devices = options.devices
    rmSync(options.socket, { force: true })
    const server = new Server()
    server.addService(service('v1beta1.DevicePlugin'), this.#calls(options))
    server.addService(service('pluginregistration.Registration'), this.#registration(options))
    this.#server = server
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${options.socket}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      ),
    )
  }

  async register(
    folder: string,
    changes: { version?: string; resource?: string; endpoint?: string } = {},
  ): Promise<string> {
    const { socket = '', resource = '', ...declared } = this.#options ?? {}
    const request = {
      version: changes.version ?? 'v1beta1',
      endpoint: changes.endpoint ?? basename(socket),
      resource_name: changes.resource ?? resource,
      options: optionsOf(declared),
    }
    const answer = await ask(join(folder, 'kubelet.sock'), 'v1beta1.Registration', 'Register', request).then(
      () => 'OK',
      (error: Error) => error.message,
    )
    this.#note('answer of Register', answer)
    return answer
  }

  async list(devices: readonly OfferedId[]): Promise<void> {
    this.#devices = devices
    for (const stream of this.#streams) stream.write(this.#message())
  }

  async endStreams(count = this.#streams.size): Promise<void> {
    for (const stream of [...this.#streams].slice(0, count)) {
      stream.end()
      this.#streams.delete(stream)
    }
  }

  async close(): Promise<void> {
    await this.endStreams()
    this.#server?.forceShutdown()
    this.#server = undefined
    if (this.#options !== undefined) rmSync(this.#options.socket, { force: true })
  }

  async notes(): Promise<readonly Note[]> {
    const notes = this.#notes
    this.#notes = []
    return notes
  }

  heard(name: string, count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.#notes.filter(([call]) => call === name).length < count) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(look)
        reject(new SimulatorError(`no ${count} of ${name} in ${WAIT_MS} ms: ${JSON.stringify(this.#notes)}`))
      }, WAIT_MS)
      this.#waiting.add(look)
      look()
    })
  }

  resources(root: string): Promise<PodResources> {
    return podResources(root)
  }

  #note(...note: Note): void {
    this.#notes.push(note)
    for (const look of [...this.#waiting]) look()
  }

  #message(): object {
    const devices = this.#devices.map(({ id, healthy = true, numa }) => ({
      ...{ ID: id, health: healthy ? 'Healthy' : 'Unhealthy' },
      ...(numa === undefined ? {} : { topology: { nodes: [{ ID: numa }] } }),
    }))
    return { devices }
  }

  #calls(options: RecorderOptions): UntypedServiceImplementation {
    return {
      GetDevicePluginOptions: unary((_, { getHost }) => {
        this.#note('GetDevicePluginOptions', getHost)
        return optionsOf(options)
      }),
      ListAndWatch: (stream: ServerWritableStream<object, object>) => {
        this.#note('ListAndWatch')
        this.#streams.add(stream)
        stream.on('error', () => undefined)
        stream.once('cancelled', () => {
          this.#streams.delete(stream)
          this.#note('ListAndWatch cancelled')
        })
        stream.write(this.#message())
      },
      GetPreferredAllocation: unary((request) => {
        const [one] = (request as PreferredRequest).container_requests
        const [available, required] = [sorted(one.available_deviceIDs), sorted(one.must_include_deviceIDs)]
        this.#note('GetPreferredAllocation', available, required, one.allocation_size)
        const rest = available.filter((id) => !required.includes(id)).reverse()
        return { container_responses: [{ deviceIDs: [...required, ...rest].slice(0, one.allocation_size) }] }
      }),
      Allocate: unary((request) => {
        const [{ devices_ids }] = (request as AllocateRequest).container_requests
        this.#note('Allocate', sorted(devices_ids))
        if (options.refuse !== undefined) throw new SimulatorError(options.refuse)
        return { container_responses: [{ envs: { IDS: sorted(devices_ids).join(',') } }] }
      }),
      PreStartContainer: unary((request) => {
        this.#note('PreStartContainer', sorted((request as { devices_ids: readonly string[] }).devices_ids))
        return {}
      }),
    }
  }

  #registration({
    resource,
    versions = ['v1beta1'],
    type = 'DevicePlugin',
  }: RecorderOptions): UntypedServiceImplementation {
    return {
      GetInfo: unary(() => {
        this.#note('GetInfo')
        return { type, name: resource, endpoint: '', supported_versions: versions }
      }),
      NotifyRegistrationStatus: unary((request) => {
        const { plugin_registered, error } = request as { plugin_registered: boolean; error: string }
        this.#note('NotifyRegistrationStatus', plugin_registered, error)
        return {}
      }),
    }
  }
}

interface PreferredRequest {
  readonly container_requests: readonly [
    {
      readonly available_deviceIDs: readonly string[]
      readonly must_include_deviceIDs: readonly string[]
      readonly allocation_size: number
    },
  ]
}

interface AllocateRequest {
  readonly container_requests: readonly [{ readonly devices_ids: readonly string[] }]
}

function optionsOf({ preferred = false, preStart = false }: Partial<RecorderOptions>): object {
  return { pre_start_required: preStart, get_preferred_allocation_available: preferred }
}

function sorted(ids: readonly string[]): readonly string[] {
  return [...ids].sort()
}

/** `answer` sees the request and the `:authority` of the call; what it throws is the status UNKNOWN, as an error in Go. */
function unary(answer: (request: object, call: { readonly getHost: string }) => object) {
  return (call: ServerUnaryCall<object, object>, done: (error: object | null, value?: object) => void) => {
    try {
      done(null, answer(call.request, { getHost: call.getHost() }))
    } catch (error) {
      done({ code: status.UNKNOWN, details: (error as Error).message })
    }
  }
}
