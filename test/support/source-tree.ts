// The files of the repository and the imports between them, read from the text: for tests of the shape of the program.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Path of the repository, with a slash at its end. */
export const top = fileURLToPath(new URL('../..', import.meta.url))

/** Paths of the files that git tracks and that exist. A clone may belong to another user than root, who runs the tests. */
export const tracked: readonly string[] = execFileSync('git', ['-c', 'safe.directory=*', 'ls-files', '-z'], {
  cwd: top,
  encoding: 'utf8',
  maxBuffer: 1 << 24,
})
  .split('\0')
  .filter((file) => file !== '' && existsSync(join(top, file)))

/** The text of a tracked file. */
export function text(file: string): string {
  return readFileSync(join(top, file), 'utf8')
}

/** The TypeScript files that are compiled into the program. */
export const product: readonly string[] = tracked.filter((file) => /^(src|device-plugin)\/.*\.ts$/.test(file))

/** An import or a re-export of one file. */
export interface Import {
  readonly file: string
  /** A path from the top of the repository, or the name of a package. */
  readonly target: string
  /** The source has a path; else `target` is the name of a package. */
  readonly isRelative: boolean
  readonly isType: boolean
  readonly isDynamic: boolean
}

/** Source with spaces in place of comments and of the text in quotes; the lines keep their numbers. */
export function bare(source: string): string {
  const noise = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g
  return source.replace(noise, (part) => part.replace(/[^\n]/g, ' '))
}

/** The imports of a file, `import()` and re-exports included. */
export function importsOf(file: string): Import[] {
  const source = text(file).replace(/\/\*[\s\S]*?\*\/|^\s*\/\/[^\n]*/gm, '')
  const to = (name: string) => {
    const isRelative = name.startsWith('.')
    return { isRelative, target: isRelative ? normalize(join(dirname(file), name)) : name }
  }
  const fixed = [...source.matchAll(/^(?:import|export)\s+(type\s+)?((?:[^'"]*?\sfrom\s+)?)'([^']+)'/gm)]
  const dynamic = [...source.matchAll(/(typeof\s+)?\bimport\(\s*'([^']+)'\s*\)/g)]
  return [
    ...fixed.map(([, type, names = '', name = '']) => {
      const list =
        /\{([^}]*)\}/
          .exec(names)?.[1]
          ?.split(',')
          .map((one) => one.trim())
          .filter(Boolean) ?? []
      const onlyTypes =
        list.length > 0 && list.every((one) => one.startsWith('type ')) && /^\s*\{/.test(names)
      return { file, ...to(name), isType: type !== undefined || onlyTypes, isDynamic: false }
    }),
    ...dynamic.map(([, type, name = '']) => ({
      file,
      ...to(name),
      isType: type !== undefined,
      isDynamic: true,
    })),
  ]
}

/** `from -> to`, as the lists of tests name an import. */
export function edge({ file, target }: Pick<Import, 'file' | 'target'>): string {
  return `${file} -> ${target}`
}

/**
 * The imports that close a circle, in the order of the files: without them none is left. A circle of types counts too.
 * Two imports between the same two files are one.
 */
export function circles(imports: readonly Import[]): string[] {
  const next = new Map<string, Set<string>>()
  for (const { file, target } of imports) next.set(file, (next.get(file) ?? new Set()).add(target))
  const closing: string[] = []
  const done = new Set<string>()
  const open = new Set<string>()
  const walk = (file: string): void => {
    open.add(file)
    for (const target of next.get(file) ?? []) {
      if (open.has(target)) closing.push(edge({ file, target }))
      else if (!done.has(target)) walk(target)
    }
    open.delete(file)
    done.add(file)
  }
  for (const file of next.keys()) if (!done.has(file)) walk(file)
  return closing
}

/** True if a chain of imports leads from one file to the other. */
export function reaches(imports: readonly Import[], from: string, to: string): boolean {
  const seen = new Set<string>([from])
  for (const file of seen) {
    if (file === to) return true
    for (const one of imports) if (one.file === file) seen.add(one.target)
  }
  return false
}
