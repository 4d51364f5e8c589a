/**
 * Tells when the config file has another content. kubelet swaps a ConfigMap by renaming the link `..data` beside the file; others
 * replace the file, write into it, or make it later than this process starts. All of these are events in the folder of the file, or
 * in the folder that its links lead to.
 */
import { realpathSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { watchFolders } from '../../src/sys/folder-watch.ts'
import { type FileRead, readConfigFile } from './config-file.ts'

/** A running watch. */
export interface ConfigWatch {
  /** Looks at the file now, as after an event. */
  check(): void
  /** Ends the watch. `onChange` is not called any more. */
  close(): void
}

/** Times of a watch in milliseconds. */
export interface WatchOptions {
  /** The content that the caller has; without it, that of now. */
  readonly since?: FileRead
  /** From the first event to the look: a swap is several events. */
  readonly settle?: number
  /** From one look without an event to the next. */
  readonly poll?: number
}

/**
 * Watches the file at `path`, which need not exist yet. `onChange` gets each content that differs from the one before, and the
 * problem when the file can not be read any more. The same content written again is no change.
 */
export function watchConfig(
  path: string,
  onChange: (read: FileRead) => void,
  { since, settle = 200, poll = 10_000 }: WatchOptions = {},
): ConfigWatch {
  const file = resolve(path)
  let seen = since
  const watch = watchFolders({
    folders: () => foldersOf(file),
    look: () => {
      const read = readConfigFile(file)
      const isNew = seen !== undefined && !isSame(seen, read)
      seen = read
      if (isNew) onChange(read)
    },
    settle,
    poll: () => poll,
  })
  return { check: () => watch.look(), close: () => watch.close() }
}

function isSame(left: FileRead, right: FileRead): boolean {
  if ('text' in left) return 'text' in right && left.text === right.text
  return 'problem' in right && left.problem === right.problem
}

/** The folder of the file, and the folder that its links lead to. */
function foldersOf(file: string): readonly string[] {
  try {
    return [dirname(file), dirname(realpathSync(file))]
  } catch {
    // The file is not there yet, or a link leads nowhere.
    return [dirname(file)]
  }
}
