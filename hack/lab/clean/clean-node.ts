// A node that is a whole system: a clean Debian with its own systemd as process 1, in namespaces on the machine's own kernel. In: nothing.
// Out: a node that runs scripts, and its container runtime. Nothing outside of its namespaces changes but control groups of its own, which
// go with it. Needs root and the feature `namespaces`.
import { spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { CriError, LONGEST_CALL } from '../containerd/cri.ts'
import { callCri } from '../containerd/cri-call.ts'
import type { PodMaker } from '../containerd/pods.ts'
import { ended, newRunFolder } from '../lab.ts'
import { CHECKOUT, consolePath } from '../qemu.ts'
import { until } from '../until.ts'
import { cleanRoot } from './root.ts'

const GROUPS = join(CHECKOUT, 'hack/lab/containerd/groups.sh')
/** The beginning of the names of the control groups. */
const BEGIN = 'vf-clean-'

/** The end of a script. */
export interface ScriptEnd {
  readonly code: number | undefined
  /** Standard output and standard error, as they came. */
  readonly text: string
}

/** A node that runs. */
export interface CleanNode {
  /** The machine's number of the node's process 1. */
  readonly init: number
  /** Runs a script of sh in all of the node's namespaces, as root with the environment of a login. `input` is its standard input. */
  run(script: string, input?: Uint8Array): Promise<ScriptEnd>
  /** The same for a script that must succeed; returns its output without white space at its end. */
  must(script: string, input?: Uint8Array): Promise<string>
  /** Unpacks into `folder` what `producer`, a script of the machine in the checkout, writes as an archive of tar. */
  fill(folder: string, producer: string): Promise<void>
  /** The node's containerd. */
  readonly pods: PodMaker
  /** Ends the node with all that runs in it. */
  end(): Promise<void>
}

/** Starts a node, and waits until systemd has started what it starts by itself. */
export async function startCleanNode(): Promise<CleanNode> {
  const root = cleanRoot()
  await execa('sh', [GROUPS, 'sweep', `${BEGIN}*`])
  const run = await newRunFolder()
  const name = `${BEGIN}${process.pid}`
  const log = openSync(consolePath(run), 'a')
  const words = ['--pdeathsig', 'KILL', 'sh', join(import.meta.dirname, 'start.sh'), name, root, run]
  const child = spawn('setpriv', words, { stdio: ['ignore', log, log] })
  const over = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      readFile(consolePath(run), 'utf8').then(
        (text) => reject(new Error(`The node ended with ${signal ?? `code ${code}`}: ${text}`)),
        reject,
      )
    })
  })
  over.catch(() => undefined)
  const end = async () => {
    await ended(child)
    let left = ''
    await until(
      async () => {
        const { exitCode, all } = await execa('sh', [GROUPS, 'remove', name], { all: true, reject: false })
        left = all ?? ''
        return exitCode === 0
      },
      () => `the control groups of the node are gone: ${left}`,
      slowly,
    )
    await rm(run, { recursive: true, force: true })
  }
  try {
    return await Promise.race([over, booted(run, end)])
  } catch (error) {
    await end()
    throw error
  }
}

async function booted(run: string, end: () => Promise<void>): Promise<CleanNode> {
  let init = 0
  await until(
    async () => {
      init = Number(await readFile(join(run, 'init'), 'utf8').catch(() => '0'))
      return init > 0
    },
    'the node has a process 1',
    slowly,
  )
  const runScript: CleanNode['run'] = async (script, input) => {
    const argv = [`--target=${init}`, '--all', ...environment, 'sh', '-c', script]
    const { exitCode, all = '' } = await execa('nsenter', argv, {
      ...({ all: true, reject: false, cwd: '/' } as const),
      ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
    })
    return { code: exitCode, text: all }
  }
  const must: CleanNode['must'] = async (script, input) => {
    const { code, text } = await runScript(script, input)
    if (code !== 0) throw new Error(`Code ${code} in the clean node: ${text}\nscript: ${script}`)
    return text.trimEnd()
  }
  const fill: CleanNode['fill'] = async (folder, producer) => {
    const unpack = ['nsenter', `--target=${init}`, '--all', ...environment, 'tar', '-C', folder, '-xf', '-']
    await must(`mkdir -p ${folder}`)
    await execa('sh', ['-c', `{ ${producer}; } | "$@"`, 'sh', ...unpack], { cwd: CHECKOUT })
  }
  // Before, systemd has folders of the machine for its own, or no bus yet.
  let state = ''
  await until(
    async () => {
      const comm = await readFile(`/proc/${init}/comm`, 'utf8').catch(() => '')
      if (comm !== 'systemd\n') return false
      state = (await runScript('systemctl is-system-running')).text
      return /^(running|degraded)/.test(state)
    },
    () => `systemd has started what it starts by itself: ${state}`,
    slowly,
  )
  // If root may not lower the score by which the kernel kills for memory, runc can't do so either, and makes no pod as Debian has set it up.
  if (!(await canLowerScores()))
    await must(
      `sed -i '/"io.containerd.grpc.v1.cri"\\]$/a restrict_oom_score_adj = true' /etc/containerd/config.toml
      systemctl restart containerd`,
    )
  const socket = `/proc/${init}/root/run/containerd/containerd.sock`
  const call: PodMaker['cri']['call'] = async (name, request = {}) => {
    const outcome = await callCri(socket, name, request, LONGEST_CALL)
    if ('refused' in outcome) throw new CriError(outcome.refused)
    return outcome.answer as Record<string, unknown>
  }
  const pods: PodMaker = {
    ...{ cri: { call, end: async () => undefined }, cgroupParent: '' },
    sh: (script) => must(`export CONTAINERD_NAMESPACE=k8s.io\n${script}`),
  }
  return { init, run: runScript, must, fill, pods, end }
}

/** A whole system boots beside other work; each look runs a program. */
const slowly = { patience: 600_000, pause: 50 }

/** Of the machine's environment nothing gets into the node. */
const environment = [
  'env',
  '-i',
  'HOME=/root',
  'LANG=C.UTF-8',
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin',
]

/** True for a machine whose root has CAP_SYS_RESOURCE, number 24 of linux/capability.h. */
async function canLowerScores(): Promise<boolean> {
  const bounds = /^CapBnd:\s*(\w+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0'
  return ((BigInt(`0x${bounds}`) >> 24n) & 1n) === 1n
}
