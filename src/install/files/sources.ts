/** The programs that are installed: those beside the running executable. */
import { readFileSync } from 'node:fs'
import { errorText } from '../../lib/error-text.ts'
import { folderOf, lastPart } from '../../lib/path.ts'
import { isThere, realPath } from '../../sys/files.ts'
import { InstallError } from '../errors.ts'
import type { Content, Contents } from './content.ts'

/** A program to install. */
export interface Source {
  readonly file: string
  readonly content: Extract<Content, { kind: 'file' }>
}

/** The programs of one build. */
export interface Sources {
  readonly build: string
  readonly version: string
  readonly program: Source
  /** The small program that runtimes call; undefined where the build has none. */
  readonly shim: Source | undefined
}

/** Name of an installed executable of a build, in CNI folders and in the folder of services. */
export const programName = (build: string): string => `vf-flower-${build}`
/** Name of the small program of a build in the folder of services, from which a way back takes it. */
export const shimName = (build: string): string => `vf-shim-${build}`

/**
 * Finds the programs of this build, from the path of the running executable. `libexec` is the folder of services, in which the small
 * program of an installed build is.
 * @throws InstallError where a file is missing, or is of another build
 */
export function findSources(
  executable: string,
  { build, version }: Pick<Sources, 'build' | 'version'>,
  contents: Contents,
  libexec: string,
): Sources {
  const file = realPath(executable)
  if (file === undefined)
    throw new InstallError(
      `Cannot find the running program at "${executable}": it was removed since its start`,
    )
  const program = sourceAt(file, contents)
  const shim = shimBeside(file, build, libexec)
  if (shim === undefined) return { build, version, program, shim }
  // Without a C compiler the build makes a link to the program.
  if (realPath(shim) === file) return { build, version, program, shim: undefined }
  if (!holds(shim, `${programName(build)}\0`))
    throw new InstallError(
      `Cannot install "${shim}": it is not of the build ${build}, as "${file}" is; build both again`,
    )
  return { build, version, program, shim: sourceAt(realPath(shim) ?? shim, contents) }
}

/** Undefined for an installed build that never had one. @throws InstallError */
function shimBeside(file: string, build: string, libexec: string): string | undefined {
  const folder = folderOf(file)
  // An installed executable: its folder may have the plugins of another build.
  if (lastPart(file) === programName(build))
    return [folder, libexec].map((one) => `${one}/${shimName(build)}`).find(isThere)
  const shim = `${folder}/vf-attach`
  if (isThere(shim)) return shim
  throw new InstallError(
    `Cannot find "${shim}", which runtimes are to call: it must be beside "${file}", as the build makes it`,
  )
}

function sourceAt(file: string, contents: Contents): Source {
  const content = contents.at(file)
  if (content === undefined || content === 'other' || content.kind !== 'file')
    throw new InstallError(`Cannot install "${file}": it is no regular file`)
  return { file, content: { ...content, mode: 0o755 } }
}

function holds(file: string, text: string): boolean {
  try {
    return readFileSync(file).includes(text)
  } catch (error) {
    throw new InstallError(`Cannot read "${file}": ${errorText(error)}`)
  }
}
