// Waiting for a condition by looking again and again. In: a look. Out: what it found.

/** A condition did not come in time. */
export class NotInTime extends Error {
  override readonly name = 'NotInTime'
}

/** Milliseconds: the longest wait, default 30,000, and the pause between two looks, default 20. */
export interface Waiting {
  readonly patience?: number
  readonly pause?: number
}

/** Looks until there is a value that is no false and no undefined. @throws NotInTime with `what` it waits for, and why it may lack */
export async function until<T>(
  look: () => T | Promise<T>,
  what: string | (() => string | Promise<string>),
  { patience = 30_000, pause = 20 }: Waiting = {},
): Promise<Exclude<T, false | undefined>> {
  const end = Date.now() + patience
  for (;;) {
    const found = await look()
    if (found !== false && found !== undefined) return found as Exclude<T, false | undefined>
    if (Date.now() > end)
      throw new NotInTime(
        `Not so after ${patience / 1000} s: ${typeof what === 'string' ? what : await what()}`,
      )
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}
