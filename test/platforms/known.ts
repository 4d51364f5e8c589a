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
  {
    test: /a program that can’t be started is the errno of execve|^nothing is left open$|^stderr is collected for an answer/,
    reason: spawn,
  },
  {
    test: /a plugin that misbehaves because it (is no program|has an interpreter that is missing) |because it is being replaced is waited for/,
    reason: spawn,
  },
  {
    test: /nowhere, no program, or a copy of the program in front/,
    reason:
      'statx(2) of /proc/self/exe tells of qemu: the program in front does not see its own copy, and starts itself for ever',
  },
  {
    test: /before the first scan and the first config there is a text/,
    reason: 'qemu writes a /proc/self/stat of its own, in which memory is 0',
  },
  {
    test: /pages of the executable leave memory, and the process goes on/,
    reason:
      'qemu writes a /proc/self/smaps of its own, in which no page was changed: changed ones are given back, too; the machine tries it',
  },
  {
    test: /an answer of 10 MB is taken, one of over 16 MiB is refused/,
    reason: 'qemu-user takes longer for 10 MB than the device plugin waits for kubelet',
  },
  {
    test: /Cannot find native binding/,
    reason: 'a test transforms code in its own process, by a compiler of this machine',
  },
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
