/**
 * The half of test/native/offload/herd.test.ts that runs beside the programs: starts all calls of a list, one after the other
 * without waiting for any, stops two of them for a while, and tells how each ended. In: a HerdOrder as JSON on stdin. Out: an
 * array of HerdAnswer as JSON, in the order of the calls.
 */
import { readFileSync, statSync } from 'node:fs'

/** One call. */
export interface HerdCall {
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
}

/** The task. Times are milliseconds. */
export interface HerdOrder {
  readonly file: string
  readonly calls: readonly HerdCall[]
  /** Between two starts. */
  readonly pause: number
  /** Whoever has this lock when a quarter has started is stopped, and one of those that start next, when it waits for it. */
  readonly stop?: { readonly lock: string; readonly holder: number; readonly waiting: number }
}

/** The end of a call; times since the first start. */
export interface HerdAnswer {
  readonly code: number
  readonly text: string
  readonly started: number
  readonly ended: number
  /** Of the processor. */
  readonly processor: number
  readonly wasStopped: boolean
}

if (import.meta.main) console.log(JSON.stringify(await run(JSON.parse(await Bun.stdin.text()) as HerdOrder)))

async function run({ file, calls, pause, stop }: HerdOrder): Promise<HerdAnswer[]> {
  const began = performance.now()
  const since = () => Math.round(performance.now() - began)
  const stopped = new Set<number>()
  const halt = async (pid: number, milliseconds: number) => {
    if (!tell(pid, 'SIGSTOP')) return
    stopped.add(pid)
    await Bun.sleep(milliseconds)
    tell(pid, 'SIGCONT')
  }
  const answers: Promise<HerdAnswer>[] = []
  let holder: Promise<void> | undefined
  const quarter = Math.floor(calls.length / 4)
  for (const [at, { env, stdin }] of calls.entries()) {
    const started = since()
    const child = Bun.spawn([file], {
      ...{ env: { ...env, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, stdin: new TextEncoder().encode(stdin) },
      ...{ stdout: 'pipe', stderr: 'pipe' },
    })
    const end = async (): Promise<HerdAnswer> => {
      const code = await child.exited
      const ended = since()
      const texts = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
      const processor = Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000
      return { code, text: texts.join(''), started, ended, processor, wasStopped: stopped.has(child.pid) }
    }
    answers.push(end())
    if (stop !== undefined && at === quarter) {
      holder = stopHolder(stop.lock).then(async (pid) => {
        stopped.add(pid)
        await Bun.sleep(stop.holder)
        tell(pid, 'SIGCONT')
      })
    }
    if (stop !== undefined && at === quarter + 5) {
      void Bun.sleep(stop.holder / 2).then(() => halt(child.pid, stop.waiting))
    }
    await Bun.sleep(pause)
  }
  await holder
  return Promise.all(answers)
}

/** Sends a signal; false when the process has ended. */
function tell(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

/** Stops the process that has the lock, when it has it. */
async function stopHolder(lock: string): Promise<number> {
  for (;;) {
    const pid = holderOf(lock)
    if (pid !== undefined) {
      tell(pid, 'SIGSTOP')
      if (holderOf(lock) === pid) return pid
      tell(pid, 'SIGCONT')
    }
    await Bun.sleep(1)
  }
}

function holderOf(lock: string): number | undefined {
  // The first call makes it.
  const ino = statSync(lock, { throwIfNoEntry: false })?.ino
  if (ino === undefined) return undefined
  const line = readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .find((one) => one.includes('FLOCK') && one.includes(` WRITE `) && one.includes(`:${ino} `))
  const pid = line?.trim().split(/\s+/)[4]
  return pid === undefined ? undefined : Number(pid)
}
