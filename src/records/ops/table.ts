/**
 * Operations on the disk. Their table is an interface: a record outlives the program that wrote it, so what stands there in quotes
 * never changes. The names beside it are the program's own (ops/op.ts) and may. The compiler wants each operation with each of its
 * fields.
 */
import type { Op, OpKind } from '../../ops/op.ts'
import { at, type FieldsOf, type Form, Misfit, notOurs, objectOf } from '../form.ts'
import { addressForms } from './addresses.ts'
import { deviceStateForms } from './device-state.ts'
import { filterForms } from './filters.ts'
import { linkForms } from './links.ts'
import { rateForms } from './rates.ts'
import { reservationForms } from './reservations.ts'
import type { OpForms } from './types.ts'

const onDisk: OpForms<OpKind> = {
  ...linkForms,
  ...addressForms,
  ...filterForms,
  ...reservationForms,
  ...rateForms,
  ...deviceStateForms,
}

/** The key under which an operation on the disk has its name. */
const nameKey = 'do'
type Written = Readonly<Record<string, unknown>>

/** Form of each operation that was asked for, by its name on the disk; an operation without a form is none. */
const byName = new Map<string, Form<object>>()

function formNamed(name: unknown): Form<object> | undefined {
  if (typeof name !== 'string') return undefined
  const made = byName.get(name)
  if (made !== undefined) return made
  const kind = (Object.keys(onDisk) as OpKind[]).find((one) => onDisk[one][0] === name)
  if (kind === undefined) return undefined
  const form = formOf(kind)
  byName.set(name, form)
  return form
}

function formOf(kind: OpKind): Form<object> {
  const [name, fields] = onDisk[kind]
  // Its name is a field of its own, so that reading copies nothing: records of a thousand attachments are read at once.
  const named: Form<string> = { read: () => kind, write: () => name, keys: () => [] }
  return objectOf<object>({ do: at(nameKey, named), ...fields } as FieldsOf<object>)
}

/** An operation, with values that its kernel call can be made of: understood as a whole, or not at all. */
export const op: Form<Op> = {
  read: (value) => {
    if (typeof value !== 'object' || value === null) throw new Misfit('must be of type object')
    const form = formNamed((value as Written)[nameKey])
    if (form === undefined) throw new Misfit(notOurs)
    return form.read(value) as Op
  },
  write: (value) => {
    return formNamed(onDisk[value.do][0])?.write(value)
  },
  keys: () => [],
}

/** Names of operations on the disk, with the keys that each can have. */
export function operationKeys(): ReadonlyMap<string, readonly string[]> {
  const keysOf = (kind: OpKind) =>
    formOf(kind)
      .keys()
      .filter((key) => key !== nameKey)
  return new Map((Object.keys(onDisk) as OpKind[]).map((kind) => [onDisk[kind][0], keysOf(kind)]))
}
