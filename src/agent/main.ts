/** The command line of `vf-agent`. */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { buildId } from '../lib/build-id.ts'
import { errorText } from '../lib/error-text.ts'
import { version } from '../lib/version.ts'
import { execute, setSignalMask, signalNumbers } from '../sys/poll.ts'

const usage = `vf-agent ${version}: keeps the CNI plugins vf-attach and vf-offload loaded, so that a call takes less time

Usage:
  vf-agent             serves calls until SIGTERM; SIGHUP reads /etc/vf-flower/agent.json again
                       and replaces the workers. Nothing depends on the agent: without it each
                       call runs by itself
  vf-agent --help      this text
  vf-agent --version   version and build

"vfctl agent" shows what it does. Exit code: 0, 1 when it cannot listen, 2 for arguments that
are not understood, 3 for settings that cannot be used.
`

/** Exit codes. */
const exitCodes = { ended: 0, failed: 1, usage: 2, settings: 3 } as const

/** Runs the command line; returns the exit code. */
export async function runAgent([first, ...more]: readonly string[]): Promise<number> {
  if (more.length === 0) {
    // As the shim does: a folder of CNI_PATH may be relative, and no folder is to be kept busy.
    process.chdir('/')
    if (first === undefined) return await supervise()
    // The supervisor alone says so, to its own children.
    if (first === 'worker') return await (await import('./worker/worker.ts')).runWorker()
    if (first === '--help' || first === '-h') {
      console.log(usage.trimEnd())
      return exitCodes.ended
    }
    if (first === '--version') {
      console.log(`${version} (build ${buildId})`)
      return exitCodes.ended
    }
  }
  console.error(`vf-agent: unknown argument "${more[0] ?? first}"\n\n${usage.trimEnd()}`)
  return exitCodes.usage
}

async function supervise(): Promise<number> {
  const { Loop, ownSignals } = await import('./supervisor/loop.ts')
  if (!areBlocked(ownSignals.map((name) => signalNumbers[name]))) {
    // Only threads that begin after it have a mask, and the engine's have begun. So the process becomes itself once more.
    setSignalMask(ownSignals)
    const variables = Object.entries(process.env).map(([name, value]) => `${name}=${value}`)
    execute('/proc/self/exe', ['vf-agent'], variables)
  }
  // The loop runs for long, so compiling pays. hack/build.ts delays compiling, for calls that end at once.
  Bun.unsafe.setJITPolicy(1)
  const { readSettings } = await import('./settings.ts')
  const { ServiceManager } = await import('./supervisor/notify.ts')
  try {
    const settings = readSettings()
    const manager = new ServiceManager(process.env, process.pid)
    new Loop({ settings, processors: availableParallelism(), build: buildId, manager }).run()
    return exitCodes.ended
  } catch (error) {
    console.error(`vf-agent: ${errorText(error)}`)
    return error instanceof Error && error.name === 'SettingsError' ? exitCodes.settings : exitCodes.failed
  }
}

/** True if the first thread of this process blocks these signals; the others have begun with its mask then. */
function areBlocked(signals: readonly number[]): boolean {
  const [, mask = '0'] = /^SigBlk:\s+(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return signals.every((number) => ((BigInt(`0x${mask}`) >> BigInt(number - 1)) & 1n) === 1n)
}
