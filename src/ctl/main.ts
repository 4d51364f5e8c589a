import { version } from '../lib/version.ts'

const usage = `vfctl ${version}: command line of vf-flower

Usage:
  vfctl show [--json] [--state-dir DIR] [CONTAINER [IFNAME]]
                     attachments of vf-attach and vf-offload: devices, rules and where they
                     run, what they have counted, in hardware and in software. CONTAINER is an
                     ID or the beginning of one, or a pod: NAME or NAMESPACE/NAME. DIR is where
                     the network config says that state is kept (stateDir)
  vfctl node [--json]
                     this node: its cards, their mode, whether filters of pods run in them and what
                     keeps them out, what the kernel or nft lacks, and the agent. It tries what the
                     kernel has, which may load modules of it
  vfctl agent [--json]
                     what vf-agent does: workers, calls by verb with their times, and why calls
                     ran without it
  vfctl schema [NAME]
                     JSON Schema of a network config, for editors: vf-attach, vf-offload or
                     policy. Without NAME these names
  vfctl --help       this text
  vfctl --version    the version

Exit code: 0, 1 when something could not be read, 2 for arguments that are not understood.
`

/** Arguments that are not understood. */
class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The command line of `vfctl`; returns the exit code. */
export async function runVfctl(args: readonly string[]): Promise<number> {
  const [first, ...rest] = args
  try {
    if (first === '--version') console.log(version)
    else if (first === undefined || first === '--help' || first === '-h') console.log(usage.trimEnd())
    else if (first === 'show') return await show(rest)
    else if (first === 'node') return await node(rest)
    else if (first === 'agent') await agent(rest)
    else if (first === 'schema') await schema(rest)
    else throw new UsageError(`unknown argument "${first}"`)
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`vfctl: ${error.message}\n\n${usage.trimEnd()}`)
      return 2
    }
    console.error(`vfctl: ${error instanceof Error ? error.message : String(error)}`)
    return 1
  }
}

/** Refuses every argument of a verb but --json. @throws UsageError */
function requireJsonAlone(verb: string, args: readonly string[]): void {
  const unknown = args.find((word) => word !== '--json')
  if (unknown !== undefined) throw new UsageError(`unknown argument "${unknown}" of ${verb}`)
}

async function node(args: readonly string[]): Promise<number> {
  requireJsonAlone('node', args)
  const { readNode } = await import('./node.ts')
  const { nodeLines } = await import('./node-text.ts')
  const { linuxMachine } = await import('../kernel/linux-machine.ts')
  const look = await readNode(linuxMachine)
  console.log(args.length === 0 ? nodeLines(look).join('\n') : JSON.stringify(look, undefined, 2))
  return look.unanswered.length > 0 ? 1 : 0
}

async function agent(args: readonly string[]): Promise<void> {
  requireJsonAlone('agent', args)
  const { readAgent } = await import('./agent.ts')
  const { agentText } = await import('./agent-text.ts')
  const status = await readAgent()
  process.stdout.write(args.length === 0 ? agentText(status) : `${JSON.stringify(status, undefined, 2)}\n`)
}

async function schema([name, ...more]: readonly string[]): Promise<void> {
  if (more.length > 0) throw new UsageError(`too many arguments: "${more.join(' ')}"`)
  const { schemas, schemaText } = await import('./schema.ts')
  const names = Object.keys(schemas)
  const text = name === undefined ? `${names.join('\n')}\n` : schemaText(name)
  if (text === undefined) throw new UsageError(`there is no schema "${name}", there are ${names.join(', ')}`)
  process.stdout.write(text)
}

async function show(args: readonly string[]): Promise<number> {
  const names: string[] = []
  let json = false
  let folder: string | undefined
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? ''
    if (word === '--json') json = true
    else if (word === '--state-dir') {
      folder = args[++at]
      if (folder?.startsWith('/') !== true) throw new UsageError('--state-dir needs an absolute path')
    } else if (word.startsWith('-')) throw new UsageError(`unknown option "${word}" of show`)
    else names.push(word)
  }
  const [container, ifname, ...more] = names
  if (more.length > 0) throw new UsageError(`too many arguments: "${more.join(' ')}"`)
  const { readShowing } = await import('./show.ts')
  const { showText } = await import('./show-text.ts')
  const { linuxMachine } = await import('../kernel/linux-machine.ts')
  const { defaultStateDir } = await import('../records/store.ts')
  const { keepHostSockets } = await import('../kernel/linux/kept/sockets.ts')
  // A node has a thousand attachments: their records are worth compiling for, and one socket serves all.
  Bun.unsafe.setJITPolicy(1)
  keepHostSockets()
  const showing = readShowing(linuxMachine, {
    ...{ stateDir: folder ?? defaultStateDir, container, ifname },
    withReports: json,
  })
  process.stdout.write(json ? `${toJson(showing.attachments)}\n` : showText(showing, names))
  for (const line of showing.errors) console.error(`vfctl: ${line}`)
  return showing.errors.length > 0 ? 1 : 0
}

/** Counters are 64 bits wide: numbers where they are exact, text where they are not. */
function toJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_, inner: unknown) =>
      typeof inner === 'bigint'
        ? Number.isSafeInteger(Number(inner))
          ? Number(inner)
          : String(inner)
        : inner,
    2,
  )
}
