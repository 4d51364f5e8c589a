/** True for an error, or what has led to it, that says nothing of what became of a request: the kernel's answer is lost. */
export function isLostAnswer(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('isLost' in error && error.isLost === true) || isLostAnswer(error.cause)
}
