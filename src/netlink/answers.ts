// The kernel's answers to requests: replies, refusals, and answers that are lost.

import { log } from '../lib/log/log.ts'
import { NetlinkError } from './error.ts'
import { attributeAt } from './inspect.ts'
import { type Ack, type Message, nlmsghdr, type Request } from './message.ts'

const EINTR = 4
/** ENOBUFS */
export const noBufferSpace = 105
/** Most attempts at a dump that changes interrupt or that overruns the buffer. */
const dumpAttempts = 8

/** The kernel's answer to a request that it accepted. */
export interface Reply {
  /** Messages before the ACK: the object asked for, or with NLM_F_ECHO the new object. */
  readonly messages: readonly Message[]
  /** The first of the messages: with NLM_F_ECHO the object as the kernel has stored it. */
  readonly echo?: Message
  /** Text in an ACK of success, such as the driver's reason for not offloading with TCA_CLS_FLAGS_VERBOSE. */
  readonly warning?: string
}

/** Repeats a dump until no change interrupts it. @throws the last interruption after {@link dumpAttempts} */
export function repeated<T>(once: () => T | NetlinkError): T {
  let failure: NetlinkError | undefined
  for (let attempt = 0; attempt < dumpAttempts; attempt++) {
    const result = once()
    if (!(result instanceof NetlinkError)) return result
    failure = result
  }
  throw failure
}

/** The error of a dump that changes interrupted. */
export function interruption({ name: operation }: Request): NetlinkError {
  return new NetlinkError({ operation, errno: EINTR, extack: 'changes interrupted the dump' })
}

/** NLMSG_OVERRUN: the same as noBufferSpace from recv. */
export class Overrun extends Error {
  readonly errno = noBufferSpace
}

/** The reply of a request that the kernel accepted. */
export function reply(messages: readonly Message[], ack: Ack): Reply {
  const [echo] = messages
  const warning = ack.extack.NLMSGERR_ATTR_MSG
  return { messages, ...(echo === undefined ? {} : { echo }), ...(warning === undefined ? {} : { warning }) }
}

/** The error of a request that the kernel refused. */
export function refusal(request: Request, ack: Ack): NetlinkError {
  const {
    NLMSGERR_ATTR_MSG: text,
    NLMSGERR_ATTR_OFFS: offset,
    NLMSGERR_ATTR_MISS_TYPE: missing,
    NLMSGERR_ATTR_MISS_NEST: nest,
  } = ack.extack
  const attribute = attributeOf(request, missing === undefined ? offset : (nest ?? nlmsghdr.size), missing)
  const error = new NetlinkError({
    operation: request.name,
    errno: -ack.error,
    ...(text === undefined ? {} : { extack: text }),
    ...(offset === undefined ? {} : { offset }),
    ...(attribute === undefined
      ? {}
      : { attribute: missing === undefined ? attribute : `missing ${attribute}` }),
  })
  log.debug({ operation: request.name, errno: error.errnoName, extack: text }, `refused: ${error.message}`)
  return error
}

function attributeOf(
  request: Request,
  offset: number | undefined,
  missing: number | undefined,
): string | undefined {
  if (offset === undefined || request.codec === undefined) return undefined
  return attributeAt(request.codec, request.payload, offset - nlmsghdr.size, missing)
}

/** Turns a failure of the transport into a NetlinkError of the request; returns other errors (a defect, undecodable bytes) unchanged. */
export function unanswered(request: Request, error: unknown): unknown {
  const errno = errnoOf(error)
  if (errno === undefined || error instanceof NetlinkError) return error
  const extack =
    errno === noBufferSpace ? 'the receive buffer overran, answers are lost' : 'no answer from the kernel'
  return new NetlinkError({ operation: request.name, errno, extack, cause: error })
}

/** The errno of an error that has one. */
export function errnoOf(error: unknown): number | undefined {
  const errno = typeof error === 'object' && error !== null && 'errno' in error ? error.errno : undefined
  return typeof errno === 'number' ? errno : undefined
}
