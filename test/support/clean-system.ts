// Every file of a clean node. In: a node. Out: what each path is; the paths that differ.
import type { CleanNode } from '../../hack/lab/clean/clean-node.ts'

/** Paths that others change while a test runs, with all below them, and who does so. */
const others: readonly (readonly [path: RegExp, who: string])[] = [
  [/^\/var\/log(\/|$)/, 'journals and logs'],
  [/^\/var\/lib\/systemd(\/|$)/, 'systemd: times of timers, seeds'],
  [/^\/var\/lib\/cni(\/results(\/|$)|$)/, 'libcni: the results of attachments'],
  [/^\/var\/lib\/cni\/networks(\/|$)/, 'host-local: the folder of each network'],
]

/** Each path of the root file system with kind, mode, owner, size, time, target and hash; of a folder without size and time. */
export async function lookAtSystem(node: CleanNode): Promise<ReadonlyMap<string, string>> {
  const folders = await node.must("find / -xdev -type d -printf '%p\\t%y %m %U:%G\\n'")
  const rest = await node.must("find / -xdev ! -type d -printf '%p\\t%y %m %U:%G %s %T@ %l\\n'")
  const hashes = await node.must(
    "find / -xdev -type f -print0 | xargs -0 sha256sum | sed -E 's/^(\\S+)  (.*)/\\2\\t\\1/'",
  )
  const all = new Map<string, string>()
  for (const line of `${folders}\n${rest}\n${hashes}`.split('\n')) {
    const [path = '', words = ''] = line.split('\t')
    all.set(path, `${all.get(path) ?? ''} ${words}`.trim())
  }
  return all
}

/** The paths that differ, each with what it was and is; without those of {@link others}. */
export function changedPaths(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): readonly string[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((path) => before.get(path) !== after.get(path))
    .filter((path) => !others.some(([other]) => other.test(path)))
    .map((path) => `${path}: ${before.get(path) ?? 'nothing'} -> ${after.get(path) ?? 'nothing'}`)
    .sort()
}
