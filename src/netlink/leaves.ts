// Finds the innermost attributes of a message, so that bytes at one place of a request are found again in the kernel's answer, which has
// more attributes and another order.
import type { Struct } from './codec/struct.ts'
import type { Codec } from './codec/wire.ts'
import { isNest, type Part, partsOf } from './inspect.ts'

/** An innermost attribute: its payload is [start, stop) of the message's payload. */
export type Leaf = Pick<Part, 'start' | 'stop'>

/** The codec of a message's payload: its header, then attributes. */
interface Layout {
  readonly header: Pick<Struct<[]>, 'size'>
  readonly attributes: Codec<unknown>
}

/**
 * The innermost attributes by their path: `TCA_OPTIONS > TCA_FLOWER_ACT > [1] > TCA_ACT_KIND`. Of attributes with one path, such as the
 * counters of an action, the map has the last one. Throws RangeError for malformed lengths.
 */
export function leavesOf({ header, attributes }: Layout, payload: Uint8Array): ReadonlyMap<string, Leaf> {
  const leaves = new Map<string, Leaf>()
  const enter = (codec: Codec<unknown>, at: number, end: number, path: string) => {
    for (const { name, codec: inner, start, stop } of partsOf(codec, payload, at, end)) {
      const own = path === '' ? name : `${path} > ${name}`
      if (isNest(inner)) enter(inner, start, stop, own)
      else leaves.set(own, { start, stop })
    }
  }
  enter(attributes, header.size, payload.length, '')
  return leaves
}
