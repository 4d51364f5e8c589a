// Reads an archive of tar, by a reader of its own: names, kinds, owners, times and contents. In: bytes. Out: entries.

/** An entry as the archive has it. */
export interface Unpacked {
  readonly path: string
  /** `0` file, `1` another name, `2` link, `5` folder. */
  readonly type: string
  readonly mode: number
  readonly owner: readonly [user: number, group: number]
  readonly time: number
  readonly target: string
  readonly bytes: Uint8Array
}

/** All entries in their order. The sum of each header is checked. */
export function untar(bytes: Uint8Array): readonly Unpacked[] {
  const data = Buffer.from(bytes)
  const entries: Unpacked[] = []
  for (let at = 0; data[at] !== 0; ) {
    const header = data.subarray(at, at + 512)
    const text = (from: number, length: number) =>
      header.toString('utf8', from, from + length).replace(/\0.*$/s, '')
    const octal = (from: number, length: number) => Number.parseInt(text(from, length), 8)
    const sum = header.reduce((all, byte, index) => all + (index >= 148 && index < 156 ? 32 : byte), 0)
    if (sum !== octal(148, 8)) throw new Error(`The header at ${at} has a wrong sum`)
    const size = octal(124, 12)
    const prefix = text(345, 155)
    entries.push({
      path: prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`,
      ...{ type: text(156, 1), mode: octal(100, 8), owner: [octal(108, 8), octal(116, 8)] },
      ...{ time: octal(136, 12), target: text(157, 100), bytes: data.subarray(at + 512, at + 512 + size) },
    })
    at += 512 + Math.ceil(size / 512) * 512
  }
  return entries
}
