/**
 * A socket filter in classic BPF (linux/filter.h) that drops uevents of interfaces without a device in the kernel, and those of their
 * queues. A veth gets a queue for each processor of the node, and a uevent for each queue when it comes and again when it goes: a pod on
 * a node with 128 processors makes a thousand uevents.
 */

/** Opcodes of linux/bpf_common.h: class, size, mode. */
const op = {
  loadLength: 0x80,
  loadByte: 0x30,
  loadWordAtX: 0x40,
  loadByteAtX: 0x50,
  setX: 0x01,
  jump: 0x05,
  jumpIfEqual: 0x15,
  jumpIfAtLeast: 0x35,
  answer: 0x06,
} as const

/** struct sock_filter; `yes` and `no` are instructions to leave out. */
type Instruction = readonly [code: number, yes: number, no: number, value: number]

/** Path of such interfaces below /sys. */
const virtual = '/devices/virtual/net/'
/** Lengths of actions: add, move and bind, remove and change and unbind and online, offline. */
const actionLengths = [3, 4, 6, 7]
/** A load beyond the end would drop the uevent. All uevents of the kernel are longer. */
const shortest = 40
const pass = 0xffffffff

/** struct sock_filter instructions that pass every uevent but those below `/devices/virtual/net/`. */
export function virtualNetworkFilter(): Uint8Array {
  const compare = compareInstructions()
  const find = actionLengths.flatMap((length, index): Instruction[] => [
    [op.loadByte, 0, 0, length],
    [op.jumpIfEqual, 0, 2, '@'.charCodeAt(0)],
    [op.setX, 0, 0, length],
    // Over the rest of these, and over the answer behind them.
    [op.jump, 0, 0, 4 * (actionLengths.length - 1 - index) + 1],
  ])
  const program: Instruction[] = [
    [op.loadLength, 0, 0, 0],
    [op.jumpIfAtLeast, 0, find.length, shortest],
    ...find,
    [op.answer, 0, 0, pass],
    ...compare,
    [op.answer, 0, 0, 0],
    [op.answer, 0, 0, pass],
  ]
  const bytes = new DataView(new ArrayBuffer(8 * program.length))
  program.forEach(([code, yes, no, value], index) => {
    bytes.setUint16(8 * index, code, true)
    bytes.setUint8(8 * index + 2, yes)
    bytes.setUint8(8 * index + 3, no)
    bytes.setUint32(8 * index + 4, value, true)
  })
  return new Uint8Array(bytes.buffer)
}

/** Compares the path behind "@", four bytes at a time; a difference leads to the last instruction of the program. */
function compareInstructions(): Instruction[] {
  const text = new TextEncoder().encode(virtual)
  const view = new DataView(text.buffer)
  const words = text.length >> 2
  const total = 2 * (words + (text.length % 4))
  return Array.from({ length: total / 2 }, (_, step): Instruction[] => {
    const isWord = step < words
    const at = isWord ? 4 * step : 3 * words + step
    const value = isWord ? view.getUint32(at) : view.getUint8(at)
    return [
      [isWord ? op.loadWordAtX : op.loadByteAtX, 0, 0, at + 1],
      [op.jumpIfEqual, 0, total - 2 * step - 1, value],
    ]
  }).flat()
}
