/**
 * A file that is there while the process is ready. In an upgrade two processes share the address of /readyz for a moment: who asks there
 * about the new process hears the former one. The file is in the container's own file system.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { errorText } from '../../src/lib/error-text.ts'

/** Parts of the file's owner. */
export interface ReadyFileOptions {
  /** The path; its folder must be there. */
  readonly path: string
  /** Reasons for not being ready; empty when ready. */
  unready(): readonly string[]
  readonly log: { warn(message: string): void }
  /** Pause between two looks, in milliseconds. */
  readonly every?: number
}

/** Takes away a file of a process before, and keeps the file in step with the reasons from now on. Returns the end, which takes it away. */
export function keepReadyFile({ path, unready, log, every = 1_000 }: ReadyFileOptions): () => void {
  let problem = ''
  const put = (isReady: boolean) => {
    try {
      if (isReady) writeFileSync(path, '')
      else rmSync(path, { force: true })
      problem = ''
    } catch (error) {
      const text = `Cannot ${isReady ? 'write' : 'remove'} the file for probes: ${errorText(error)}`
      if (text !== problem) log.warn(text)
      problem = text
    }
  }
  put(false)
  const timer = setInterval(() => put(unready().length === 0), every)
  timer.unref()
  return () => {
    clearInterval(timer)
    put(false)
  }
}
