/** Collects the questions that the kernel did not answer, so that none of them fails a scan. */
import { errorCode } from '../../src/sys/errno.ts'

/** This process or the node is short of something: no answer says anything about one device, and many would be missing. */
const shortages: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM'])

/** Asks questions, and remembers the refusals, each sentence once. */
export class Unanswered {
  readonly #sentences = new Set<string>()

  get sentences(): readonly string[] {
    return [...this.#sentences]
  }

  /** True when a question about one of the subjects had no answer. */
  has(...subjects: readonly string[]): boolean {
    return subjects.some((subject) => this.sentences.some((one) => one.startsWith(`${subject}: `)))
  }

  /**
   * The answer, or `otherwise` and a sentence that begins with the subject. Defects of this program are thrown, and errors that are
   * about no device: too many open files, no memory.
   */
  ask<T>(subject: string, question: () => T, otherwise: T): T {
    try {
      return question()
    } catch (error) {
      if (!(error instanceof Error) || isThrown(error)) throw error
      this.#sentences.add(`${subject}: ${error.message}`)
      return otherwise
    }
  }
}

function isThrown(error: Error): boolean {
  if (error instanceof TypeError || error instanceof ReferenceError) return true
  return shortages.has(errorCode(error) ?? '')
}
