// Calls of kubelet's own sockets: any method of wire.ts, and what podresources says, as lines of text. Imports this folder.
import { join } from 'node:path'
import { Client, credentials, type MethodDefinition, type ServiceError, status } from '@grpc/grpc-js'
import { SimulatorError } from './api.ts'
import { call } from './wire.ts'

/** Milliseconds for a call: kubelet's own dial takes 10 s at most. */
const CALL_MS = 15_000

/** The answers of podresources, sorted; `@NODE` stands only where a device names a NUMA node. */
export interface PodResources {
  /** Devices of containers: `POD/CONTAINER RESOURCE=ID@NODE`. */
  readonly given: readonly string[]
  /** Healthy devices of the node, given or not: `RESOURCE=ID@NODE`. */
  readonly allocatable: readonly string[]
}

/** Asks the podresources service of the kubelet below `root`. @throws SimulatorError */
export async function podResources(root: string): Promise<PodResources> {
  const socket = join(root, 'pod-resources', 'kubelet.sock')
  const list = (await ask(socket, 'v1.PodResourcesLister', 'List', {})) as PodResourcesList
  const all = (await ask(socket, 'v1.PodResourcesLister', 'GetAllocatableResources', {})) as {
    devices: readonly ContainerDevices[]
  }
  const given = list.pod_resources.flatMap(({ name, containers }) =>
    containers.flatMap((one) => one.devices.flatMap(entries).map((entry) => `${name}/${one.name} ${entry}`)),
  )
  return { given: given.sort(), allocatable: all.devices.flatMap(entries).sort() }
}

interface ContainerDevices {
  readonly resource_name: string
  readonly device_ids: readonly string[]
  readonly topology: { readonly nodes: readonly { readonly ID: number }[] } | null
}

interface PodResourcesList {
  readonly pod_resources: readonly {
    readonly name: string
    readonly containers: readonly { readonly name: string; readonly devices: readonly ContainerDevices[] }[]
  }[]
}

function entries({ resource_name, device_ids, topology }: ContainerDevices): string[] {
  const nodes = (topology?.nodes ?? []).map(({ ID }) => `@${ID}`).join('')
  return device_ids.map((id) => `${resource_name}=${id}${nodes}`)
}

/** One call of kubelet. @throws SimulatorError with the name of the code and kubelet's words */
export function ask(socket: string, name: string, method: string, request: object): Promise<object> {
  const definition: MethodDefinition<object, object> = call(name, method)
  const { path, requestSerialize, responseDeserialize } = definition
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  })
  return new Promise<object>((resolve, reject) =>
    client.makeUnaryRequest(
      ...([path, requestSerialize, responseDeserialize, request] as const),
      { deadline: Date.now() + CALL_MS },
      (error: ServiceError | null, answer?: object) =>
        error === null
          ? resolve(answer ?? {})
          : reject(new SimulatorError(`${status[error.code]}: ${error.details}`)),
    ),
  ).finally(() => client.close())
}
