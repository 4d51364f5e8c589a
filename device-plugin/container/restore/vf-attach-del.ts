/**
 * The DEL of vf-attach, as a process of its own: the executable has both programs. It takes the record's lock, finds the device
 * wherever it is, and puts it back; whoever comes second finds no record and has nothing to do.
 */
import type { ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'
import { defaultStateDir } from '../../../src/records/store.ts'
import type { Attachment } from '../../allocations/attachment.ts'

/** Longest time of a DEL in milliseconds; it waits for locks of others for a part of that. A DEL that is killed goes on with the next one. */
const longest = 120_000
/** Most characters of an answer that are kept. */
const mostText = 4_096

/** A DEL has failed. The message is the error's of vf-attach. */
export class RestoreFailed extends Error {
  override readonly name = 'RestoreFailed'
}

/** A DEL that is at work. */
export interface Restoring {
  /** Settles at its end with the lines that vf-attach wrote for people, '' for none. Rejects with RestoreFailed. */
  readonly done: Promise<string>
  /** The process goes on alone: nothing keeps this one from its end. */
  leave(): void
}

/** Environment and input of the DEL of an attachment. Without the pod's namespace, which is gone, and without IPAM. */
export function delCall(
  { containerID, ifname, network }: Attachment,
  stateDir: string,
): { readonly env: Readonly<Record<string, string>>; readonly input: string } {
  const env = {
    ...{ CNI_COMMAND: 'DEL', CNI_CONTAINERID: containerID, CNI_IFNAME: ifname, CNI_NETNS: '' },
    ...{ CNI_PATH: '', PATH: process.env.PATH ?? '' },
  }
  const config = { cniVersion: '1.0.0', name: network, type: 'vf-attach' }
  return { env, input: JSON.stringify(stateDir === defaultStateDir ? config : { ...config, stateDir }) }
}

/** Begins the DEL of an attachment whose record is below `stateDir`. `program` is started under the name vf-attach. */
export function restoreByDel(attachment: Attachment, stateDir: string, program: string): Restoring {
  let child: ChildProcess | undefined
  let isLeft = false
  const leave = () => {
    isLeft = true
    child?.stdout?.destroy()
    child?.stderr?.destroy()
    child?.unref()
  }
  const run = async () => {
    // Loaded by the first DEL: most nodes never have one.
    const { spawn } = await import('node:child_process')
    const { env, input } = delCall(attachment, stateDir)
    const one = spawn(program, [], { argv0: 'vf-attach', env, stdio: ['pipe', 'pipe', 'pipe'] })
    child = one
    if (isLeft) leave()
    const answer = textOf(one.stdout)
    const lines = textOf(one.stderr)
    // A process that can't read its input says why by its answer.
    one.stdin.on('error', () => {})
    one.stdin.end(input)
    const timer = setTimeout(() => one.kill('SIGKILL'), longest)
    timer.unref()
    try {
      await new Promise<void>((resolve, reject) => {
        one.once('error', (error) => reject(new RestoreFailed(error.message)))
        one.once('close', (code, signal) =>
          code === 0 ? resolve() : reject(new RestoreFailed(wordsOf(answer(), code, signal))),
        )
      })
      return lines().trim()
    } finally {
      clearTimeout(timer)
    }
  }
  return { done: run(), leave }
}

/** Gathers the beginning of a text. */
function textOf(stream: Readable): () => string {
  let text = ''
  stream.setEncoding('utf8').on('data', (part: string) => {
    text = (text + part).slice(0, mostText)
  })
  return () => text
}

function wordsOf(text: string, code: number | null, signal: string | null): string {
  try {
    const { msg, details } = JSON.parse(text) as { readonly msg?: unknown; readonly details?: unknown }
    const words = [msg, details].filter((one) => typeof one === 'string' && one !== '')
    if (words.length > 0) return words.join(': ')
  } catch {
    // The process came to no answer.
  }
  return signal === null ? `vf-attach ended with code ${code}` : `vf-attach ended by ${signal}`
}
