/** One connection of a shim, from READY to the end of its call. */
import { writeSync } from 'node:fs'
import { errnoName } from '../../lib/errno.ts'
import { type Answer, serveCall } from '../../run-cni.ts'
import { close } from '../../sys/ffi.ts'
import { isHungUp, memoryFile } from '../../sys/poll.ts'
import { send } from '../../sys/unix-socket.ts'
import type { EndedCall, Report, WaitReason } from '../control.ts'
import { encodeMessage } from '../protocol.ts'
import { type IncomingCall, NoCall, nextMessage, readCall } from './incoming.ts'

/** Longest wait for the call of a shim that was told to send it, in milliseconds. */
const callTime = 1_000

/** The end of a call, without what the process adds. */
export type ServedCall = Pick<EndedCall, 'name' | 'verb' | 'outcome' | 'reason' | 'exitCode'>

/** The worker around a call. */
export interface ServeOptions {
  readonly build: string
  /** The reason for which a call is not served, one of few texts; undefined if it is. */
  readonly refusalOf: (connection: number, call: IncomingCall) => string | undefined
  /** Takes what happens in the call. */
  readonly report: (one: Report) => void
  /** Ends the process in the middle of a call that nobody waits for. */
  readonly leave: (served: ServedCall, reason: string) => void
}

/** Serves the call of a connection, and closes the connection. Never throws. */
export function serveConnection(connection: number, options: ServeOptions): ServedCall {
  try {
    const ready = encodeMessage({ kind: 'ready', text: options.build })
    if (!send(connection, ready)) return { outcome: 'unwanted' }
    let came: ReturnType<typeof nextMessage>
    try {
      came = nextMessage(connection, callTime)
    } catch {
      // The shim's descriptors did not all arrive.
      return refuse(connection, {}, 'the call can not be read')
    }
    if (came === undefined) return { outcome: 'unwanted' }
    const open = new Set(came.descriptors)
    const closeAll = () => {
      for (const fd of open) close(fd)
      open.clear()
    }
    try {
      const call = readOrRefuse(connection, came, options)
      return 'outcome' in call ? call : serveRead(connection, call, closeAll, options)
    } finally {
      closeAll()
    }
  } catch {
    // The connection can be neither read nor written, or the answer can't be handed over. The shim sees the end of the connection: if it
    // has sent its call, it goes on as after the death of a worker.
    return { outcome: 'unwanted' }
  } finally {
    close(connection)
  }
}

/** The call, or its refusal. Nothing is done for the call yet. */
function readOrRefuse(
  connection: number,
  came: NonNullable<ReturnType<typeof nextMessage>>,
  { refusalOf }: ServeOptions,
): IncomingCall | ServedCall {
  try {
    const call = readCall(came.message, came.descriptors)
    const refusal = refusalOf(connection, call)
    const about = { name: call.name, verb: call.env.CNI_COMMAND ?? '' }
    return refusal === undefined ? call : refuse(connection, about, refusal)
  } catch (error) {
    return refuse(connection, {}, error instanceof NoCall ? error.message : 'the call can not be read')
  }
}

function refuse(connection: number, about: Pick<ServedCall, 'name' | 'verb'>, reason: string): ServedCall {
  send(connection, encodeMessage({ kind: 'refused', text: reason }))
  return { ...about, outcome: 'refused', reason }
}

function serveRead(
  connection: number,
  call: IncomingCall,
  closeAll: () => void,
  { report, leave }: ServeOptions,
): ServedCall {
  const { name, env, stdin } = call
  const verb = env.CNI_COMMAND ?? ''
  const about = { name, verb }
  report({ did: 'begin', ...about })
  const answer = serveCall(
    { name, env, stdin },
    {
      isCallerGone: () => isHungUp(connection),
      waits: (on: WaitReason) => report({ did: 'wait', on }),
      works: () => report({ did: 'work' }),
      leave: (reason) => leave({ ...about, outcome: 'abandoned' }, reason),
    },
  )
  // The caller may delete the namespace as soon as it has the answer.
  closeAll()
  const { exitCode } = answer
  return { ...about, outcome: hasAnswered(connection, answer, report) ? 'answered' : 'abandoned', exitCode }
}

/**
 * Hands the answer over; false when nobody is there to take it. A result that can't be written is taken back. The result of an ADD whose
 * shim is dead stays: its record is whole, and whoever has ended the shim sends a DEL. By now that DEL may be over, and another ADD too.
 */
function hasAnswered(connection: number, answer: Answer, report: (one: Report) => void): boolean {
  const { exitCode, stdout, stderr } = answer
  if (!sendAnswer(connection, exitCode, stdout, stderr)) return false
  // A shim that has nothing to write on standard output can't fail to write it.
  if (stdout === '') return true
  report({ did: 'wait', on: 'caller' })
  const next = nextMessage(connection, -1)
  report({ did: 'work' })
  if (next?.message.kind !== 'unwritten') return true
  const text = answer.undo(errnoName(next.message.value))
  sendAnswer(connection, 1, '', `${stderr}${text}`)
  return true
}

function sendAnswer(connection: number, exitCode: number, stdout: string, stderr: string): boolean {
  const encoder = new TextEncoder()
  const [out, err] = [encoder.encode(stdout), encoder.encode(stderr)]
  const memory = memoryFile('vf-flower-answer')
  try {
    for (const part of [out, err])
      for (let done = 0; done < part.length; ) done += writeSync(memory, part, done)
    const parts = { first: out.length, second: err.length }
    return send(connection, encodeMessage({ kind: 'answer', value: exitCode, ...parts }), [memory])
  } finally {
    close(memory)
  }
}
