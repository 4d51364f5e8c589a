// A process in the guest that does what it is told, line by line: starting one for each thing to do takes longer than the
// thing. In: a Lab, what to start. Out: orders, each answered by a line of JSON with the order's `id`.
import type { Lab } from '../lab.ts'

/** A line of the process's standard output, after `ready`. */
export interface Reply {
  readonly id: number
  readonly error?: string
}

/** A process that takes orders. */
export interface Orders<Wish extends object, Answer extends Reply> {
  /** Gives an order and waits for its answer. Several orders run at the same time. */
  order(wish: Wish): Promise<Answer>
  /** Ends the process at once. */
  end(): Promise<void>
  /** Ends its input, at which the process ends when it has cleared away what it made. */
  finish(): Promise<void>
}

/** Starts the process and waits until it is ready; `who` names it in errors. */
export async function startOrders<Wish extends object, Answer extends Reply>(
  lab: Lab,
  who: string,
  argv: readonly string[],
): Promise<Orders<Wish, Answer>> {
  const waiting = new Map<number, (reply: Answer) => void>()
  const decoder = new TextDecoder()
  let rest = ''
  let started: () => void = () => undefined
  const isReady = new Promise<void>((resolve) => {
    started = resolve
  })
  const child = await lab.spawn(argv, {
    timeoutMs: 0,
    onStdout: (data) => {
      const lines = (rest + decoder.decode(data, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === 'ready') started()
        else {
          const reply = JSON.parse(line) as Answer
          waiting.get(reply.id)?.(reply)
          waiting.delete(reply.id)
        }
      }
    },
  })
  const ended = child.wait().then(({ code, stderr }): never => {
    throw new Error(`${who} ended with code ${code}: ${stderr}`)
  })
  ended.catch(() => undefined)
  await Promise.race([isReady, ended])
  let count = 0
  return {
    order: async (wish) => {
      const id = ++count
      const reply = new Promise<Answer>((resolve) => waiting.set(id, resolve))
      child.write(`${JSON.stringify({ ...wish, id })}\n`)
      const answer = await Promise.race([reply, ended])
      if (answer.error !== undefined) throw new Error(`${who}: ${answer.error}`)
      return answer
    },
    end: async () => {
      child.kill('SIGKILL')
      await child.wait()
    },
    finish: async () => {
      child.end()
      await child.wait()
    },
  }
}
