/** A refusal of a fake kernel, with the name of the errno that the real one answers with. */
export class FakeRefusal extends Error {
  readonly kind = 'refusal'
  readonly code: string

  constructor(code: string) {
    super(`refused: ${code}`)
    this.code = code
  }
}
