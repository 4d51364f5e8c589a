// A root folder and two builds, of small files that stand for the programs. In: names of builds. Out: installs and uninstalls as the
// command does them, and a look at the whole tree.
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Wishes } from '../../src/install/command-line.ts'
import { type Around, applyInstall, applyRemoval, type WaysBack } from '../../src/install/files/apply.ts'
import { Contents } from '../../src/install/files/content.ts'
import { placesOf } from '../../src/install/files/layout.ts'
import { noManifest, readManifest } from '../../src/install/files/manifest.ts'
import { type Plan, planInstall } from '../../src/install/files/plan.ts'
import { planRemoval, type RemovalPlan } from '../../src/install/files/removal.ts'
import { findSources } from '../../src/install/files/sources.ts'
import { findFolders } from '../../src/install/runtimes/find.ts'
import { layoutFor } from '../../src/install/wanted-layout.ts'

/** The wishes of a test. */
export type Wish = Partial<Pick<Wishes, 'binDirs' | 'aliases' | 'network'>> & {
  readonly libexecDir?: string
  readonly service?: boolean
  /** False: a build that was made without a C compiler. */
  readonly hasShim?: boolean
  /** The build that the shim beside the program is of. */
  readonly shimOf?: string
}

/** See the head of this file. */
export interface InstallBed {
  readonly root: string
  /** The id of a build by its letter. */
  id(build: string): string
  write(path: string, text: string, mode?: number): void
  read(path: string): string
  plan(build: string, wish?: Wish): Plan
  install(build: string, wish?: Wish, services?: () => WaysBack, label?: Around['label']): Plan
  uninstall(): RemovalPlan
  /** Every entry: kind, mode, content. */
  tree(): Readonly<Record<string, string>>
  end(): void
}

/** The unit that the build hands over. */
export const UNIT = '[Unit]\nExecStart=/usr/local/bin/vf-agent\n'

const noWish = { binDirs: [], aliases: [], network: undefined, libexecDir: undefined, service: true } as const

/** Makes a root with these folders. */
export function makeInstallBed(...folders: readonly string[]): InstallBed {
  const top = mkdtempSync(join(tmpdir(), 'install-'))
  const root = join(top, 'root')
  const id = (build: string) => build.repeat(32)
  for (const folder of ['', ...folders]) mkdirSync(root + folder, { recursive: true })
  const executableOf = (build: string, hasShim: boolean, shimOf: string) => {
    const folder = join(top, build)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'vf-flower'), `program ${id(build)}`)
    rmSync(join(folder, 'vf-attach'), { force: true })
    if (hasShim) writeFileSync(join(folder, 'vf-attach'), `shim \0vf-flower-${id(shimOf)}\0`)
    else symlinkSync('vf-flower', join(folder, 'vf-attach'))
    return join(folder, 'vf-flower')
  }
  const bed: InstallBed = {
    ...{ root, id },
    write: (path, text, mode = 0o644) => {
      mkdirSync(dirname(root + path), { recursive: true })
      writeFileSync(root + path, text, { mode })
    },
    read: (path) => readFileSync(root + path, 'utf8'),
    plan: (build, { hasShim = true, shimOf = build, ...wish } = {}) => {
      const former = readManifest(root)
      const contents = new Contents()
      const sources = findSources(
        executableOf(build, hasShim, shimOf),
        { build: id(build), version: build },
        contents,
        root + placesOf(former?.libexecDir).libexec,
      )
      const around = { sources, unit: UNIT, isEnabled: false, found: findFolders(root), former }
      const { layout } = layoutFor({ ...noWish, root, ...wish }, around)
      return planInstall(root, layout, former ?? noManifest, contents)
    },
    install: (build, wish, services = () => ({}), label) => {
      const plan = bed.plan(build, wish)
      applyInstall(root, plan, { services, label })
      return plan
    },
    uninstall: () => {
      const plan = planRemoval(root, readManifest(root) ?? noManifest, new Contents())
      applyRemoval(root, plan)
      return plan
    },
    tree: () => treeOf(root),
    end: () => rmSync(top, { recursive: true }),
  }
  return bed
}

/** Every entry below a folder: kind, mode and content. */
export function treeOf(root: string): Readonly<Record<string, string>> {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()
  return Object.fromEntries(
    names.map((name) => {
      const path = join(root, name)
      const stats = lstatSync(path)
      const mode = (stats.mode & 0o7777).toString(8)
      if (stats.isSymbolicLink()) return [name, `link ${readlinkSync(path)}`]
      return [name, stats.isDirectory() ? `folder ${mode}` : `file ${mode} ${readFileSync(path, 'latin1')}`]
    }),
  )
}
