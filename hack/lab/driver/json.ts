// JSON for values that JSON has no form for. In: bytes, bigints, maps, undefined, anywhere inside; out: text, and back.

/**
 * The text of a value: bytes as `{"$hex": "00ff"}`, bigints as `{"$bigint": "12"}`, maps as `{"$map": [[key, value]]}`, and
 * undefined as `{"$undefined": true}`: JSON would turn one in a list into null.
 */
export function pack(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (inner instanceof Uint8Array)
      return { $hex: Array.from(inner, (byte) => byte.toString(16).padStart(2, '0')).join('') }
    if (typeof inner === 'bigint') return { $bigint: String(inner) }
    if (inner === undefined) return { $undefined: true }
    return inner instanceof Map ? { $map: [...inner] } : inner
  })
}

/** The value of a text that {@link pack} made. */
export function unpack(text: string): unknown {
  return JSON.parse(text, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null) return inner
    if ('$hex' in inner)
      return Uint8Array.from(String(inner.$hex).match(/../g) ?? [], (octet) => Number.parseInt(octet, 16))
    if ('$bigint' in inner) return BigInt(String(inner.$bigint))
    // Leaves a property out, and a list without a value at that place.
    if ('$undefined' in inner) return undefined
    return '$map' in inner ? new Map(inner.$map as [unknown, unknown][]) : inner
  })
}
