// Two builds of one release, byte by byte. In: two folders. Out: where they differ, for people.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sha256 } from '../image/layout.ts'

/** The files in which two folders differ, a sentence each; none for equal folders. */
export function differences(one: string, other: string): readonly string[] {
  const [ones, others] = [filesOf(one), filesOf(other)]
  return [...new Set([...ones, ...others])].sort().flatMap((file) => {
    if (!ones.includes(file) || !others.includes(file))
      return [`${file} is in ${ones.includes(file) ? one : other} alone`]
    const [left, right] = [readFileSync(join(one, file)), readFileSync(join(other, file))]
    if (left.equals(right)) return []
    return [
      `${file} differs from byte ${firstDifference(left, right)} on; ${left.length} and ${right.length} bytes`,
    ]
  })
}

/** Writes SHA256SUMS for all files of a folder, as `sha256sum -c` reads it. */
export function writeSums(folder: string): void {
  const sums = filesOf(folder)
    .filter((file) => file !== 'SHA256SUMS')
    .sort()
    .map((file) => `${sha256(readFileSync(join(folder, file)))}  ${file}\n`)
  writeFileSync(join(folder, 'SHA256SUMS'), sums.join(''))
}

function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}

function firstDifference(left: Uint8Array, right: Uint8Array): number {
  const end = Math.min(left.length, right.length)
  for (let at = 0; at < end; at++) if (left[at] !== right[at]) return at
  return end
}
