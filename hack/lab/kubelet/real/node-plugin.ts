// The device plugin beside a real kubelet in a node: with a fake sysfs of one card, or with the card of the virtual machine. In: a Lab. Out:
// processes, each registered by kubelet.
import { PROGRAM } from '../../bed/device-plugin.ts'
import { FakeRoot } from '../../fake-root/fake-root.ts'
import type { Lab, LabProcess } from '../../lab.ts'
import { SimulatorError } from '../api.ts'
import type { PodResources } from '../ask.ts'
import { lastLines } from './kubelet.ts'
import { until } from './until.ts'

/** The resource that pods ask for, and the variable with their devices. */
export const RESOURCE = 'example.org/vfs'
export const VARIABLE = 'PCIDEVICE_EXAMPLE_ORG_VFS'

/** VFs of the card. */
export const VFS = 2

const PREFIX = 'example.org'
const CONFIG = '/etc/vf-device-plugin.json'

/** A card, as the device plugin sees it. */
export interface PluginCard {
  readonly pf: string
  /** Addresses. */
  readonly vfs: readonly string[]
  /** Words for the device plugin. */
  readonly flags: readonly string[]
  /** Removes what the card is made of. */
  remove(): void
}

/** A card of files, with `count` VFs of the PF `pf`. The folder is in `parent`, which the node must see. */
export function cardOfFiles(parent: string, count: number, pf = 'ens1'): PluginCard {
  const root = new FakeRoot(parent)
  const address = '0000:3b:00.0'
  root.addPf({ address, driver: 'igb', netdevs: [{ name: pf }], numaNode: 0 })
  root.setVfs(address, count, (index) => ({ driver: 'igbvf', netdevs: [{ name: `${pf}v${index}` }] }))
  const flags = ['--sys-root', root.sys, '--dev-root', root.dev]
  return { pf, vfs: root.vfs(address), flags, remove: () => root.remove() }
}

/** Starts a device plugin for the card. It is registered when kubelet has its devices. `words`: more words for it. */
export async function startPlugin(
  lab: Lab,
  card: PluginCard,
  words: readonly string[] = [],
): Promise<LabProcess> {
  const pool = {
    resourceName: 'vfs',
    selectors: [{ pfNames: [card.pf] }],
    health: { badAfter: 0, goodAfter: 0 },
  }
  await lab.writeFile(CONFIG, JSON.stringify({ resourceList: [pool] }))
  const argv = [PROGRAM, '--config-file', CONFIG, '--resource-prefix', PREFIX, '--log-level', 'debug']
  return lab.spawn([...argv, ...card.flags, ...words], { timeoutMs: 0 })
}

/** Ends a device plugin as a node does. @throws SimulatorError unless it ends with code 0 */
export async function stopPlugin(plugin: LabProcess): Promise<void> {
  plugin.kill('SIGTERM')
  const { code, stderr } = await plugin.wait()
  if (code !== 0) throw new SimulatorError(`The device plugin ended with code ${code}: ${lastLines(stderr)}`)
}

/** Waits until kubelet has these devices of {@link RESOURCE}, and only these, to give; returns the milliseconds that it took. */
export async function untilKubeletHas(
  resources: () => Promise<PodResources>,
  vfs: readonly string[],
  log: () => string,
): Promise<number> {
  const begin = Date.now()
  let own: readonly string[] = []
  return until(
    async () => {
      const { allocatable } = await resources()
      own = allocatable.flatMap((line) => {
        const [name, device = ''] = line.split('=')
        return name === RESOURCE ? [device.replace(/@.*/, '')] : []
      })
      return String(own) === String([...vfs].sort()) ? Date.now() - begin : undefined
    },
    () =>
      `kubelet has ${vfs.join(', ')} of ${RESOURCE}: it has ${own.join(', ') || 'none'}\n${lastLines(log())}`,
  )
}
