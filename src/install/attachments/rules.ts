/** The rules by which attachments stand in the way of an install or uninstall. */
import { defaultStateDir } from '../../records/store.ts'
import { InstallError } from '../errors.ts'
import { networksIn } from '../network.ts'
import type { NamedFolder } from '../runtimes/find.ts'
import { type Attachment, attachmentWords } from './attachments.ts'

/** The folders of records: the usual one, and those that network configs name. */
export function stateDirsOf(root: string, confDirs: readonly NamedFolder[]): readonly string[] {
  const named = confDirs.flatMap(({ path }) => networksIn(root + path).flatMap(({ stateDirs }) => stateDirs))
  return [...new Set([defaultStateDir, ...named])].map((one) => root + one)
}

/** Makes sure that this build understands all records. @throws InstallError with those that it does not */
export function requireKnownFormats(attachments: readonly Attachment[]): void {
  const newer = attachments.filter((one) => one.newer !== undefined)
  if (newer.length === 0) return
  throw new InstallError(
    [
      'Cannot install this build: records of attachments are in a format that it does not know. End these pods first, or install the version that has written them:',
      ...newer.map((one) => `  ${attachmentWords(one)}: ${one.newer}`),
    ].join('\n'),
  )
}

/**
 * Makes sure that there is nothing to take back, below a root that is not this process's own: from here nobody can tell which pods
 * live, nor reach them. @throws InstallError
 */
export function requireNone(root: string, attachments: readonly Attachment[]): void {
  if (attachments.length === 0) return
  throw new InstallError(
    [
      `Cannot uninstall below "${root}": there are attachments, which can be taken back on the node itself alone (nsenter --target 1 --mount, without --root):`,
      ...attachments.map(
        ({ plugin, name }) => `  container ${name.containerID}, interface ${name.ifname}: ${plugin}`,
      ),
    ].join('\n'),
  )
}

/** Makes sure that no pod would lose anything. @throws InstallError with those that would */
export function requireNoneAlive(attachments: readonly Attachment[]): void {
  const alive = attachments.filter((one) => one.isAlive)
  if (alive.length === 0) return
  throw new InstallError(
    [
      'Cannot uninstall: pods have devices, ports or limits of ours. End them first; --force takes these from them:',
      ...alive.map((one) => `  ${attachmentWords(one)}`),
    ].join('\n'),
  )
}
