/** The words of anything that was thrown: the message of an Error, other values as text. */
export function errorText(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
