// Tests that can't pass under qemu-user, which is no kernel of its own: it turns each system call into one of the host, and knows not
// all of them. In: the full name of a test. Out: the reason.

interface Known {
  readonly test: RegExp
  readonly reason: string
}

const netlink =
  'qemu-user knows no requests of rtnetlink for qdiscs and actions, and no netfilter: "EOPNOTSUPP: no answer from the kernel"'
const spawn = 'qemu-user makes a copy for vfork: posix_spawn does not hear that the program was not started'
const limits = 'a limit counts for qemu itself'
const namespace = 'the test mounts anew, which a user namespace may not do with the mounts of its parent'

const known: readonly Known[] = [
  { test: /nothing is to do vf-offload DEL/, reason: netlink },
  { test: /DEL in the namespace of the plugin itself goes on without one/, reason: netlink },
  { test: /vf-offload .*a CNI_NETNS that is .* and a namespace that is gone for DEL/, reason: netlink },
  { test: /vf-offload S12: a DEL of what never was/, reason: netlink },
  { test: /vf-offload S11, S12: GC understands/, reason: netlink },
  { test: /a program that can’t be started is the errno of execve|^nothing is left open$/, reason: spawn },
  { test: /Command failed .*test\/sys\/agent-calls\.ts/, reason: 'qemu-user knows no SO_NETNS_COOKIE' },
  { test: /RLIMIT_(AS|DATA|STACK) that is too low/, reason: limits },
  { test: /descriptors below 3 only/, reason: 'qemu has descriptors of its own' },
  { test: /HOME (that is missing|and read-only folders)/, reason: namespace },
  { test: /can not be told without \/proc/, reason: namespace },
  {
    test: /an answer with two descriptors/,
    reason: 'qemu makes the room for descriptors larger than the program asked',
  },
  {
    test: /an environment of 1 MB with odd bytes/,
    reason: 'qemu keeps an environment of its own, without what is no variable',
  },
]

/** The reason why a test can't pass there; undefined for all others. */
export function reasonOf(words: string): string | undefined {
  return known.find(({ test }) => test.test(words))?.reason
}
