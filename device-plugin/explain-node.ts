/** `vf-device-plugin explain`: one look at this node with the config of the file, without serving anybody. */
import { linuxMachine } from '../src/kernel/linux-machine.ts'
import { attachmentsByDevice } from './allocations/attachments.ts'
import type { Holding } from './allocations/holding.ts'
import { ConfigError } from './config/config-error.ts'
import { readConfigFile } from './config/config-file.ts'
import { readPluginConfig } from './config/read-config.ts'
import type { Settings } from './config/settings.ts'
import { explainJson, explainTable } from './explain/text.ts'
import { nextHealth } from './health/next.ts'
import { KnownUses } from './inventory/known-uses.ts'
import { scan } from './inventory/scan.ts'
import { checkpoint } from './kubelet/checkpoint.ts'
import { podResources } from './kubelet/podresources.ts'
import { nodeSources } from './node-sources.ts'
import { assignPools } from './pools/assign.ts'

/** Explains the devices of this node to standard output. `only`: ids; none: all. @returns the exit code */
export async function explainNode(
  settings: Settings,
  json: boolean,
  only: readonly string[],
): Promise<number> {
  const { configFile, resourcePrefix, roots } = settings
  const read = readConfigFile(configFile)
  if ('problem' in read) return refuse(read.problem)
  try {
    const config = readPluginConfig(read.text, { resourcePrefix })
    const snapshot = new KnownUses().complete(scan(nodeSources(settings), 1))
    const assignment = assignPools(config, snapshot)
    const held = await holdings(roots.kubelet)
    const attachments = [...attachmentsByDevice(roots.state, linuxMachine)().values()]
    const { view } = nextHealth({ assignment, held, attachments, now: performance.now() })
    const missing = only.filter((id) => !assignment.snapshot.devices.some((one) => one.id === id))
    if (missing.length > 0)
      return refuse(
        `Cannot explain "${missing[0]}": it is no network device, accelerator or subfunction of this node`,
      )
    console.log(json ? explainJson(assignment, view, only) : explainTable(assignment, view, only))
    return 0
  } catch (error) {
    if (error instanceof ConfigError) return refuse(`${configFile}: ${error.message}`)
    throw error
  }
}

function refuse(problem: string): number {
  console.error(`vf-device-plugin: ${problem}`)
  return 1
}

/** Devices in use, as the first source that is at hand tells. */
async function holdings(kubelet: string): Promise<ReadonlyMap<string, Holding>> {
  for (const source of [
    podResources(`${kubelet}/pod-resources/kubelet.sock`),
    checkpoint(`${kubelet}/device-plugins`),
  ])
    try {
      return new Map((await source.read()).map((one) => [one.device, one]))
    } catch {
      // Without any source the table says nothing about pods.
    }
  return new Map()
}
