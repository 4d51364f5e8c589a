// Takes a snapshot of the machine itself before and after the files of the project `native`. All their work happens in nodes of their
// own; a difference fails the run.
import { execa } from 'execa'
import { diffSnapshot, snapshot } from '../../hack/lab/bed/snapshot.ts'
import type { ExecOptions, ExecResult } from '../../hack/lab/lab.ts'

/** Folders that nodes could reach if they were not closed; the rest of /run belongs to programs of the machine. */
const FOLDERS = ['/var/lib/cni', '/etc/cni', '/etc/vf-flower', '/opt/cni', '/run/netns', '/run/vf-flower']

export default async function setup(): Promise<() => Promise<void>> {
  const machine = { exec }
  const look = () => snapshot(machine, { folders: FOLDERS, state: false })
  const before = await look()
  return async () => {
    const lines = diffSnapshot(before, await look())
    if (lines.length > 0) throw new Error(['Tests have changed the machine itself:', ...lines].join('\n'))
  }
}

async function exec(argv: readonly string[], { env = {} }: ExecOptions = {}): Promise<ExecResult> {
  const [file = '', ...args] = argv
  const { exitCode = 1, stdout, stderr } = await execa(file, args, { reject: false, stdin: 'ignore', env })
  return { code: exitCode, signal: null, stdout, stderr, stdoutBytes: new TextEncoder().encode(stdout) }
}
