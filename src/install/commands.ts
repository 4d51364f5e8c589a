/** The two commands, on the real node. */

import { readNode } from '../ctl/node.ts'
import { nodeLines } from '../ctl/node-text.ts'
import { linuxMachine } from '../kernel/linux-machine.ts'
import { buildId } from '../lib/build-id.ts'
import { version } from '../lib/version.ts'
import { isThere } from '../sys/files.ts'
import { attachmentsIn } from './attachments/attachments.ts'
import { bringHome } from './attachments/bring-home.ts'
import { cniCache } from './attachments/cached-config.ts'
import { clearState } from './attachments/clear-state.ts'
import { requireKnownFormats, requireNone, requireNoneAlive, stateDirsOf } from './attachments/rules.ts'
import type { Wishes } from './command-line.ts'
import { InstallError, requireRoot } from './errors.ts'
import { applyInstall, applyRemoval } from './files/apply.ts'
import { Contents } from './files/content.ts'
import { placesOf } from './files/layout.ts'
import { manifestFile, noManifest, readManifest } from './files/manifest.ts'
import { planInstall } from './files/plan.ts'
import { planRemoval } from './files/removal.ts'
import { findSources } from './files/sources.ts'
import { noexecNotes, requireWritable } from './files/writable.ts'
import { Labels } from './labels.ts'
import { restoreconOf, runProgram, systemctlOf } from './run.ts'
import { findFolders } from './runtimes/find.ts'
import { forgetUnit, startAgent, stopAgent } from './services.ts'
import { uninterrupted } from './signals.ts'
import { agentLeft, installLines, networkNotes, removalLines, runningAgent } from './tell.ts'
import { unitText } from './unit.ts'
import { layoutFor } from './wanted-layout.ts'

const say = (line: string) => console.log(line)
const told = (line: string) => say(`  ${line}`)

/** `vf-flower install`. @throws InstallError, and then nothing has changed */
export async function install(wishes: Wishes): Promise<void> {
  const { root, dryRun, service } = wishes
  if (root === '' && !dryRun) requireRoot('install', process.getuid?.() ?? 0)
  const contents = new Contents()
  const former = readManifest(root)
  const before = placesOf(former?.libexecDir)
  const executable = { build: buildId, version }
  const sources = findSources('/proc/self/exe', executable, contents, root + before.libexec)
  const found = findFolders(root)
  const stateDirs = stateDirsOf(root, found.confDirs)
  requireKnownFormats(attachmentsIn(linuxMachine, stateDirs))
  const systemctl = root === '' && service ? await systemctlOf() : undefined
  const { layout, folders, network } = layoutFor(wishes, {
    ...{ sources, unit: unitText, isEnabled: systemctl !== undefined, found, former },
  })
  const plan = planInstall(root, layout, former ?? noManifest, contents)
  for (const line of installLines(root, plan, sources, folders, dryRun)) say(line)
  requireWritable(root, plan.steps, placesOf(layout.libexecDir))
  const notes = [
    ...found.notes,
    ...found.problems,
    ...plan.notes,
    ...networkNotes(root, network, found.confDirs, layout),
  ]
  if (!dryRun) {
    const isFirst = former?.isEnabled !== true
    const { names } = placesOf(layout.libexecDir)
    const isSame = plan.steps.every(({ stage, does }) => stage === 'plugins' || does === 'keep')
    // Without systemd nobody notes that it was started.
    const isRunning = root === '' && systemctl === undefined && (await runningAgent())?.build === buildId
    const services = () => {
      // An agent of this build runs already, or was switched off.
      if (root !== '' || !service || (isSame && (!isFirst || isRunning))) return {}
      const refusals = startAgent(systemctl, { isFirst, names }, told)
      notes.push(...refusals)
      const isRefused = isFirst && refusals.length > 0
      return isFirst
        ? { first: () => stopAgent(systemctl, told), last: () => forgetUnit(systemctl, told), isRefused }
        : { last: () => startAgent(systemctl, { isFirst: false, names: before.names }, told) }
    }
    const restorecon = root === '' ? await restoreconOf() : undefined
    const labels = restorecon && new Labels(restorecon)
    const label = labels && ((paths: readonly string[]) => labels.give(paths))
    uninterrupted(() => applyInstall(root, plan, { services, label }))
    notes.push(...(labels?.notes() ?? []), ...noexecNotes(root, plan.steps))
    say(`installed ${version} (build ${buildId})`)
  }
  if (sources.shim === undefined)
    notes.push(
      'vf-attach and vf-offload are the program itself and not the small one in front: this build was made without a C compiler. They never ask vf-agent, and each call takes longer',
    )
  for (const note of notes) say(`note: ${note}`)
  // Trying out what the kernel has loads modules, and they stay.
  if (root !== '' || dryRun) return
  for (const line of nodeLines(await readNode(linuxMachine))) say(line)
}

/** `vf-flower uninstall`. @throws InstallError, and then nothing was removed */
export async function uninstall({ root, dryRun, force }: Wishes): Promise<void> {
  if (root === '' && !dryRun) requireRoot('uninstall', process.getuid?.() ?? 0)
  const manifest = readManifest(root)
  if (manifest === undefined) {
    say(`nothing is installed: there is no "${root}${manifestFile}"`)
    return
  }
  const plan = planRemoval(root, manifest, new Contents())
  const stateDirs = stateDirsOf(root, findFolders(root).confDirs)
  const attachments = attachmentsIn(linuxMachine, stateDirs)
  if (root !== '') requireNone(root, attachments)
  if (!force) requireNoneAlive(attachments)
  for (const line of removalLines(root, plan, attachments, dryRun)) say(line)
  for (const note of plan.notes) say(`note: ${note}`)
  if (dryRun) return
  const path = manifest.binDirs.map((one) => root + one)
  const folder = path.find((one) => isThere(`${one}/vf-attach`))
  if (attachments.length > 0) {
    if (folder === undefined)
      throw new InstallError('Cannot take attachments back: no CNI folder has vf-attach any more')
    const run = await runProgram()
    const programs = { folder, path: path.join(':'), cache: root + cniCache }
    for (const line of bringHome(attachments, programs, run)) say(`  ${line}`)
  }
  // An install with --no-service has no unit.
  const hasUnit = manifest.files.some(({ purpose }) => purpose === 'unit')
  const systemctl = root === '' && hasUnit ? await systemctlOf() : undefined
  const notes = uninterrupted(() => {
    const before = [...stopAgent(systemctl, told), ...clearState(stateDirs)]
    try {
      applyRemoval(root, plan)
    } catch (error) {
      if (hasUnit) startAgent(systemctl, { isFirst: true, ...placesOf(manifest.libexecDir) }, told)
      throw error
    }
    return [...before, ...forgetUnit(systemctl, told)]
  })
  for (const note of notes) say(`note: ${note}`)
  const left = root === '' ? await agentLeft() : undefined
  if (left !== undefined) say(`note: ${left}`)
  say('uninstalled')
}
