/**
 * A podresources server over a unix socket, as kubelet has one. It writes its messages byte by byte from the field numbers of the
 * protocol, so that it shares nothing with the layout of the client that it is for.
 */
import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'

/** A pod as List tells of it. */
export interface ListedPod {
  readonly name: string
  readonly namespace: string
  readonly containers: readonly {
    readonly name: string
    readonly devices: readonly { readonly resource: string; readonly ids: readonly string[] }[]
  }[]
}

/** Wire types of protobuf: a number, and bytes with their length before them. */
const [VARINT, BYTES] = [0, 2]

function number(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...number(Math.floor(value / 128))]
}
function numeral(field: number, value: number): Buffer {
  return Buffer.from([...number((field << 3) | VARINT), ...number(value)])
}
function part(field: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content)
  return Buffer.concat([Buffer.from([...number((field << 3) | BYTES), ...number(bytes.length)]), bytes])
}

/** ListPodResourcesResponse, with fields that a client of devices has no use for: cpu_ids, memory, topology, dynamic resources. */
export function listResponse(pods: readonly ListedPod[]): Buffer {
  const topology = part(3, part(1, numeral(1, 0)))
  return Buffer.concat(
    pods.map(({ name, namespace, containers }) =>
      part(
        1,
        Buffer.concat([
          ...[part(1, name), part(2, namespace)],
          ...containers.map((container) =>
            part(
              3,
              Buffer.concat([
                part(1, container.name),
                ...container.devices.map(({ resource, ids }) =>
                  part(2, Buffer.concat([part(1, resource), ...ids.map((id) => part(2, id)), topology])),
                ),
                ...[part(3, Buffer.from([0, 1, 2])), part(4, numeral(2, 4096))],
                part(5, Buffer.concat([part(2, 'claim'), part(3, 'default')])),
              ]),
            ),
          ),
          ...[part(4, Buffer.from([3])), part(5, numeral(2, 1))],
        ]),
      ),
    ),
  )
}

/** The server of one socket. */
export interface PodResourcesServer {
  /** The bytes of the next answers; an error is an answer too. */
  answer: () => Buffer
  /** Questions so far. */
  readonly asked: number
  stop(): void
}

/** Serves `v1.PodResourcesLister` at `socket`. */
export async function servePodResources(socket: string): Promise<PodResourcesServer> {
  const server = new Server({ 'grpc.max_send_message_length': -1 })
  const state = { answer: () => listResponse([]), asked: 0, stop: () => server.forceShutdown() }
  const method = {
    ...{ path: '/v1.PodResourcesLister/List', requestStream: false, responseStream: false },
    ...{ requestSerialize: (value: Buffer) => value, requestDeserialize: (value: Buffer) => value },
    ...{ responseSerialize: (value: Buffer) => value, responseDeserialize: (value: Buffer) => value },
  }
  const List = (_call: unknown, reply: sendUnaryData<Buffer>) => {
    state.asked++
    try {
      reply(null, state.answer())
    } catch (error) {
      reply({ details: error instanceof Error ? error.message : '', code: 13 })
    }
  }
  server.addService({ List: method }, { List } as UntypedServiceImplementation)
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    ),
  )
  return state
}
