// Calls of vf-attach as a runtime makes them, on any bed. In: a lab. Out: ADD, DEL and refusals by the name of a pod, and the state
// afterwards. Knows no kind of device.
import { expect } from 'vitest'
import { type ErrorObject, errorOf, json, listOf, pluginPath } from '../../hack/lab/bed/plugins.ts'
import { deletePod, newPod } from '../../hack/lab/bed/topology.ts'
import {
  type Attachment,
  type CallExtra,
  type CniResult,
  cniRuntime,
  type PluginConfig,
} from '../../hack/lab/cni-runtime.ts'
import type { ExecResult, Lab } from '../../hack/lab/lab.ts'

/** `netns` is the plugin's, where it is not the pod's; the rest as for any call. */
export interface More extends CallExtra, Partial<Omit<Attachment, 'containerID'>> {
  readonly cniVersion?: string
}

/** The calls that {@link attachCalls} made. */
export interface AttachCalls {
  /** One call; `pod` is the name of a namespace and the container ID at once. */
  call(command: string, plugin: PluginConfig, pod: string, more?: More): Promise<ExecResult>
  add(plugin: PluginConfig, pod: string, more?: More): Promise<CniResult>
  del(plugin: PluginConfig, pod: string, more?: More): Promise<void>
  /** Makes a call that must fail; returns its error object. */
  refused(command: string, plugin: PluginConfig, pod: string, more?: More): Promise<ErrorObject>
  /** `ip -d -j link show dev NAME` in a pod, or on the host for null. */
  link(pod: string | null, name: string): Promise<Record<string, unknown>>
  podDies(pod: string): Promise<void>
  podIsBack(pod: string): Promise<void>
  /** Path of the attachment's record; fails when there is none, or several. */
  recordOf(pod: string): Promise<string>
}

/** A folder that stays, with {@link FLAKY} and with the names of vf-attach. */
export const BED_FOLDER = '/tmp/attach-bed'

/**
 * An IPAM plugin in {@link BED_FOLDER}: host-local, whose DEL waits while the file `hold` exists and fails while `fail`
 * does. It leaves the file `asked` when a DEL begins. An ADD waits in the same way for `hold-add` and leaves `asked-add`.
 */
export const FLAKY = 'flaky'

const FLAKY_SCRIPT = `#!/bin/sh
if [ "$CNI_COMMAND" = ADD ]; then
  touch ${BED_FOLDER}/asked-add
  while [ -e ${BED_FOLDER}/hold-add ]; do sleep 0.05; done
fi
if [ "$CNI_COMMAND" = DEL ]; then
  touch ${BED_FOLDER}/asked
  while [ -e ${BED_FOLDER}/hold ]; do sleep 0.05; done
  if [ -e ${BED_FOLDER}/fail ]; then echo '{"code":11,"msg":"the database is away"}'; exit 1; fi
fi
exec /usr/lib/cni/host-local
`

/** Addresses from 100 on, by host-local; `type` is host-local or {@link FLAKY}, `net` the first three octets. */
export function localIpam(type = 'host-local', net = '10.1.0'): Record<string, unknown> {
  return { type, ranges: [[{ subnet: `${net}.0/24`, rangeStart: `${net}.100`, rangeEnd: `${net}.200` }]] }
}

/** The first address of a result, without its prefix length: host-local gives another one each time. */
export function addressOf({ ips }: CniResult): string {
  return ips?.[0]?.address.replace(/\/.*/, '') ?? ''
}

/** Lays out {@link BED_FOLDER} and calls vf-attach in `lab`. */
export async function attachCalls(lab: Lab): Promise<AttachCalls> {
  const runtime = cniRuntime(lab, [BED_FOLDER, ...pluginPath])
  await lab.writeFile(`${BED_FOLDER}/${FLAKY}`, FLAKY_SCRIPT, 0o755)
  await lab.must(
    `cd ${BED_FOLDER}; for name in sriov host-device; do ln -sf ${pluginPath[0]}/vf-attach $name; done`,
  )
  const call: AttachCalls['call'] = (command, plugin, pod, more = {}) => {
    const { netns = `/run/netns/${pod}`, ifname = 'net1', capabilityArgs, args, cniVersion, ...extra } = more
    const attachment = {
      containerID: pod,
      netns,
      ifname,
      ...(capabilityArgs === undefined ? {} : { capabilityArgs }),
      ...(args === undefined ? {} : { args }),
    }
    const list = { ...listOf(plugin), ...(cniVersion === undefined ? {} : { cniVersion }) }
    return runtime.call(command, list, plugin, attachment, extra)
  }
  const succeed: AttachCalls['call'] = async (command, plugin, pod, more) => {
    const result = await call(command, plugin, pod, more)
    if (result.code !== 0) throw new Error(`${command} for ${pod}: ${result.stdout}${result.stderr}`)
    return result
  }
  return {
    call,
    add: async (...parameters) => JSON.parse((await succeed('ADD', ...parameters)).stdout) as CniResult,
    del: async (...parameters) => {
      expect((await succeed('DEL', ...parameters)).stdout).toBe('')
    },
    refused: async (...parameters) => errorOf(await call(...parameters)),
    link: async (pod, name) => {
      const [link] = await json(lab, `ip ${pod === null ? '' : `-n ${pod}`} -d -j link show dev ${name}`)
      if (link === undefined) throw new Error(`No interface ${name}`)
      return link
    },
    podDies: (pod) => deletePod(lab, pod),
    podIsBack: async (pod) => {
      await newPod(lab, pod)
    },
    recordOf: async (pod) => {
      const out = await lab.must(`ls /var/lib/cni/vf-flower/attach/*' ${pod}@net1.json'`)
      const paths = out.trim().split('\n')
      if (paths.length !== 1) throw new Error(`${paths.length} records of ${pod}`)
      return paths[0] ?? ''
    },
  }
}

/** A script that removes everything that a failed test has left of {@link attachCalls}. */
export const FORGET_CALLS = `rm -rf /var/lib/cni/vf-flower /var/lib/cni/networks /var/lib/cni/sriov
  rm -f ${BED_FOLDER}/hold* ${BED_FOLDER}/fail ${BED_FOLDER}/asked*`
