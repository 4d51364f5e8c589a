/** The files of an install: their places, and what each must be. Pure. */
import type { Alias } from '../command-line.ts'
import { type Content, hashOf } from './content.ts'
import { namesLink, type Purpose } from './manifest.ts'
import { programName, type Source, type Sources, shimName } from './sources.ts'

/** Folders of the programs of services. */
export interface Places {
  /** Of the programs, by their builds. */
  readonly libexec: string
  /** Of their names. */
  readonly names: string
}

/** The usual folders. Where SELinux rules, what is below them may be executed by a unit, unlike CNI folders. */
const usual: Places = { libexec: '/usr/local/libexec/vf-flower', names: '/usr/local/bin' }

/** The folders of an install. `dir`: the one folder for both that the operator has named. */
export function placesOf(dir: string | undefined): Places {
  return dir === undefined ? usual : { libexec: dir, names: dir }
}

/** The text of the agent's unit, which names the program in the usual place, for the place that it has. */
export function unitFor(unit: string, { names }: Places): string {
  return unit.replace(`=${usual.names}/vf-agent\n`, `=${names}/vf-agent\n`)
}

/** The unit of the agent. */
export const unitName = 'vf-agent.service'
const unitFile = `/etc/systemd/system/${unitName}`

/** Names under which a network config calls us. */
const pluginNames = ['vf-attach', 'vf-offload'] as const
/** Programs that decide by their names. */
const serviceNames = ['vfctl', 'vf-agent', 'vf-device-plugin', 'vf-flower'] as const

/** Parts of an install, in the order in which they come: a shim must find its program, and better its agent too. */
export const stages = ['programs', 'services', 'plugins'] as const
/** One of {@link stages}. */
export type Stage = (typeof stages)[number]

/** A file to be there. */
export interface Wanted {
  /** Below the root. */
  readonly path: string
  readonly stage: Stage
  readonly purpose: Purpose
  readonly content: Content
  /** A file to copy, or the text; nothing for a link. */
  readonly from: { readonly file: string } | { readonly text: string } | undefined
}

/** A text to be there. */
interface WantedText {
  readonly path: string
  readonly text: string
}

/** The parts of an install, before they are files. */
export interface Layout {
  readonly sources: Sources
  readonly binDirs: readonly string[]
  /** Aliases by the CNI folder that they are in. */
  readonly aliases: ReadonlyMap<string, readonly Alias[]>
  /** The folder of the programs of services that the operator has named. */
  readonly libexecDir: string | undefined
  /** The text of the agent's unit, undefined where services are left alone. */
  readonly unit: string | undefined
  readonly networks: readonly WantedText[]
  /** systemd is told to start the agent. */
  readonly isEnabled: boolean
}

/** All files, in the order in which they are written. */
export function layoutOf({
  sources,
  binDirs,
  aliases,
  libexecDir,
  unit,
  networks,
}: Omit<Layout, 'isEnabled'>): readonly Wanted[] {
  const { build, program, shim } = sources
  const copy = (stage: Stage, purpose: Purpose, path: string, { file, content }: Source): Wanted => ({
    ...{ path, stage, purpose, content, from: { file } },
  })
  const text = (stage: Stage, purpose: Purpose, path: string, words: string): Wanted => {
    const content = {
      kind: 'file',
      size: Buffer.byteLength(words),
      sha256: hashOf(words),
      mode: 0o644,
    } as const
    return { path, stage, purpose, content, from: { text: words } }
  }
  const link = (path: string, target: string): Wanted => ({
    ...{ path, stage: 'services', purpose: 'name', content: { kind: 'link', target }, from: undefined },
  })
  const front = shim ?? program
  const places = placesOf(libexecDir)
  const { libexec, names } = places
  return [
    copy('programs', 'program', `${libexec}/${programName(build)}`, program),
    ...(shim === undefined ? [] : [copy('programs', 'program', `${libexec}/${shimName(build)}`, shim)]),
    ...binDirs.flatMap((folder) => [
      copy('programs', 'program', `${folder}/${programName(build)}`, program),
      copy('programs', 'program', `${folder}/vf-flower`, program),
    ]),
    ...serviceNames.map((name) =>
      link(`${names}/${name}`, `${libexec === names ? '' : '../libexec/vf-flower/'}${programName(build)}`),
    ),
    link(namesLink, names),
    ...(unit === undefined ? [] : [text('services', 'unit', unitFile, unitFor(unit, places))]),
    ...binDirs.flatMap((folder) => [
      ...pluginNames.map((name) => copy('plugins', 'shim', `${folder}/${name}`, front)),
      ...(aliases.get(folder) ?? []).map((name) => copy('plugins', 'alias', `${folder}/${name}`, front)),
    ]),
    ...networks.map(({ path, text: words }) => text('plugins', 'network', path, words)),
  ]
}

/** True for a file under the name of its build, which outlives upgrades. */
export function isOfBuild(path: string, build: string): boolean {
  return path.endsWith(`/${programName(build)}`) || path.endsWith(`/${shimName(build)}`)
}
