/**
 * Nodes made of namespaces for the native tables. Each has a network, /run and /var/lib/cni of its own, the latter on the machine's
 * disk, as in use. The one called `warm` has an agent; on all others each call is a process of its own. In: a folder. Out: a
 * runner in each node.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Runner } from './runner.ts'

/** The programs of this build. */
export const DIST = join(import.meta.dirname, '../../dist')
const SOCKET = '/run/vf-flower/agent.sock'

/** One node. */
export interface Node {
  readonly name: string
  readonly runner: Runner
  /** The agent, if there is one. */
  readonly agent?: Agent
  end(): Promise<void>
}

/** A running agent. */
export interface Agent {
  readonly pid: number
}

/** Options of {@link makeNode}. */
export interface NodeOptions {
  readonly name: string
  /** A folder on the disk, which holds the compiled runner. */
  readonly folder: string
  readonly hasAgent?: boolean
  /** Called with the number of a process of the node before it does anything: to put it into a cgroup. */
  readonly place?: (pid: number) => void
}

/** True if this build has an agent. */
export function canBeWarm(): boolean {
  return existsSync(join(DIST, 'vf-agent'))
}

/** Makes a node. IPv6 is off in it: nothing waits for addresses. */
export async function makeNode({ name, folder, hasAgent = false, place }: NodeOptions): Promise<Node> {
  const state = join(folder, name)
  mkdirSync(state, { recursive: true })
  const script = `set -e
    mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/netns /run/lock /var/lib/cni
    mount --bind "$1" /var/lib/cni
    for when in all default; do echo 1 >/proc/sys/net/ipv6/conf/$when/disable_ipv6; done
    ip link set lo up
    exec "$2"`
  const runner = new Runner([
    'unshare',
    '--net',
    '--mount',
    'sh',
    '-c',
    script,
    'sh',
    state,
    join(folder, 'runner'),
  ])
  await runner.sh('true')
  const agent = hasAgent ? await startAgent(runner, folder, place) : undefined
  return {
    ...{ name, runner },
    ...(agent === undefined ? {} : { agent }),
    end: async () => {
      await agent?.end()
      await runner.end()
    },
  }
}

/** Starts the agent in the namespaces of the runner; resolves when it listens. */
async function startAgent(runner: Runner, folder: string, place: NodeOptions['place']) {
  const log = join(folder, 'agent.log')
  const enter = ['nsenter', '--target', String(runner.pid), '--net', '--mount']
  const waits = ['sh', '-c', 'read -r line; exec "$0"']
  const child = Bun.spawn([...enter, ...waits, join(DIST, 'vf-agent')], {
    ...{ stdin: 'pipe', stdout: 'ignore', stderr: Bun.file(log) },
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  })
  place?.(child.pid)
  child.stdin.write('\n')
  child.stdin.end()
  const listens = runner.sh(
    `i=0; while [ ! -S ${SOCKET} ]; do i=$((i + 1)); [ $i -lt 200 ] || exit 1; sleep 0.05; done`,
  )
  try {
    await Promise.race([
      listens,
      child.exited.then(async (code) => {
        throw new Error(`vf-agent ended with code ${code}: ${await Bun.file(log).text()}`)
      }),
    ])
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  return {
    pid: child.pid,
    end: async () => {
      child.kill('SIGTERM')
      await child.exited
    },
  }
}
