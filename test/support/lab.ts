// The machine of a test file. In the project `native` it is a node made of namespaces, new for each file. In the project `lab` it is a
// shared virtual machine: each worker of vitest has one and runs its files in it one after the other. When a file is done, its processes
// in the guest are killed. A file undoes its own changes of the guest's kernel. If a file broke down, its leftovers are removed before
// the next file starts, and listed.
// With VF_TEST_AGENT=FILE each machine has an agent, so that all calls of plugins go through it; the counters of each file's calls are added to
// FILE (test/soak/both-ways.ts reads them).
import { existsSync } from 'node:fs'
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { afterAll, inject } from 'vitest'
import { bootLab, type Lab } from '../../hack/lab/lab.ts'
import { bootNode } from '../../hack/lab/node.ts'
import { cleanGuest } from './clean.ts'
import { agentStatus, answered, startAgent } from './warm-agent.ts'
import './lab-setup.ts'

const report = process.env.VF_TEST_AGENT

let shared: Promise<Lab> | undefined
let claimed: string | undefined

// biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures a hook wants
afterAll(async ({}, file) => {
  if (claimed !== undefined) file.meta.machine = (inject('labSockets') ?? []).indexOf(claimed) + 1
  const used = shared
  shared = undefined
  try {
    const machine = await used
    if (report !== undefined && machine !== undefined) await tellCalls(machine, report, file.name)
    await machine?.close()
  } finally {
    if (claimed !== undefined) await rm(claimOf(claimed), { force: true })
    claimed = undefined
  }
})

/** The machine of this file; the first call starts it, or attaches to it. */
export function lab(): Promise<Lab> {
  shared ??= report === undefined ? attach() : attachWarm()
  return shared
}

async function attachWarm(): Promise<Lab> {
  const machine = await attach()
  await startAgent(machine)
  return machine
}

/** Adds a line: the file, its answered calls, and those that were refused or sent away, by reason. */
async function tellCalls(machine: Lab, to: string, name: string): Promise<void> {
  const status = await agentStatus(machine)
  const { refusals, fallbacks } = status
  await appendFile(to, `${JSON.stringify({ name, answered: answered(status), refusals, fallbacks })}\n`)
  await machine.must(`kill ${status.pid}`)
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

// Claims the first machine that no living worker uses, by a file. VITEST_POOL_ID should tell workers apart, but had the same value
// in two workers at once.
async function claim(sockets: readonly string[]): Promise<string> {
  for (;;) {
    for (const socket of sockets) if (await take(claimOf(socket))) return socket
    await setTimeout(100)
  }
}

// A file beside the socket, because the broker listens on the socket itself.
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
