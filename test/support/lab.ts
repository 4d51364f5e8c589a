// The machine of a test file. In the project `native` that is a node made of namespaces, new for each file. In the project `lab` it
// is a shared virtual machine: each worker of vitest has one, where its files run one after the other. Processes that a file leaves running in the guest are killed when the file is done; what it changed in
// the guest's kernel is its own to undo. What a file that broke down has left is taken away before the next one starts, and
// said.
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { afterAll, inject } from 'vitest'
import { bootLab, type Lab } from '../../hack/lab/lab.ts'
import { bootNode } from '../../hack/lab/node.ts'
import { cleanGuest } from './clean.ts'
import './lab-setup.ts'

let shared: Promise<Lab> | undefined
let claimed: string | undefined

// biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures a hook wants
afterAll(async ({}, file) => {
  if (claimed !== undefined) file.meta.machine = (inject('labSockets') ?? []).indexOf(claimed) + 1
  const used = shared
  shared = undefined
  try {
    await (await used)?.close()
  } finally {
    if (claimed !== undefined) await rm(claimOf(claimed), { force: true })
    claimed = undefined
  }
})

/** The machine that this file runs on; started, or attached to, at the first call. */
export function lab(): Promise<Lab> {
  shared ??= attach()
  return shared
}

async function attach(): Promise<Lab> {
  const sockets = inject('labSockets')
  if (sockets === undefined) return bootNode()
  claimed = await claim(sockets)
  const machine = await bootLab({ attach: claimed })
  const left = await cleanGuest(machine)
  if (left.length > 0) console.warn(`left by a file before this one: ${left.join(', ')}`)
  return machine
}

// The first machine that no living worker uses. A file says who does: VITEST_POOL_ID, which should tell workers apart, had
// the same value in two at once.
async function claim(sockets: readonly string[]): Promise<string> {
  for (;;) {
    for (const socket of sockets) if (await take(claimOf(socket))) return socket
    await setTimeout(100)
  }
}

// Not the socket's own folder entry: the broker listens there.
function claimOf(socket: string): string {
  return `${socket}.claim`
}

async function take(path: string): Promise<boolean> {
  try {
    await writeFile(path, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const owner = await readFile(path, 'utf8').catch(() => '')
  if (owner !== '' && !existsSync(`/proc/${owner}`)) await rm(path, { force: true })
  return false
}
