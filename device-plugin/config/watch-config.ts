/**
 * Tells when the config file has another content. kubelet swaps a ConfigMap by renaming the link `..data` beside the file; others
 * replace the file, write into it, or make it later than this process starts. All of these are events in the folder of the file, or
 * in the folder that its links lead to. A slow look behind the events finds what they miss.
 */
import { type FSWatcher, realpathSync, statSync, watch } from 'node:fs'
import { dirname, resolve } from 'node:path'
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
  const watchers = new Map<string, FSWatcher>()
  let seen = since
  let timer: NodeJS.Timeout | undefined
  let isClosed = false

  const schedule = () => {
    if (!isClosed) timer ??= setTimeout(look, settle)
  }
  const look = () => {
    clearTimeout(timer)
    timer = undefined
    if (isClosed) return
    // First the folders, then the file: a change between the two makes an event.
    renew(watchers, foldersOf(file), schedule)
    const read = readConfigFile(file)
    const isNew = seen !== undefined && !isSame(seen, read)
    seen = read
    if (isNew) onChange(read)
  }

  look()
  const rounds = setInterval(look, poll)
  return {
    check: look,
    close: () => {
      isClosed = true
      clearTimeout(timer)
      clearInterval(rounds)
      for (const watcher of watchers.values()) watcher.close()
      watchers.clear()
    },
  }
}

function isSame(left: FileRead, right: FileRead): boolean {
  if ('text' in left) return 'text' in right && left.text === right.text
  return 'problem' in right && left.problem === right.problem
}

/** Keys of folders, with the path by which each is watched. The key tells a folder from a later one at the same path. */
function foldersOf(file: string): ReadonlyMap<string, string> {
  const folders = new Map<string, string>()
  const add = (folder: string) => {
    const { dev, ino } = statSync(folder)
    folders.set(`${dev}:${ino} ${folder}`, folder)
  }
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    try {
      add(folder)
      break
    } catch {
      // The folder is not there yet: its parent tells when it comes.
      if (folder === dirname(folder)) break
    }
  }
  try {
    add(dirname(realpathSync(file)))
  } catch {
    // The file is not there yet, or a link leads nowhere.
  }
  return folders
}

function renew(
  watchers: Map<string, FSWatcher>,
  folders: ReadonlyMap<string, string>,
  onEvent: () => void,
): void {
  for (const [key, watcher] of watchers)
    if (!folders.has(key)) {
      watcher.close()
      watchers.delete(key)
    }
  for (const [key, folder] of folders) {
    if (watchers.has(key)) continue
    try {
      const watcher = watch(folder, onEvent)
      // The slow look goes on, and opens the watch anew.
      watcher.on('error', () => {
        watcher.close()
        watchers.delete(key)
      })
      watchers.set(key, watcher)
    } catch {
      // The kernel gives no more watches (fs.inotify.max_user_watches): the slow look remains.
    }
  }
}
