// The wire layouts that kubelet speaks, read from the documents of the three protocols: device plugin v1beta1, plugin registration
// v1, pod resources v1. Written apart from the product's own tables, so that a wrong field number on either side shows in a test.
import type { MethodDefinition, PackageDefinition, ServiceDefinition } from '@grpc/proto-loader'
import { fromJSON } from '@grpc/proto-loader'

/** Rows of a message: the number of the field, its name, its type; `[]` behind a type: repeated, `{}`: a map from string. */
type Row = readonly [number: number, name: string, type: string]
/** Rows of a service: the name of the call, request, answer; `...` before the answer: a stream. */
type Call = readonly [name: string, request: string, answer: string]

const messages: Readonly<Record<string, Readonly<Record<string, readonly Row[]>>>> = {
  v1beta1: {
    Empty: [],
    RegisterRequest: [
      [1, 'version', 'string'],
      [2, 'endpoint', 'string'],
      [3, 'resource_name', 'string'],
      [4, 'options', 'DevicePluginOptions'],
    ],
    DevicePluginOptions: [
      [1, 'pre_start_required', 'bool'],
      [2, 'get_preferred_allocation_available', 'bool'],
    ],
    ListAndWatchResponse: [[1, 'devices', 'Device[]']],
    Device: [
      [1, 'ID', 'string'],
      [2, 'health', 'string'],
      [3, 'topology', 'TopologyInfo'],
    ],
    TopologyInfo: [[1, 'nodes', 'NUMANode[]']],
    NUMANode: [[1, 'ID', 'int64']],
    AllocateRequest: [[1, 'container_requests', 'ContainerAllocateRequest[]']],
    ContainerAllocateRequest: [[1, 'devices_ids', 'string[]']],
    AllocateResponse: [[1, 'container_responses', 'ContainerAllocateResponse[]']],
    ContainerAllocateResponse: [
      [1, 'envs', 'string{}'],
      [2, 'mounts', 'Mount[]'],
      [3, 'devices', 'DeviceSpec[]'],
      [4, 'annotations', 'string{}'],
      [5, 'cdi_devices', 'CDIDevice[]'],
    ],
    Mount: [
      [1, 'container_path', 'string'],
      [2, 'host_path', 'string'],
      [3, 'read_only', 'bool'],
    ],
    DeviceSpec: [
      [1, 'container_path', 'string'],
      [2, 'host_path', 'string'],
      [3, 'permissions', 'string'],
    ],
    CDIDevice: [[1, 'name', 'string']],
    PreferredAllocationRequest: [[1, 'container_requests', 'ContainerPreferredAllocationRequest[]']],
    ContainerPreferredAllocationRequest: [
      [1, 'available_deviceIDs', 'string[]'],
      [2, 'must_include_deviceIDs', 'string[]'],
      [3, 'allocation_size', 'int32'],
    ],
    PreferredAllocationResponse: [[1, 'container_responses', 'ContainerPreferredAllocationResponse[]']],
    ContainerPreferredAllocationResponse: [[1, 'deviceIDs', 'string[]']],
    PreStartContainerRequest: [[1, 'devices_ids', 'string[]']],
    PreStartContainerResponse: [],
  },
  pluginregistration: {
    InfoRequest: [],
    PluginInfo: [
      [1, 'type', 'string'],
      [2, 'name', 'string'],
      [3, 'endpoint', 'string'],
      [4, 'supported_versions', 'string[]'],
    ],
    RegistrationStatus: [
      [1, 'plugin_registered', 'bool'],
      [2, 'error', 'string'],
    ],
    RegistrationStatusResponse: [],
  },
  v1: {
    ListPodResourcesRequest: [],
    ListPodResourcesResponse: [[1, 'pod_resources', 'PodResources[]']],
    AllocatableResourcesRequest: [],
    AllocatableResourcesResponse: [[1, 'devices', 'ContainerDevices[]']],
    PodResources: [
      [1, 'name', 'string'],
      [2, 'namespace', 'string'],
      [3, 'containers', 'ContainerResources[]'],
    ],
    ContainerResources: [
      [1, 'name', 'string'],
      [2, 'devices', 'ContainerDevices[]'],
    ],
    ContainerDevices: [
      [1, 'resource_name', 'string'],
      [2, 'device_ids', 'string[]'],
      [3, 'topology', 'TopologyInfo'],
    ],
    TopologyInfo: [[1, 'nodes', 'NUMANode[]']],
    NUMANode: [[1, 'ID', 'int64']],
  },
}

