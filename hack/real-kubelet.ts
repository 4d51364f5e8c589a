/**
 * `sh hack/real-kubelet.sh KUBELET [KUBE-APISERVER]`: a real kubelet runs a pod with a device of our device plugin and the network of our
 * plugins, and prints each step. Without KUBE-APISERVER kubelet is standalone, with static pods. With --controller-manager and --scheduler it
 * is a cluster of one node, and the manifests of device-plugin/deploy are applied, upgraded and removed. The programs are the user's; the
 * container runtime, etcd and kubectl are the distribution's, unpacked. Exits 2 for a command line that does not say what to run, 1 if a step
 * fails.
 */
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { say, step } from './demo-print.ts'
import { DRIVER } from './lab/driver/client.ts'
import { machineFeatures } from './lab/features.ts'
import { cardOfFiles, type PluginCard, VFS } from './lab/kubelet/real/node-plugin.ts'
import { type Programs, ProgramsError, programsOf } from './lab/kubelet/real/programs.ts'
import { rollout } from './lab/kubelet/real/rollout.ts'
import { openStage } from './lab/kubelet/real/stage.ts'
import { allSteps } from './lab/kubelet/real/thick-run.ts'
import { openWhole, PF } from './lab/kubelet/real/whole.ts'
import { bootLab, type Lab } from './lab/lab.ts'
import { bootNode } from './lab/node.ts'

/** Somebody ends the run. */
class InterruptedError extends Error {
  override readonly name = 'InterruptedError'
}

async function run(programs: Programs): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new ProgramsError('Cannot make namespaces without root: run it as root.')
  if (!existsSync(DRIVER))
    throw new ProgramsError(`Cannot find ${DRIVER}: run "npm run build -- --with-tests" first.`)
  if (!programs.isLab && !machineFeatures().has('namespaces'))
    throw new ProgramsError('Cannot make a node of namespaces on this machine: use --lab.')
  // An interrupted run ends all that it has started, as any other does.
  const stopped = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => reject(new InterruptedError(`${signal} came`)))
  })
  stopped.catch(() => undefined)
  step(programs.isLab ? 'Booting the virtual machine' : 'Making a node of namespaces')
  const isWhole = programs.controllerManager !== undefined
  const files = programs.isLab ? undefined : cardOfFiles(tmpdir(), VFS, isWhole ? PF : undefined)
  const lab = programs.isLab ? await bootLab() : await bootNode()
  try {
    await (isWhole ? manifests : onePod)(lab, programs, files, stopped)
  } finally {
    await lab.close()
    files?.remove()
  }
}

type Run = (
  lab: Lab,
  programs: Programs,
  files: PluginCard | undefined,
  stopped: Promise<never>,
) => Promise<void>

const onePod: Run = async (lab, programs, files, stopped) => {
  step('Starting the container runtime and kubelet')
  const stage = await Promise.race([openStage(lab, programs, files), stopped])
  try {
    step('A pod from end to end')
    await Promise.race([allSteps(stage, programs, say), stopped])
  } finally {
    await stage.end()
  }
}

const manifests: Run = async (lab, programs, files, stopped) => {
  step('Starting a cluster of one node')
  const whole = await Promise.race([openWhole(lab, programs, files), stopped])
  try {
    step('The manifests, from the install to the removal')
    await Promise.race([rollout(whole, say), stopped])
  } finally {
    await whole.end()
  }
}

try {
  await run(programsOf(process.argv.slice(2)))
  console.log('\nThe run succeeded.')
} catch (error) {
  if (error instanceof ProgramsError) console.error(error.message)
  else console.error(`\nThe run failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = error instanceof ProgramsError ? 2 : 1
}
