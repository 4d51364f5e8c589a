/** A device can not be given to a container now. The message is one sentence, which stands in the event of a pod. */
export class NotReady extends Error {
  override readonly name = 'NotReady'
  /** The id of the device. */
  readonly device: string

  constructor(device: string, reason: string) {
    super(`Cannot give "${device}" to a container: ${reason}`)
    this.device = device
  }
}
