// The place where each file of test/native runs: in a node made of namespaces, or, when the machine's kernel lacks what
// the file needs, in the virtual machine. A file whose packages can't be had runs nowhere. In: the files, the kernel's features, what apt
// has. Out: lists of paths.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FEATURES, type Feature, machineFeatures } from '../../hack/lab/features.ts'
import { lackOf } from '../../hack/lab/packages.ts'

const top = join(import.meta.dirname, '../..')
const FOLDER = 'test/native'

/** Paths from the top, of files of test/native. */
export interface Placement {
  readonly native: readonly string[]
  /** With the features that the machine's kernel lacks for each. */
  readonly lab: ReadonlyMap<string, readonly Feature[]>
  /**
   * Files that can't run, each with the reason: those about nodes of namespaces themselves, on a kernel that gives none, because no virtual
   * machine can prove their claims; and those whose packages can't be had.
   */
  readonly nowhere: ReadonlyMap<string, string>
}

/** Places all files. VF_NATIVE=0 sends all of them to the virtual machine, like a kernel without namespaces. */
export function place(env: Readonly<Record<string, string | undefined>>): Placement {
  const has = env.VF_NATIVE === '0' ? new Set<Feature>() : machineFeatures()
  const files = new Map(nativeFiles().map((file) => [file, readFileSync(join(top, file), 'utf8')]))
  for (const [file, text] of files) {
    const only = onlyOf(text)
    if (only !== undefined && env[only] === undefined) files.delete(file)
  }
  return placeFiles(files, has, lackOf)
}

/** The variable without which a file is in no run, by its line `// only: VF_RUNTIMES`; undefined for a file of every run. */
export function onlyOf(text: string): string | undefined {
  return /^\/\/ only: (\w+)$/m.exec(text)?.[1]
}

/** The place of files, by path and text, when a kernel has these features. `lack` tells why a package can't be had. */
export function placeFiles(
  files: ReadonlyMap<string, string>,
  has: ReadonlySet<Feature>,
  lack: (name: string) => string | undefined,
): Placement {
  const native: string[] = []
  const lab = new Map<string, Feature[]>()
  const nowhere = new Map<string, string>()
  for (const [file, text] of files) {
    const needs = needsOf(text, file)
    const missing = packagesOf(text).flatMap((name) => lack(name) ?? [])
    if (missing.length > 0) {
      nowhere.set(file, missing.join('; '))
      continue
    }
    const lacking = ['namespaces' as const, ...needs.filter((one) => one !== 'namespaces')].filter(
      (one) => !has.has(one),
    )
    if (lacking.length === 0) native.push(file)
    else if (needs.includes('namespaces'))
      nowhere.set(file, 'is about nodes of namespaces, and this machine gives none')
    else lab.set(file, lacking)
  }
  return { native, lab, nowhere }
}

/** All test files of test/native, as paths from the top. */
export function nativeFiles(): string[] {
  return readdirSync(join(top, FOLDER), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
    .map((name) => `${FOLDER}/${name}`)
}

/** The features that a file asks for by its line `// needs: bridge, nft`. `namespaces` is for a file about nodes themselves: every one runs in one. */
export function needsOf(text: string, file: string): Feature[] {
  const words = /^\/\/ needs: (.+)$/m.exec(text)?.[1]?.split(', ')
  if (words === undefined)
    throw new Error(`${file} has no line "// needs: ...": name what it needs of the kernel`)
  return words.map((word) => {
    const feature = FEATURES.find((one) => one === word)
    if (feature === undefined) throw new Error(`${file} needs ${word}: must be one of ${FEATURES.join(', ')}`)
    return feature
  })
}

/** The Debian packages that a file uses without installing them, by its line `// packages: containerd, runc`; none without such a line. */
export function packagesOf(text: string): string[] {
  return /^\/\/ packages: (.+)$/m.exec(text)?.[1]?.split(', ') ?? []
}
