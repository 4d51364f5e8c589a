// A program of a cluster in a node that serves by HTTP. In: a Lab, words, an address. Out: its end.
import type { Lab } from '../../lab.ts'
import { SimulatorError } from '../api.ts'
import { lastLines } from './kubelet.ts'
import { until } from './until.ts'

/** A program that serves. */
export interface Server {
  /** Ends it. */
  end(): Promise<void>
}

/** Starts a program; resolves when curl with the words `serves` succeeds. @throws SimulatorError with its last words when it ends before */
export async function startServer(
  lab: Lab,
  argv: readonly string[],
  ...serves: readonly string[]
): Promise<Server> {
  const process = await lab.spawn(argv, { timeoutMs: 0 })
  const ended = process.wait().then(({ code }): never => {
    throw new SimulatorError(`"${argv[0]}" ended with code ${code}: ${lastLines(process.stderr())}`)
  })
  ended.catch(() => undefined)
  const end = async () => {
    process.kill('SIGKILL')
    await process.wait()
  }
  const serving = until(
    async () => ((await lab.exec(['curl', '-ksSf', '-m', '20', ...serves])).code === 0 ? true : undefined),
    () => `"${argv[0]}" serves\n${lastLines(process.stderr())}`,
  )
  try {
    await Promise.race([ended, serving])
  } catch (error) {
    await end()
    throw error
  }
  return { end }
}
