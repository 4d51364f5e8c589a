// One connection of the kubelet simulator to a device plugin: dialled as kubelet dials, over a unix socket.
import { Client, type ClientReadableStream, credentials, type ServiceError, status } from '@grpc/grpc-js'
import { SimulatorError } from './api.ts'
import { type ContainerResponse, call, type PluginInfo, type WireDevice } from './wire.ts'

/** Milliseconds that kubelet waits for a connection. */
const DIAL_MS = 10_000
/** One attempt, and the pause before the next one. */
const ATTEMPT_MS = 500
const PAUSE_MS = 50
/** Budgets of the calls of the plugin watcher, in milliseconds. */
const INFO_MS = 1_000
const NOTIFY_MS = 5_000
const CALL_MS = 30_000

/** A dialled plugin. */
export class PluginConnection {
  readonly socket: string
  readonly #client: Client
  #stream: ClientReadableStream<object> | undefined

  private constructor(socket: string, client: Client) {
    this.socket = socket
    this.#client = client
  }

  /** Connects within 10 s, and gives up sooner when nobody wants it any more. @throws SimulatorError */
  static async dial(
    socket: string,
    authority: string,
    isWanted: () => boolean = () => true,
  ): Promise<PluginConnection> {
    const end = Date.now() + DIAL_MS
    for (;;) {
      const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
        'grpc.default_authority': authority,
        // A socket that is made anew is another one, whatever its path.
        'grpc.use_local_subchannel_pool': 1,
        'grpc.max_receive_message_length': 16 << 20,
      })
      // A connection that is lost on its way leaves a client of grpc-js waiting; Go's dials again.
      const error = await ready(client, Math.min(end, Date.now() + ATTEMPT_MS))
      if (error === undefined) return new PluginConnection(socket, client)
      client.close()
      if (Date.now() >= end || !isWanted())
        throw new SimulatorError(`failed to dial device plugin: ${socket}: ${error.message}`)
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
  }

  async info(): Promise<PluginInfo> {
    return (await this.#call('pluginregistration.Registration', 'GetInfo', {}, INFO_MS)) as PluginInfo
  }

  async notify(error: string | undefined): Promise<void> {
    const status = { plugin_registered: error === undefined, error: error ?? '' }
    await this.#call('pluginregistration.Registration', 'NotifyRegistrationStatus', status, NOTIFY_MS)
  }

  async options(): Promise<{ preStart: boolean; preferred: boolean }> {
    const answer = (await this.#plugin('GetDevicePluginOptions', {})) as Record<string, boolean>
    return {
      preStart: answer.pre_start_required === true,
      preferred: answer.get_preferred_allocation_available === true,
    }
  }

  async allocate(ids: readonly string[]): Promise<ContainerResponse> {
    const answer = (await this.#plugin('Allocate', { container_requests: [{ devices_ids: ids }] })) as {
      container_responses: readonly ContainerResponse[]
    }
    const [first] = answer.container_responses
    if (first === undefined) throw new SimulatorError('the plugin answered Allocate for no container')
    return first
  }

  async prefer(
    available: readonly string[],
    required: readonly string[],
    count: number,
  ): Promise<readonly string[]> {
    const request = {
      available_deviceIDs: available,
      must_include_deviceIDs: required,
      allocation_size: count,
    }
    const answer = (await this.#plugin('GetPreferredAllocation', { container_requests: [request] })) as {
      container_responses: readonly { deviceIDs: readonly string[] }[]
    }
    return answer.container_responses[0]?.deviceIDs ?? []
  }

  async preStart(ids: readonly string[]): Promise<void> {
    await this.#plugin('PreStartContainer', { devices_ids: ids })
  }

  /** Opens the stream. `onEnd` is called once. */
  watch(onList: (devices: readonly WireDevice[]) => void, onEnd: (reason: string) => void): void {
    const { path, requestSerialize, responseDeserialize } = call('v1beta1.DevicePlugin', 'ListAndWatch')
    const stream = this.#client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {})
    this.#stream = stream
    let isOver = false
    const end = (reason: string) => {
      if (!isOver) onEnd(reason)
      isOver = true
    }
    stream.on('data', (list: { devices: readonly WireDevice[] }) => onList(list.devices))
    stream.on('error', (error: ServiceError) => end(error.message))
    stream.on('end', () => end('the plugin ended it'))
  }

  hang(isHanging: boolean): void {
    if (isHanging) this.#stream?.pause()
    else this.#stream?.resume()
  }

  close(): void {
    this.#stream?.cancel()
    this.#client.close()
  }

  #plugin(method: string, request: object): Promise<object> {
    return this.#call('v1beta1.DevicePlugin', method, request, CALL_MS)
  }

  #call(service: string, method: string, request: object, budget: number): Promise<object> {
    const { path, requestSerialize, responseDeserialize } = call(service, method)
    return new Promise((resolve, reject) =>
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        { deadline: Date.now() + budget },
        (error: ServiceError | null, answer?: object) =>
          error === null ? resolve(answer ?? {}) : reject(new SimulatorError(inGo(error))),
      ),
    )
  }
}

function ready(client: Client, deadline: number): Promise<Error | undefined> {
  return new Promise((resolve) => client.waitForReady(deadline, (error) => resolve(error ?? undefined)))
}

/** An error of gRPC as its library for Go, and so kubelet, writes it. */
function inGo({ code, details }: ServiceError): string {
  const name = (status[code] ?? '')
    .toLowerCase()
    .replace(/(^|_)([a-z])/g, (_, _line, letter: string) => letter.toUpperCase())
  return `rpc error: code = ${name} desc = ${details}`
}
