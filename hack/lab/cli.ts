// npm run lab -- [--cpu MODEL] [--iommu] [--wires N] [--] [COMMAND...]
// Boots the virtual machine and runs COMMAND in it as root, in the checkout; without COMMAND, a shell on this terminal.
// In: arguments, standard input. Out: the output and the exit code of the command.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { kernel } from './kernel.ts'
import { bootLab } from './lab.ts'
import { type Hardware, startQemu, whenEnded } from './qemu.ts'

const USAGE = `usage: npm run lab -- [--cpu MODEL] [--iommu] [--wires N] [--] [COMMAND...]
One COMMAND word is a line for sh, several are a program and its arguments. Without any: a shell.`

try {
  const { hardware, command } = parse(process.argv.slice(2))
  process.exitCode = command.length === 0 ? await shell(hardware) : await run(hardware, command)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}

async function run(hardware: Hardware, command: readonly string[]): Promise<number> {
  const lab = await bootLab(hardware)
  const argv = command.length === 1 ? ['sh', '-c', ...command] : command
  const child = await lab.spawn(argv, {
    timeoutMs: 0,
    onStdout: (data) => process.stdout.write(data),
    onStderr: (data) => process.stderr.write(data),
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  if (process.stdin.isTTY) child.end()
  else process.stdin.on('data', (data) => child.write(data)).on('end', () => child.end())
  const { code } = await child.wait()
  process.stdin.pause()
  await lab.close()
  return code
}

async function shell(hardware: Hardware): Promise<number> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new Error(`Cannot open a shell without a terminal: give a command\n${USAGE}`)
  }
  const folder = await mkdtemp(join(tmpdir(), 'vf-lab-'))
  await writeFile(join(folder, 'pid'), String(process.pid))
  const qemu = await startQemu({
    ...hardware,
    kernel: await kernel(),
    run: folder,
    mode: 'shell',
    agentSocket: '',
  })
  // The shell in the guest handles Control-C.
  process.on('SIGINT', () => undefined)
  const code = await new Promise<number>((resolve) => {
    whenEnded(qemu, (message, status) => {
      if (status !== 0) console.error(message)
      resolve(status)
    })
  })
  await rm(folder, { recursive: true, force: true })
  return code
}

function parse(args: readonly string[]): { hardware: Hardware; command: readonly string[] } {
  let hardware: Hardware = {}
  let at = 0
  for (; at < args.length; at++) {
    const option = args[at]
    const value = args[at + 1]
    if (option === '--') {
      at++
      break
    }
    if (option === undefined || !option.startsWith('-')) break
    if (option === '--help') throw new Error(USAGE)
    if (option === '--iommu') hardware = { ...hardware, iommu: true }
    else if (option === '--cpu' && value !== undefined) hardware = { ...hardware, cpu: args[++at] ?? value }
    else if (option === '--wires' && /^[0-4]$/.test(value ?? ''))
      hardware = { ...hardware, wires: Number(args[++at]) }
    else throw new Error(`Cannot use '${option}'\n${USAGE}`)
  }
  return { hardware, command: args.slice(at) }
}
