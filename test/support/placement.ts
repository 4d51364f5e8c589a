// The place where each file of test/native runs: in a node made of namespaces, or, when the machine's kernel lacks what
// the file needs, in the virtual machine. A file whose packages can't be had runs nowhere, one of test/lab neither. In: the files, the
// kernel's features, what apt has. Out: lists of paths.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FEATURES, type Feature, machineFeatures } from '../../hack/lab/features.ts'
import { lackOf } from '../../hack/lab/packages.ts'

const top = join(import.meta.dirname, '../..')
const NATIVE = 'test/native'
const LAB = 'test/lab'

/** Paths from the top, of files of test/native. */
export interface Placement {
  readonly native: readonly string[]
  /** With the features that the machine's kernel lacks for each. */
  readonly lab: ReadonlyMap<string, readonly Feature[]>
  /**
   * Files that can't run, each with the reason: those about nodes of namespaces themselves, on a kernel that gives none, because no virtual
   * machine can prove their claims; and those whose packages can't be had, of test/lab too.
   */
  readonly nowhere: ReadonlyMap<string, string>
}

/** Places all files. VF_NATIVE=0 sends all of them to the virtual machine, like a kernel without namespaces. */
export function place(env: Readonly<Record<string, string | undefined>>): Placement {
  const has = env.VF_NATIVE === '0' ? new Set<Feature>() : machineFeatures()
  const texts = (files: readonly string[]) =>
    new Map(files.map((file) => [file, readFileSync(join(top, file), 'utf8')]))
  const placed = placeFiles(texts(nativeFiles()), has, lackOf)
  const inLab = withoutPackages(texts(testFiles(LAB)), lackOf)
  return { ...placed, nowhere: new Map([...placed.nowhere, ...inLab]) }
}

/** Files whose packages can't be had, each with the reason. */
export function withoutPackages(
  files: ReadonlyMap<string, string>,
  lack: (name: string) => string | undefined,
): Map<string, string> {
  const found = new Map<string, string>()
  for (const [file, text] of files) {
    const missing = packagesOf(text).flatMap((name) => lack(name) ?? [])
    if (missing.length > 0) found.set(file, missing.join('; '))
  }
  return found
}

/** The place of files, by path and text, when a kernel has these features. `lack` tells why a package can't be had. */
export function placeFiles(
  files: ReadonlyMap<string, string>,
  has: ReadonlySet<Feature>,
  lack: (name: string) => string | undefined,
): Placement {
  const native: string[] = []
  const lab = new Map<string, Feature[]>()
  const nowhere = withoutPackages(files, lack)
  for (const [file, text] of files) {
    const needs = needsOf(text, file)
    if (nowhere.has(file)) continue
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
  return testFiles(NATIVE)
}

function testFiles(folder: string): string[] {
  return readdirSync(join(top, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
    .map((name) => `${folder}/${name}`)
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
