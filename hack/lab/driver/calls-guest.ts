// Serves many calls in one process, as a worker of the agent does. In: a list of calls on standard input; out: an answer for each on
// standard output, with what the call left open in the process.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { keepHostSockets } from '../../../src/kernel/linux/kept/sockets.ts'
import { loadAll, serveCall } from '../../../src/run-cni.ts'

/** A call of a runtime. */
export interface ServedCall {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
  readonly isLostWorker?: boolean
  /** The caller is gone when the call asks for it for the n-th time, counted from 1. Without it the caller stays. */
  readonly goneAt?: number
  /** The answer can't be written, for this reason. */
  readonly unwritten?: string
}

/** The answer, and what became of the process. */
export interface ServedAnswer {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  /** Times that the call asked for its caller. */
  readonly asked: number
  readonly waits: readonly string[]
  /** Descriptors that were not there before the call. */
  readonly left: readonly string[]
  readonly isAtHome: boolean
}

await loadAll()
keepHostSockets()
const home = namespace()
const calls = JSON.parse(readFileSync(0, 'utf8')) as readonly ServedCall[]
process.stdout.write(JSON.stringify(calls.map(serve)))

function serve({ goneAt, unwritten, ...call }: ServedCall): ServedAnswer {
  const before = descriptors()
  const waits: string[] = []
  let asked = 0
  const answer = serveCall(call, {
    isCallerGone: () => ++asked === goneAt || (goneAt !== undefined && asked > goneAt),
    waits: (on) => void waits.push(on),
    works: () => undefined,
  })
  const more = unwritten === undefined ? '' : answer.undo(unwritten)
  const { exitCode, stdout, stderr } = answer
  const left = descriptors().filter((one) => !before.includes(one))
  return { exitCode, stdout, stderr: stderr + more, asked, waits, left, isAtHome: namespace() === home }
}

function namespace(): string {
  return readlinkSync('/proc/thread-self/ns/net')
}

function descriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`]
    } catch {
      // The one that listed the folder.
      return []
    }
  })
}
