/** Collects the questions that the kernel did not answer, so that none of them fails a scan. */

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

  /** The answer, or `otherwise` and a sentence that begins with the subject. Defects of this program are thrown. */
  ask<T>(subject: string, question: () => T, otherwise: T): T {
    try {
      return question()
    } catch (error) {
      if (!(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError)
        throw error
      this.#sentences.add(`${subject}: ${error.message}`)
      return otherwise
    }
  }
}
