// The test driver: runs parts of src/ as they are compiled for release, on whatever kernel it is started. In: a
// Program on standard input (steps.ts); out: one Result for each step on standard output. May import all of src/.
import { readFileSync } from 'node:fs'
import { openLinuxKernel } from '../../../src/kernel/linux.ts'
import type { Message, Request } from '../../../src/netlink/message.ts'
import { NetlinkError, NetlinkSocket, type Reply } from '../../../src/netlink/socket.ts'
import { Transaction } from '../../../src/ops/apply.ts'
import type { Side } from '../../../src/ops/op.ts'
import { openNetns } from '../../../src/sys/namespaces.ts'
import { openNetlink } from '../../../src/sys/netlink.ts'
import { familyOf } from '../netlink/families.ts'
import * as builders from './builders.ts'
import { pack, unpack } from './json.ts'
import * as probes from './probes.ts'
import type { Answer, Came, Draft, Failure, Program, Result, Step } from './steps.ts'

const { netns, steps } = unpack(readFileSync(0, 'utf8')) as Program
const pod = netns === undefined ? undefined : openNetns(netns)
const kernel = openLinuxKernel(pod)
const sockets = new Map<Side, NetlinkSocket>()
const results = steps.map((step): Result => {
  try {
    return { value: carryOut(step) }
  } catch (error) {
    return { error: failureOf(error) }
  }
})
kernel.close()
process.stdout.write(pack(results))

function carryOut(step: Step): unknown {
  switch (step.step) {
    case 'run':
      return kernel.run(step.op)
    case 'apply':
      return new Transaction(kernel).apply(step.ops)
    case 'ask':
      return call(step.question in kernel ? kernel : kernel.rates(), step.question, step.args)
    case 'request':
      return answerOf(socketOf(step.side).request(build(step.message)))
    case 'dump':
      return socketOf(step.side).dump(build(step.message)).map(cameAs)
    case 'batch':
      return socketOf(step.side)
        .batch(step.messages.map(build))
        .map(
          (one): Result =>
            one instanceof NetlinkError ? { error: failureOf(one) } : { value: answerOf(one) },
        )
    case 'probe':
      return call(probes, step.probe, step.args)
  }
}

function build({ build, args }: Draft): Request {
  return call(builders, build, args) as Request
}

// The types of steps.ts have checked the arguments where the test was compiled.
function call(functions: object, name: string, args: readonly unknown[]): unknown {
  return (functions as Record<string, (...args: readonly unknown[]) => unknown>)[name]?.(...args)
}

function socketOf(side: Side): NetlinkSocket {
  const known = sockets.get(side)
  if (known !== undefined) return known
  const opened = new NetlinkSocket(openNetlink(0, side === 'pod' ? pod : undefined))
  sockets.set(side, opened)
  return opened
}

function answerOf({ messages, warning }: Reply): Answer {
  return { messages: messages.map(cameAs), ...(warning === undefined ? {} : { warning }) }
}

function cameAs({ type, payload }: Message): Came {
  const [name, codec] = familyOf(type) ?? []
  if (name === undefined || codec === undefined) throw new RangeError(`Cannot decode message type ${type}`)
  return { type: name, value: codec.decode(payload) as Came['value'] }
}

function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { name: typeof error, message: String(error) }
  const { name, message, cause, code, errno, extack, attribute, key, stuck } = error as Error &
    Partial<Failure>
  return {
    name,
    message,
    ...Object.fromEntries(
      Object.entries({ code, errno, extack, attribute, key, stuck }).filter(
        ([, value]) => value !== undefined,
      ),
    ),
    ...(cause === undefined ? {} : { cause: failureOf(cause) }),
  }
}
