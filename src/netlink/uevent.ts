/**
 * Uevents of the kernel: "add@/devices/...", then "KEY=VALUE" texts, each ended by a zero byte (kobject_uevent_env of
 * lib/kobject_uevent.c). They have no length field.
 */

/** NETLINK_KOBJECT_UEVENT of linux/netlink.h. */
export const NETLINK_KOBJECT_UEVENT = 15
/** The multicast group of the kernel's own uevents. udev sends to group 2, in another form. */
export const ueventGroups: readonly number[] = [1]

/** One uevent. */
export interface Uevent {
  /** add, remove, change, move, online, offline, bind, unbind. */
  readonly action: string
  /** Path below /sys, `/devices/pci0000:00/...`. */
  readonly path: string
  /** The last value of a key such as SUBSYSTEM; undefined when the uevent lacks the key. */
  get(key: string): string | undefined
}

/** A header: no key begins with a small letter and has "@" before "=". */
const header = /^([a-z]+)@(\/.*)$/s

/**
 * The uevents in joined datagrams, in order. Each header begins a uevent. Texts without "=" are left out.
 * @throws RangeError when the first text is no header, as with the uevents of udev, or when the last text has no end
 */
export function parseUevents(datagrams: Uint8Array): Uevent[] {
  const texts = Buffer.from(datagrams.buffer, datagrams.byteOffset, datagrams.length).toString().split('\0')
  if (texts.pop() !== '') throw new RangeError('Cannot decode uevent: its last text has no end')
  const events: Uevent[] = []
  let fields: string[] | undefined
  for (const text of texts) {
    const [, action, path] = header.exec(text) ?? []
    if (action !== undefined && path !== undefined) {
      const own: string[] = []
      fields = own
      events.push({ action, path, get: (key) => fieldOf(own, key) })
    } else if (fields === undefined)
      throw new RangeError('Cannot decode uevent: it begins with no ACTION@PATH')
    else if (text.includes('=')) fields.push(text)
  }
  return events
}

function fieldOf(fields: readonly string[], key: string): string | undefined {
  return fields.findLast((field) => field.startsWith(`${key}=`))?.slice(key.length + 1)
}
