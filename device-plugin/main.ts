/** The command line of `vf-device-plugin`. Each command loads its own modules alone. */
import { version } from '../src/lib/version.ts'
import { readCommandLine } from './config/command-line.ts'
import { usage } from './usage.ts'

/** Runs the command line; returns the exit code. */
export async function runDevicePlugin(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args)
  switch (line.command) {
    case 'help':
      process.stdout.write(usage())
      return 0
    case 'version':
      console.log(version)
      return 0
    case 'refused':
      console.error(`vf-device-plugin: ${line.problem}; --help shows all flags`)
      return 2
    case 'check': {
      const { checkFile } = await import('./config/check-file.ts')
      const { ok, text } = checkFile(line.file, line.settings)
      process.stdout.write(text)
      return ok ? 0 : 1
    }
    case 'schema': {
      const { pluginConfigSchema } = await import('./config/keys/schema.ts')
      console.log(JSON.stringify(pluginConfigSchema(), undefined, 2))
      return 0
    }
    case 'explain':
      for (const warning of line.warnings) console.error(`vf-device-plugin: ${warning}`)
      return await (await import('./explain-node.ts')).explainNode(line.settings, line.json, line.devices)
    case 'serve': {
      const { serve } = await import('./serve.ts')
      return await serve(line.settings, line.warnings)
    }
  }
}
