/** Types of the table of operations on the disk (table.ts). */
import type { OpKind, OpOf } from '../../ops/op.ts'
import type { FieldsOf } from '../form.ts'

/** Type of one field of an operation. */
export type Member<K extends OpKind, F extends keyof OpOf<K>> = OpOf<K>[F]
/** Forms of an operation's fields. */
export type OpFields<K extends OpKind> = FieldsOf<Omit<OpOf<K>, 'do'>>
/** An operation's name on the disk, and its fields. */
export type OpForm<K extends OpKind> = readonly [name: string, fields: OpFields<K>]
/** Forms of these kinds of operations, each with a form of its own. */
export type OpForms<K extends OpKind> = { readonly [One in K]: OpForm<One> }
