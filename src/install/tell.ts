/** Lines for the operator: the plan, and things that are easily overlooked. */
import { readAgent } from '../ctl/agent.ts'
import { isThere } from '../sys/files.ts'
import { type Attachment, attachmentWords } from './attachments/attachments.ts'
import type { Layout } from './files/layout.ts'
import { asideEnd } from './files/manifest.ts'
import type { Plan } from './files/plan.ts'
import type { RemovalPlan } from './files/removal.ts'
import type { Sources } from './files/sources.ts'
import { type NetworkFile, networksIn } from './network.ts'
import type { NamedFolder } from './runtimes/find.ts'

/** The plan of an install in lines. */
export function installLines(
  root: string,
  { folders, steps, removals }: Pick<Plan, 'folders' | 'steps' | 'removals'>,
  { build, version }: Pick<Sources, 'build' | 'version'>,
  named: readonly NamedFolder[],
  dryRun: boolean,
): readonly string[] {
  const verbs = {
    make: 'write',
    replace: 'replace',
    keep: 'keep',
    aside: `keep the one there as *${asideEnd}, write`,
  } as const
  return [
    `vf-flower ${version} (build ${build})${dryRun ? ': this would be done' : ''}`,
    ...named.map(({ path, by }) => `  CNI folder ${root}${path} (${by})`),
    ...folders.map((path) => `  make the folder ${root}${path}`),
    ...steps.map(
      ({ does, path, content }) =>
        `  ${verbs[does]} ${root}${path}${content.kind === 'link' ? ` -> ${content.target}` : ''}`,
    ),
    ...removals.map(({ path, purpose }) => {
      const why =
        purpose === 'name' ? 'it is in another folder now' : 'of a build before the last two upgrades'
      return `  remove ${root}${path} (${why})`
    }),
  ]
}

/** The plan of an uninstall in lines. */
export function removalLines(
  root: string,
  { files, folders }: Pick<RemovalPlan, 'files' | 'folders'>,
  attachments: readonly Attachment[],
  dryRun: boolean,
): readonly string[] {
  return [
    dryRun ? 'this would be done' : 'uninstall',
    ...attachments.map((one) => `  take back ${attachmentWords(one)}`),
    ...files.map(({ path, isBack }) => (isBack ? `  bring back ${root}${path}` : `  remove ${root}${path}`)),
    ...folders.map((path) => `  remove the folder ${root}${path}, if it is empty`),
  ]
}

/** Notes about a network config that is to be written. */
export function networkNotes(
  root: string,
  network: NetworkFile | undefined,
  confDirs: readonly NamedFolder[],
  { binDirs, aliases }: Pick<Layout, 'binDirs' | 'aliases'>,
): readonly string[] {
  if (network === undefined) return []
  const { name, network: called, plugins } = network
  const own = new Set(['vf-attach', 'vf-offload', ...[...aliases.values()].flat()])
  const missing = plugins.filter(
    (one) => !own.has(one) && !binDirs.some((folder) => isThere(`${root}${folder}/${one}`)),
  )
  return [
    ...missing.map(
      (one) =>
        `network "${called}" calls the plugin "${one}", which is in no CNI folder (Debian: apt-get install containernetworking-plugins)`,
    ),
    ...confDirs.flatMap(({ path }) => {
      const others = networksIn(root + path).filter((one) => one.file !== name)
      const [first] = others
      return [
        ...(first !== undefined && first.file < name
          ? [
              `runtimes take the first network config of "${path}", which is "${first.file}" and not "${name}"`,
            ]
          : []),
        ...others
          .filter((one) => one.network === called)
          .map((one) => `"${path}/${one.file}" has a network of the same name, "${called}"`),
      ]
    }),
  ]
}

/** That an agent runs still, whose program is gone; undefined if none does. */
export async function agentLeft(): Promise<string | undefined> {
  const { pid } = (await runningAgent()) ?? {}
  return pid === undefined ? undefined : `vf-agent runs still, process ${pid}: kill -TERM ${pid} ends it`
}

/** The agent of this node, whoever has started it; undefined where none answers. */
export async function runningAgent(): Promise<{ readonly pid: number; readonly build: string } | undefined> {
  try {
    return await readAgent()
  } catch {
    return undefined
  }
}
