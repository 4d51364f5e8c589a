import type { Attachment, Request } from './request.ts'

/** True if the runtime listed the attachment as valid, false if it did not; undefined when it sent no list. */
export type IsListed = (one: Attachment) => boolean | undefined

/** Looks attachments up in the list of a GC. The list may have hundreds of thousands of entries, so the first question indexes it. */
export function listedBy({ validAttachments }: Pick<Request, 'validAttachments'>): IsListed {
  let valid: Set<string> | undefined
  return (one) => {
    if (validAttachments === undefined) return undefined
    valid ??= new Set(validAttachments.map(keyOf))
    return valid.has(keyOf(one))
  }
}

/** Joins both parts with a NUL, which neither part can contain. */
function keyOf({ containerID, ifname }: Attachment): string {
  return `${containerID}\0${ifname}`
}
