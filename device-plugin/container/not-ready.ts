/** A device can not be given to a container now. The message is one sentence, which stands in the event of a pod. */
export class NotReady extends Error {
  override readonly name = 'NotReady'
  /** The id of the device; undefined where the reason lies elsewhere, as in a folder that can't be written. */
  readonly device: string | undefined

  /** `isElsewhere`: another device would be refused as well. */
  constructor(device: string, reason: string, isElsewhere = false) {
    super(`Cannot give "${device}" to a container: ${reason}`)
    this.device = isElsewhere ? undefined : device
  }
}
