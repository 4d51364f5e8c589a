// Converts kernel strings to JavaScript strings and back, without loss. Interface names and aliases are bytes to the kernel, and
// UTF-8 only by custom. In text that is no UTF-8, each byte 0x80-0xff decodes as the lone surrogate U+DC80-U+DCFF (Python's
// "surrogateescape", PEP 383), so that a name read from the kernel can always be sent back.

const surrogate = 0xdc00

/** The text in bytes[at, end). */
export function decodeText(bytes: Uint8Array, at: number, end: number): string {
  let ascii = ''
  for (let i = at; i < end; i++) {
    const byte = bytes[i] as number
    if (byte >= 0x80) return decodeOther(bytes.subarray(at, end))
    ascii += String.fromCharCode(byte)
  }
  return ascii
}

/** The bytes of a text. Throws RangeError for surrogates that decodeText() never makes. */
export function encodeText(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x80) return encodeOther(text)
    bytes[i] = code
  }
  return bytes
}

function decodeOther(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return String.fromCharCode(...Array.from(bytes, (byte) => (byte < 0x80 ? byte : surrogate + byte)))
  }
}

function encodeOther(text: string): Uint8Array {
  // Only decodeOther() makes lone surrogates, and then every other character is ASCII.
  if (!/[\ud800-\udfff]/.test(text.replace(/[\ud800-\udbff][\udc00-\udfff]/g, '')))
    return new TextEncoder().encode(text)
  return Uint8Array.from(text, (character) => {
    const code = character.charCodeAt(0)
    if (code < 0x80) return code
    if (code >= surrogate + 0x80 && code <= surrogate + 0xff && character.length === 1)
      return code - surrogate
    throw new RangeError(`Cannot encode string: it has the lone surrogate U+${code.toString(16)}`)
  })
}
