/** Services of messages.ts for gRPC. Tables are loaded at the first use. */
import type { MethodDefinition, PackageDefinition, ServiceDefinition } from '@grpc/proto-loader'
import { packages } from './messages.ts'
import { definitionsOf, WireTableError } from './wire-tables.ts'

/** A service of one of the protocols. */
export type ServiceName =
  | 'v1beta1.DevicePlugin'
  | 'v1beta1.Registration'
  | 'pluginregistration.Registration'
  | 'v1.PodResourcesLister'

let loaded: PackageDefinition | undefined

/** The definition of a service. @throws WireTableError */
export function serviceOf(name: ServiceName): ServiceDefinition {
  loaded ??= definitionsOf(packages)
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
