/** Registers of nf_tables while a rule is followed with a packet of which not everything is known. */
import { all, type Partly, part, unknown } from './packet.ts'

/** What a comparison says. */
export type Answer = 'no' | 'maybe' | 'yes'

/** NFT_REG_1 to 4 of 16 bytes are the same as NFT_REG32_00 to 15 of four. */
const bytesOfAll = 64

export class Registers {
  readonly #data = unknown(bytesOfAll)

  /** Fills words up with zeros, as the kernel does. */
  store(register: number, value: Partly): void {
    const at = offset(register)
    const length = (value.bytes.length + 3) & ~3
    this.#data.bytes.fill(0, at, at + length)
    this.#data.known.fill(1, at, at + length)
    this.#data.bytes.set(value.bytes.subarray(0, bytesOfAll - at), at)
    this.#data.known.set(value.known.subarray(0, bytesOfAll - at), at)
  }

  load(register: number, length: number): Partly {
    return part(this.#data, offset(register), length)
  }
}

function offset(register: number): number {
  return register <= 4 ? (register - 1) * 16 : (register - 8) * 4
}

/** Whether the bytes are equal to others. */
export function equal({ bytes, known }: Partly, value: Uint8Array): Answer {
  let answer: Answer = 'yes'
  for (let at = 0; at < value.length; at++) {
    if (known[at] !== 1) answer = 'maybe'
    else if (bytes[at] !== value[at]) return 'no'
  }
  return answer
}

/** Less than 0 when the bytes come before others, as numbers in network order; undefined when that is not known. */
export function order({ bytes, known }: Partly, value: Uint8Array): number | undefined {
  for (let at = 0; at < value.length; at++) {
    if (known[at] !== 1) return undefined
    const difference = (bytes[at] ?? 0) - (value[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** Whether the bytes are from `first` to `last`. */
export function between(value: Partly, first: Uint8Array, last: Uint8Array): Answer {
  const [from, to] = [order(value, first), order(value, last)]
  if ((from !== undefined && from < 0) || (to !== undefined && to > 0)) return 'no'
  return from === undefined || to === undefined ? 'maybe' : 'yes'
}

/** The opposite. */
export function not(answer: Answer): Answer {
  return answer === 'maybe' ? answer : answer === 'yes' ? 'no' : 'yes'
}

/** `value & mask ^ xor`: a byte is known that is masked away. */
export function masked({ bytes, known }: Partly, mask: Uint8Array, xor: Uint8Array): Partly {
  return {
    bytes: bytes.map((byte, at) => (byte & (mask[at] ?? 0)) ^ (xor[at] ?? 0)),
    known: known.map((is, at) => (mask[at] === 0 ? 1 : is)),
  }
}

/** Units of `size` bytes with their bytes in the other order. */
export function swapped({ bytes, known }: Partly, size: number): Partly {
  const turn = (list: Uint8Array) =>
    list.map((_, at) => list[at - (at % size) + (size - 1 - (at % size))] ?? 0)
  return { bytes: turn(bytes), known: turn(known) }
}

/** A number of 32 bits as this machine keeps it. */
export function hostNumber(value: number): Partly {
  return all(new Uint8Array(Uint32Array.of(value).buffer))
}
