/**
 * Notes about what attachments share, on the way back: a folder that takes no writes any more (read-only, full) keeps no pod
 * from going. What such a note still says of one that has gone, GC finds by its cookie.
 */
import { notice } from '../../lib/log/notice.ts'
import { type Note, noteAt } from '../../records/store.ts'

/** The note at `path`. What can't be written is told. */
export function forgivingNote(path: string, ...durability: ['volatile'] | []): Pick<Note, 'set' | 'clear'> {
  const note = noteAt(path, ...durability)
  return { set: (text) => tell(() => note.set(text)), clear: () => tell(() => note.clear()) }
}

/** Does what keeps nobody from going if it fails: a failure is told. */
export function tell(action: () => void): void {
  try {
    action()
  } catch (error) {
    notice(`vf-offload: ${error instanceof Error ? error.message : String(error)}`)
  }
}
