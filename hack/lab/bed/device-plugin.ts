// The compiled device plugin in a node of the lab, with a kubelet simulator beside it. In: a Lab and a config. Out: the simulator, the
// plugin's log, its metrics by labels, and `explain`.

import { kubeletIn, type RemoteKubelet } from '../kubelet/remote.ts'
import type { Lab } from '../lab.ts'
import { pluginPath } from './plugins.ts'
import { startedWhen } from './traffic.ts'

const CONFIG = '/run/vf-device-plugin.json'
/** The devices in use, which the plugin notes for its next start. */
const NOTE = '/var/lib/cni/vf-flower/device-plugin.json'
/** Device information: of the device plugin, and copies that a test makes in Multus' place. */
const DEVICE_INFO = '/var/run/k8s.cni.cncf.io'
/** Address of its pages. */
export const LISTEN = '127.0.0.1:9115'
/** Path of the program. */
export const PROGRAM = `${pluginPath[0]}/vf-device-plugin`

/** One line of /metrics. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A running device plugin and its kubelet. */
export interface PluginNode {
  readonly kubelet: RemoteKubelet
  /** Lines of the log so far. */
  log(): readonly Record<string, unknown>[]
  /** Samples of all metrics with all these labels. */
  allSamples(labels: Readonly<Record<string, string>>): Promise<readonly Sample[]>
  /** Samples of a metric, of those with all these labels. */
  samples(name: string, labels?: Readonly<Record<string, string>>): Promise<readonly Sample[]>
  /** Waits until a metric has one sample with these labels and this value, or none where 0 is wanted. */
  shows(name: string, labels: Readonly<Record<string, string>>, value: number): Promise<void>
  /** Replaces the config as an editor does, by a rename. */
  reconfigure(config: object): Promise<void>
  /** Text of `vf-device-plugin explain`. */
  explain(...words: readonly string[]): Promise<string>
  /** Ends the plugin by SIGTERM. Fails unless it ends with code 0. */
  stop(): Promise<void>
  /** Ends the plugin, as {@link stop} does, and the simulator. */
  end(): Promise<void>
}

/** Starts a kubelet and the device plugin with `pools` as its resourceList. Folders of an earlier run are removed. */
export async function startPluginNode(
  lab: Lab,
  pools: readonly object[],
  args: readonly string[] = [],
): Promise<PluginNode> {
  await lab.must(`rm -rf /var/lib/kubelet ${DEVICE_INFO}; mkdir -p /var/lib/kubelet`)
  const kubelet = await kubeletIn(lab, { root: '/var/lib/kubelet' })
  await kubelet.start()
  const write = async (config: object) => {
    await lab.writeFile(`${CONFIG}.new`, JSON.stringify(config), 0o644)
    await lab.must(`mv ${CONFIG}.new ${CONFIG}`)
  }
  await write({ resourceList: pools })
  const flags = ['--config-file', CONFIG, '--listen', LISTEN, '--log-level', 'debug', ...args]
  const plugin = await startedWhen(lab, [PROGRAM, ...flags], (one) => one.stderr().includes('{'))
  const stop = async () => {
    plugin.kill('SIGTERM')
    const { code, stderr } = await plugin.wait()
    if (code !== 0) throw new Error(`The device plugin ended with code ${code}: ${stderr.slice(-2_000)}`)
  }
  const all = async () => samplesOf(await lab.must(`curl -sSf http://${LISTEN}/metrics`))
  const allSamples: PluginNode['allSamples'] = async (labels) =>
    (await all()).filter((one) => Object.entries(labels).every(([key, value]) => one.labels[key] === value))
  const samples: PluginNode['samples'] = async (name, labels = {}) =>
    (await allSamples(labels)).filter((one) => one.name === name)
  return {
    ...{ kubelet, allSamples, samples },
    log: () => plugin.stderr().split('\n').flatMap(logLine),
    shows: async (name, labels, value) => {
      const deadline = Date.now() + 30_000
      for (;;) {
        const found = await samples(name, labels)
        if (found.length === 1 && found[0]?.value === value) return
        if (found.length === 0 && value === 0) return
        if (Date.now() > deadline)
          throw new Error(
            `${name} ${JSON.stringify(labels)} is ${JSON.stringify(found)}, not ${value}: ${plugin.stderr().slice(-2_000)}`,
          )
      }
    },
    reconfigure: write,
    explain: (...words) =>
      lab.must([PROGRAM, 'explain', '--config-file', CONFIG, ...args, ...words].join(' ')),
    stop,
    end: async () => {
      await stop()
      await kubelet.close()
      // Tests that come later compare the whole state of the host.
      await lab.must(`rm -rf ${CONFIG} ${NOTE} ${DEVICE_INFO}`)
    },
  }
}

function logLine(line: string): Record<string, unknown>[] {
  try {
    return [JSON.parse(line) as Record<string, unknown>]
  } catch {
    return []
  }
}

/** The samples of a text in the exposition format of Prometheus. */
export function samplesOf(text: string): readonly Sample[] {
  return text.split('\n').flatMap((line) => {
    const [, name, labels = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === undefined) return []
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', text = '']) => [
      key,
      text,
    ])
    return [{ name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) }]
  })
}
