// The captures of test/fixtures/nl: what `ip` and `tc` sent and what the kernel answered (hack/capture.ts).
import { readdirSync, readFileSync } from 'node:fs'
import { bytesOf } from '../../hack/lab/netlink/annotate.ts'
import { familyOf } from '../../hack/lab/netlink/families.ts'
import type { Codec } from '../../src/netlink/codec/wire.ts'
import { type Message, NLM_F, parseDatagram } from '../../src/netlink/message.ts'

export interface Fixture {
  readonly name: string
  /** The command line whose request or answer it is. */
  readonly command: string
  /** The annotated bytes, without the comments before them. */
  readonly text: string
  readonly bytes: Uint8Array
  readonly messages: readonly Message[]
}

const folder = new URL('../fixtures/nl/', import.meta.url)

export function fixture(name: string): Fixture {
  const whole = readFileSync(new URL(`${name}.hex`, folder), 'utf8')
  const text = whole.replace(/^#.*\n/gm, '')
  const bytes = bytesOf(text)
  return { name, command: whole.slice(2, whole.indexOf('\n')), text, bytes, messages: parseDatagram(bytes) }
}

export const fixtures: readonly Fixture[] = readdirSync(folder).map((file) =>
  fixture(file.replace(/\.hex$/, '')),
)

/** The messages of a capture whose type we know, with the codec of their payload. */
export function payloadsOf(capture: Fixture): { name: string; codec: Codec<unknown>; payload: Uint8Array }[] {
  return capture.messages.flatMap(({ type, payload }) => {
    const family = familyOf(type)
    return family === undefined ? [] : [{ name: family[0], codec: family[1], payload }]
  })
}

/** The payload of a capture's only message, or of its first answer. */
export function payloadOf(name: string): Uint8Array {
  const [first] = payloadsOf(fixture(name))
  if (first === undefined) throw new Error(`${name} has no message that we know`)
  return first.payload
}

/** The flags of a capture's first message. */
export function flagsOf(name: string): number {
  return fixture(name).messages[0]?.flags ?? 0
}

/** The common part of a builder's request and a captured one: to compare with toEqual. REQUEST, ACK and DUMP are the socket's. */
export function essence(request: { type: number; flags: number; payload: Uint8Array }): object {
  const { type, flags, payload } = request
  const family = familyOf(type)
  return {
    type: family?.[0],
    flags: flags & ~(NLM_F.NLM_F_REQUEST | NLM_F.NLM_F_ACK),
    value: family?.[1].decode(payload),
    payload,
  }
}

/** The essence of a captured request. */
export function captured(name: string): object {
  const [message] = fixture(name).messages
  if (message === undefined) throw new Error(`${name} is empty`)
  return essence(message)
}
