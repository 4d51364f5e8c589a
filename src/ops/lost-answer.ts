/** True for an error, or a cause of one, that leaves the result of a request unknown: the kernel's answer is lost. */
export function isLostAnswer(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('isLost' in error && error.isLost === true) || isLostAnswer(error.cause)
}
