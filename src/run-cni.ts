/** Connects a CNI plugin, the protocol and this process. */
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs'
import { type Plugin, type Process, runPlugin } from './cni/dispatch.ts'
import { defaultPolicy, type PolicySource } from './cni/policy.ts'
import { isOwnNetns } from './sys/own-netns.ts'
import { readStdin, writeAll } from './sys/stdio.ts'

/**
 * Names that this program answers to as a CNI plugin: `sriov` and `host-device` are vf-attach, `portmap` and `bandwidth` are
 * vf-offload. Each takes the configs of the known plugin of its name.
 */
export type PluginName = 'vf-attach' | 'sriov' | 'host-device' | 'vf-offload' | 'portmap' | 'bandwidth'

/** Serves one call as the plugin `name`; returns the exit code. */
export async function runCni(name: PluginName): Promise<number> {
  const isVersion = process.env.CNI_COMMAND === 'VERSION'
  const plugin = isVersion ? never : await load(name)
  return runPlugin(plugin, {
    ...surroundings,
    plugin: name,
    logOverride: `${settingsFolder}/log.json`,
    ...(isVersion ? {} : { policy: await loadPolicy() }),
  })
}

/** The folder of the operator's settings, which network configs can't change. */
const settingsFolder = '/etc/vf-flower'

/** Finds the policy. Most calls pay only for the check that there is no file. */
async function loadPolicy(): Promise<PolicySource> {
  const source = { file: `${settingsFolder}/policy.json`, isFirst: isFirstSinceBoot }
  if (isAbsent(source.file)) return { ...source, read: () => defaultPolicy }
  const { readPolicy } = await import('./cni/policy-file.ts')
  return { ...source, read: () => readPolicy(source.file) }
}

/** True when there is surely no file. A file that can't be checked counts as there: reading it reports the reason. */
function isAbsent(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) === undefined
  } catch {
    return false
  }
}

/** Leaves a mark in a folder that a boot empties. If that fails, every caller counts as the first. */
function isFirstSinceBoot(): boolean {
  try {
    mkdirSync('/run/vf-flower', { recursive: true, mode: 0o700 })
    writeFileSync('/run/vf-flower/no-policy', '', { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'EEXIST')
  }
}

// `import` here and not at the top, because VERSION needs neither the kernel nor libc. Nothing is awaited once work has begun.
async function load(name: PluginName): Promise<() => Plugin> {
  try {
    const { linuxMachine } = await import('./kernel/linux-machine.ts')
    if (name === 'vf-offload' || name === 'portmap' || name === 'bandwidth') {
      if (process.env.CNI_COMMAND === 'DEL') {
        const { offloadDel } = await import('./offload/del.ts')
        return () => ({ ...nothing, name, del: offloadDel(linuxMachine, name) })
      }
      const { offloadPlugin } = await import('./offload/plugin.ts')
      return () => offloadPlugin(linuxMachine, name)
    }
    const { attachPlugin } = await import('./attach/plugin.ts')
    return () => attachPlugin(linuxMachine, name)
  } catch (error) {
    // The runtime must get an error object for a module that fails to load, too.
    return () => {
      throw error
    }
  }
}

function never(): never {
  throw new Error('VERSION needs no plugin, DEL no other verb')
}

/** A plugin without verbs. */
const nothing = { name: '', about: '', add: never, del: never, check: never, gc: never, status: never }

/** Longest wait for a full stderr, in milliseconds: perhaps nobody reads it. */
const stderrMilliseconds = 100

const surroundings: Process = {
  env: process.env,
  sameNetns: isOwnNetns,
  readStdin,
  writeStdout: (text) => writeAll(1, text),
  writeStderr: (text) => writeAll(2, text, stderrMilliseconds),
}
