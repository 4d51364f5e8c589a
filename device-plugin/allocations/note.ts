/** The note of devices in use, so that a process that is started while no source answers knows what was given out before. */
import * as z from 'zod/mini'
import { readOwnText, replaceFile } from '../../src/sys/files.ts'
import type { LedgerEntry } from './ledger.ts'

const text = z.string().check(z.maxLength(512))
const noteForm = z.strictObject({
  schema: z.literal(1),
  /** Devices are made anew by a boot, and so are pods. */
  bootId: text,
  devices: z.array(
    z.strictObject({
      resource: text,
      device: text,
      pod: z.optional(z.strictObject({ namespace: text, name: text, uid: z.optional(text) })),
      container: z.optional(text),
      wasAttached: z.boolean(),
    }),
  ),
})

/** The entries of the note at `path`. Empty where there is no note, for one of another boot, and for one that nobody of us wrote. */
export function readNote(path: string, bootId: string): readonly LedgerEntry[] {
  try {
    const content = noteForm.parse(JSON.parse(readOwnText(path) ?? 'null'))
    if (content.bootId !== bootId) return []
    return content.devices.map(({ resource, device, pod, container, wasAttached }) => ({
      holding: {
        ...{ resource, device },
        ...(pod === undefined
          ? {}
          : { pod: { namespace: pod.namespace, name: pod.name, ...(pod.uid && { uid: pod.uid }) } }),
        ...(container === undefined ? {} : { container }),
      },
      wasAttached,
    }))
  } catch {
    // Sources tell all of it as soon as one of them answers.
    return []
  }
}

/** The text of the note. */
export function noteText(entries: readonly LedgerEntry[], bootId: string): string {
  const devices = entries.map(({ holding, wasAttached }) => ({ ...holding, wasAttached }))
  return `${JSON.stringify({ schema: 1, bootId, devices } satisfies z.input<typeof noteForm>)}\n`
}

/** Replaces the note, whole or not at all. It is worth nothing after a boot. @throws Node's errors of files */
export function writeNote(path: string, text: string): void {
  replaceFile(path, text, 'volatile')
}
