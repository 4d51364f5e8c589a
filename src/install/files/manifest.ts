/** The manifest of an install: every file, and what had to make room. `uninstall` goes by it alone. */
import * as z from 'zod/mini'
import { errorText } from '../../lib/error-text.ts'
import { readOwnText, replaceFile } from '../../sys/files.ts'
import { InstallError } from '../errors.ts'

/** The folder of the manifest, below the root, and its file. */
export const manifestFolder = '/var/lib/vf-flower'
export const manifestFile = `${manifestFolder}/install.json`

/**
 * A link to the folder with the names of the programs of services, wherever that is. The entry point of the image (src/agent/enter) finds
 * them by it.
 */
export const namesLink = `${manifestFolder}/installed`

/** The end of the name of a file that was put aside. */
export const asideEnd = '.vf-flower-original'

/** Number of the format of the manifest. */
const schema = 1

/** Purposes of a file, which say what an upgrade may do with one that somebody has replaced. */
const purposes = ['program', 'shim', 'alias', 'name', 'unit', 'network'] as const
/** One of {@link purposes}. */
export type Purpose = (typeof purposes)[number]

const text = z.string()
const fileForm = z.object({
  /** Path below the root. */
  path: text,
  purpose: z.enum(purposes),
  /** Build id of the program that has written it. */
  build: text,
  content: z.union([
    z.object({ kind: z.literal('file'), size: z.number(), sha256: text, mode: z.number() }),
    z.object({ kind: z.literal('link'), target: text }),
  ]),
  /** The file that was there before is beside it, under the same name with {@link asideEnd}. */
  isAside: z.optional(z.boolean()),
})
/** A file of ours. */
export type InstalledFile = z.infer<typeof fileForm>

const form = z.object({
  schema: z.literal(schema),
  /** The builds that are there, the newest install last. */
  builds: z.array(z.object({ build: text, version: text })),
  files: z.array(fileForm),
  /** Folders that the installer has made, in that order. */
  folders: z.array(text),
  /** CNI folders with the plugins. */
  binDirs: z.array(text),
  /** The folder of the programs of services that the operator has named; none: the usual ones. */
  libexecDir: z.optional(text),
  /** systemd was told to start the agent: from then on the operator decides about that. */
  isEnabled: z.optional(z.boolean()),
})
/** The manifest. */
export type Manifest = z.infer<typeof form>

/** That of a node without an install. */
export const noManifest: Manifest = { schema, builds: [], files: [], folders: [], binDirs: [] }

/** The manifest below `root`; undefined where nothing is installed. @throws InstallError for one that can't be used */
export function readManifest(root: string): Manifest | undefined {
  const path = root + manifestFile
  let found: string | undefined
  try {
    found = readOwnText(path)
  } catch (error) {
    throw new InstallError(`Cannot read the list of installed files "${path}": ${errorText(error)}`)
  }
  if (found === undefined) return undefined
  try {
    const read = form.safeParse(JSON.parse(found))
    if (read.success) return read.data
    const [issue] = read.error.issues
    throw new InstallError(`${issue?.path.join('.')}: ${issue?.message}`)
  } catch (error) {
    const hint = 'written by a newer version? Take that one, or remove the file and install again'
    throw new InstallError(`Cannot use the list of installed files "${path}": ${errorText(error)}; ${hint}`)
  }
}

/** Writes the manifest, whole or not at all. @throws Node's errors of files */
export function writeManifest(root: string, content: Manifest): void {
  const { builds, files, folders, binDirs, libexecDir, isEnabled } = content
  const manifest: Manifest = {
    ...{ schema, builds, files, folders, binDirs },
    ...(libexecDir === undefined ? {} : { libexecDir }),
    ...(isEnabled === true ? { isEnabled } : {}),
  }
  replaceFile(root + manifestFile, `${JSON.stringify(manifest, undefined, 2)}\n`, 'durable', 0o644)
}