const services: Readonly<Record<string, Readonly<Record<string, readonly Call[]>>>> = {
  v1beta1: {
    Registration: [['Register', 'RegisterRequest', 'Empty']],
    DevicePlugin: [
      ['GetDevicePluginOptions', 'Empty', 'DevicePluginOptions'],
      ['ListAndWatch', 'Empty', '...ListAndWatchResponse'],
      ['GetPreferredAllocation', 'PreferredAllocationRequest', 'PreferredAllocationResponse'],
      ['Allocate', 'AllocateRequest', 'AllocateResponse'],
      ['PreStartContainer', 'PreStartContainerRequest', 'PreStartContainerResponse'],
    ],
  },
  pluginregistration: {
    Registration: [
      ['GetInfo', 'InfoRequest', 'PluginInfo'],
      ['NotifyRegistrationStatus', 'RegistrationStatus', 'RegistrationStatusResponse'],
    ],
  },
  v1: {
    PodResourcesLister: [
      ['List', 'ListPodResourcesRequest', 'ListPodResourcesResponse'],
      ['GetAllocatableResources', 'AllocatableResourcesRequest', 'AllocatableResourcesResponse'],
    ],
  },
}

function field([id, name, type]: Row): [string, object] {
  if (type.endsWith('[]')) return [name, { id, type: type.slice(0, -2), rule: 'repeated' }]
  if (type.endsWith('{}')) return [name, { id, type: type.slice(0, -2), keyType: 'string' }]
  return [name, { id, type }]
}

function method([name, requestType, answer]: Call): [string, object] {
  const responseType = answer.replace('...', '')
  return [name, { requestType, responseType, ...(answer === responseType ? {} : { responseStream: true }) }]
}

function packageOf(name: string): object {
  const types = Object.entries(messages[name] ?? {}).map(
    ([type, rows]) => [type, { fields: Object.fromEntries(rows.map(field)) }] as const,
  )
  const calls = Object.entries(services[name] ?? {}).map(
    ([service, rows]) => [service, { methods: Object.fromEntries(rows.map(method)) }] as const,
  )
  return { nested: Object.fromEntries([...types, ...calls]) }
}

const loaded: PackageDefinition = fromJSON(
  { nested: Object.fromEntries(Object.keys(messages).map((name) => [name, packageOf(name)])) } as never,
  { keepCase: true, longs: Number, defaults: true, arrays: true, objects: true },
)

/** A service by its full name, such as `v1beta1.DevicePlugin`. */
export function service(name: string): ServiceDefinition {
  const found = loaded[name]
  if (found === undefined || 'format' in found) throw new Error(`there is no service ${name}`)
  return found as ServiceDefinition
}

/** A call of a service. */
export function call(name: string, method: string): MethodDefinition<object, object> {
  const found = service(name)[method]
  if (found === undefined) throw new Error(`there is no ${method} in ${name}`)
  return found
}

/** The bytes of an answer to Allocate for one container, as the checkpoint holds them. */
export function encodeContainerResponse(value: object): Uint8Array {
  const type = loaded['v1beta1.ContainerAllocateResponse']
  if (type === undefined || !('serialize' in type)) throw new Error('there is no ContainerAllocateResponse')
  return (type.serialize as unknown as (value: object) => Buffer)(value)
}

/** {@link encodeContainerResponse} read again. */
export function decodeContainerResponse(bytes: Uint8Array): object {
  const type = loaded['v1beta1.ContainerAllocateResponse']
  if (type === undefined || !('deserialize' in type)) throw new Error('there is no ContainerAllocateResponse')
  return (type.deserialize as unknown as (value: Buffer) => object)(Buffer.from(bytes))
}

/** A device as a plugin sends it. */
export interface WireDevice {
  readonly ID: string
  readonly health: string
  readonly topology: { readonly nodes: readonly { readonly ID: number }[] } | null
}

/** The answer of GetInfo. */
export interface PluginInfo {
  readonly type: string
  readonly name: string
  readonly endpoint: string
  readonly supported_versions: readonly string[]
}

/** The answer of Allocate for one container. */
export interface ContainerResponse {
  readonly envs: Readonly<Record<string, string>>
  readonly mounts: readonly {
    readonly container_path: string
    readonly host_path: string
    readonly read_only: boolean
  }[]
  readonly devices: readonly {
    readonly container_path: string
    readonly host_path: string
    readonly permissions: string
  }[]
  readonly annotations: Readonly<Record<string, string>>
  readonly cdi_devices: readonly { readonly name: string }[]
}
