// The smallest ELF file that names a loader and libraries (System V gABI, chapters 4 and 5). In: names. Out: bytes. It can't be run.
import type { Architecture } from '../../hack/image/layout.ts'

const HEADER = 64
const SEGMENT = 56
/** Address at which the file would be in memory: an offset in the file is another number. */
const BASE = 0x400000

/** A file of that processor. */
export function smallElf(
  architecture: Architecture,
  { interpreter, needed = [] }: { interpreter?: string; needed?: readonly string[] } = {},
): Buffer {
  const names = Buffer.from(['', interpreter ?? '', ...needed].map((name) => `${name}\0`).join(''))
  const count = 1 + (interpreter === undefined ? 0 : 1) + (needed.length === 0 ? 0 : 1)
  const namesAt = HEADER + count * SEGMENT
  const dynamicAt = namesAt + names.length
  const dynamic: [tag: number, value: number][] = [
    ...needed.map((name): [number, number] => [1, names.indexOf(`\0${name}\0`) + 1]),
    [5, BASE + namesAt],
    [0, 0],
  ]
  const size = dynamicAt + dynamic.length * 16
  const file = Buffer.alloc(size)
  file.write('\x7fELF\x02\x01\x01', 0, 'latin1')
  file.writeUInt16LE(2, 16)
  file.writeUInt16LE(architecture === 'amd64' ? 62 : 183, 18)
  file.writeBigUInt64LE(BigInt(HEADER), 32)
  file.writeUInt16LE(SEGMENT, 54)
  file.writeUInt16LE(count, 56)
  const segments: [type: number, offset: number, length: number][] = [
    [1, 0, size],
    ...(interpreter === undefined
      ? []
      : [[3, namesAt + 1, interpreter.length + 1] as [number, number, number]]),
    ...(needed.length === 0 ? [] : [[2, dynamicAt, dynamic.length * 16] as [number, number, number]]),
  ]
  for (const [index, [type, offset, length]] of segments.entries()) {
    const at = HEADER + index * SEGMENT
    file.writeUInt32LE(type, at)
    file.writeBigUInt64LE(BigInt(offset), at + 8)
    file.writeBigUInt64LE(BigInt(BASE + offset), at + 16)
    file.writeBigUInt64LE(BigInt(length), at + 32)
  }
  names.copy(file, namesAt)
  for (const [index, [tag, value]] of dynamic.entries()) {
    file.writeBigUInt64LE(BigInt(tag), dynamicAt + index * 16)
    file.writeBigUInt64LE(BigInt(value), dynamicAt + index * 16 + 8)
  }
  return file
}
