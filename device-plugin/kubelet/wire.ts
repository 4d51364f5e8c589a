/** Services of messages.ts for gRPC. Tables are loaded at the first use. */
import type { MethodDefinition, PackageDefinition, ServiceDefinition } from '@grpc/proto-loader'
import { fromJSON } from '@grpc/proto-loader'
import { packages, type WirePackage } from './messages.ts'

/** A service of one of the protocols. */
export type ServiceName =
  | 'v1beta1.DevicePlugin'
  | 'v1beta1.Registration'
  | 'pluginregistration.Registration'
  | 'v1.PodResourcesLister'

/** A table of messages.ts has a row that can't be read: a defect of this program. */
export class WireTableError extends Error {
  override readonly name = 'WireTableError'
}

let loaded: PackageDefinition | undefined

/** The definition of a service. @throws WireTableError */
export function serviceOf(name: ServiceName): ServiceDefinition {
  loaded ??= load()
  const found = loaded[name]
  if (found === undefined || 'format' in found) throw new WireTableError(`There is no service ${name}`)
  return found as ServiceDefinition
}

/** The definition of one call. @throws WireTableError */
export function callOf(name: ServiceName, method: string): MethodDefinition<object, object> {
  const found = serviceOf(name)[method]
  if (found === undefined) throw new WireTableError(`There is no call ${method} in ${name}`)
  return found
}

function load(): PackageDefinition {
  const nested = mapped(packages, namespaceOf)
  // proto-loader takes the JSON form of protobufjs, which is a package that we do not depend on by name.
  return fromJSON({ nested } as Parameters<typeof fromJSON>[0], {
    keepCase: true,
    longs: Number,
    defaults: true,
    arrays: true,
    objects: true,
  })
}

function namespaceOf({ messages, services }: WirePackage): object {
  const types = mapped(messages, (rows) => ({ fields: Object.fromEntries(rows.map(fieldOf)) }))
  const calls = mapped(services, (methods) => ({ methods: mapped(methods, methodOf) }))
  return { nested: { ...types, ...calls } }
}

function fieldOf(row: string): [string, object] {
  const [, id = '', name = '', type = '', form] = /^(\d+) (\w+): (\w+)(\[\]|\{\})?$/.exec(row) ?? []
  if (type === '') throw new WireTableError(`Cannot read the row "${row}" of a message`)
  const field = { id: Number(id), type }
  if (form === '[]') return [name, { ...field, rule: 'repeated' }]
  return [name, form === '{}' ? { ...field, keyType: 'string' } : field]
}

function methodOf(row: string): object {
  const [, requestType, stream, responseType] = /^(\w+) -> (stream )?(\w+)$/.exec(row) ?? []
  if (responseType === undefined) throw new WireTableError(`Cannot read the row "${row}" of a service`)
  return { requestType, responseType, responseStream: stream !== undefined }
}

function mapped<T, U>(table: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, change(value)]))
}
