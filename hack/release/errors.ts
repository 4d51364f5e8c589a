/** A release that can't be made; the message is for the one who makes it. */
export class ReleaseError extends Error {
  override readonly name = 'ReleaseError'
}
