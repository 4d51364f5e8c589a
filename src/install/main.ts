/** The command line of `vf-flower`: installs the program that is running, or takes that back. */
import { errorText } from '../lib/error-text.ts'
import { version } from '../lib/version.ts'
import { readCommandLine } from './command-line.ts'
import { InstallError } from './errors.ts'
import { usage } from './usage.ts'

/** Runs the command line; returns the exit code. */
export async function runInstaller(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args)
  switch (line.kind) {
    case 'help':
      process.stdout.write(usage)
      return 0
    case 'version':
      console.log(version)
      return 0
    case 'refused':
      console.error(`vf-flower: ${line.problem}\n\n${usage.trimEnd()}`)
      return 2
    case 'run':
      try {
        // Hashes of large files: compiling pays here. hack/build.ts delays compiling, for calls that end at once.
        Bun.unsafe.setJITPolicy(1)
        const { whileLocked } = await import('./lock.ts')
        const { install, uninstall } = await import('./commands.ts')
        const run = line.wishes.command === 'install' ? install : uninstall
        await whileLocked(line.wishes.root, () => run(line.wishes))
        return 0
      } catch (error) {
        console.error(`vf-flower: ${error instanceof InstallError ? error.message : errorText(error)}`)
        return 1
      }
  }
}
