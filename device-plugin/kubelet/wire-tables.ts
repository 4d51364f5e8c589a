/** Definitions for gRPC out of tables of rows, in the form of messages.ts. */
import type { PackageDefinition } from '@grpc/proto-loader'
import { fromJSON } from '@grpc/proto-loader'
import type { WirePackage } from './messages.ts'

/** A table has a row that can't be read: a defect of this program. */
export class WireTableError extends Error {
  override readonly name = 'WireTableError'
}

/** The definitions of packages, by the names that they have on the wire, such as `v1beta1` or `runtime.v1`. @throws WireTableError */
export function definitionsOf(packages: Readonly<Record<string, WirePackage>>): PackageDefinition {
  const nested = Object.fromEntries(
    Object.entries(packages).map(([name, content]) => {
      const [first = '', ...inner] = name.split('.')
      return [
        first,
        inner.reduceRight((within, part) => ({ nested: { [part]: within } }), namespaceOf(content)),
      ]
    }),
  )
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
