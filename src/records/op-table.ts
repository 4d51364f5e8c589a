/** Types of the table of operations on the disk (ops.ts). */
import type { Op } from '../ops/op.ts'
import type { FieldsOf } from './form.ts'

/** The program's name of an operation. */
export type Kind = Op['do']
type Rest<T, D> = T extends { readonly do: infer K } ? (D extends K ? Omit<T, 'do'> : never) : never
/** All fields of an operation but its name. */
type RestOf<D extends Kind> = Rest<Op, D>
/** Type of one field of an operation. */
export type Member<D extends Kind, K extends keyof RestOf<D>> = RestOf<D>[K]
/** An operation's name on the disk, and its fields. */
type OpForm<D extends Kind> = readonly [name: string, fields: FieldsOf<RestOf<D>>]
/** Every operation of the program with its form on the disk. */
export type OpTable = { readonly [D in Kind]: OpForm<D> }
