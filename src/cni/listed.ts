import type { Attachment, Request } from './request.ts'

/** Whether the runtime has listed an attachment as valid; undefined when it has sent no list. */
export type IsListed = (one: Attachment) => boolean | undefined

/** Looks attachments up in the list of a GC. A list may have hundreds of thousands: it is gone through once, when somebody asks. */
export function listedBy({ validAttachments }: Pick<Request, 'validAttachments'>): IsListed {
  let valid: Set<string> | undefined
  return (one) => {
    if (validAttachments === undefined) return undefined
    valid ??= new Set(validAttachments.map(keyOf))
    return valid.has(keyOf(one))
  }
}

/** Neither part can hold a NUL. */
function keyOf({ containerID, ifname }: Attachment): string {
  return `${containerID}\0${ifname}`
}
