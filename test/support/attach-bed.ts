// A node with VFs of a real driver, a wire and pods, for black-box tests of vf-attach. In: the lab. Out: calls of the
// plugin as a runtime makes them, and looks at the node with its own tools.
import { expect } from 'vitest'
import {
  type Attachment,
  type CallExtra,
  type CniResult,
  cniRuntime,
  type PluginConfig,
} from '../../hack/lab/cni-runtime.ts'
import type { ExecResult, Lab } from '../../hack/lab/lab.ts'
import { lab as sharedLab } from './lab.ts'
import { attachConfig, type ErrorObject, errorOf, json, listOf, pluginPath } from './plugins.ts'
import { diffSnapshot, type Snapshot, snapshot } from './snapshot.ts'
import { buildTopology, deletePod, describe, loadIgb, newPod, type Topology, tearDown } from './topology.ts'

/** A VF that has an interface. */
export interface BedVf {
  readonly index: number
  readonly pci: string
  readonly netdev: string
  readonly mac: string
}

/** What {@link makeBed} made. */
export interface Bed {
  readonly lab: Lab
  readonly topology: Topology
  vf(index?: number): BedVf
  /** One call; `pod` is the name of a namespace and the container ID at once. */
  call(command: string, plugin: PluginConfig, pod: string, more?: More): Promise<ExecResult>
  add(plugin: PluginConfig, pod: string, more?: More): Promise<CniResult>
  del(plugin: PluginConfig, pod: string, more?: More): Promise<void>
  /** A call that must fail; what it said. */
  refused(command: string, plugin: PluginConfig, pod: string, more?: More): Promise<ErrorObject>
  /** Takes the state that `expectUnchanged` compares with, and the VFs' names and MACs. */
  remember(): Promise<void>
  expectUnchanged(point?: string): Promise<void>
  /** Writes sriov_numvfs and waits for the interfaces. */
  setVfs(count: number): Promise<void>
  /** After a test that failed: no records, new VFs, new pods. */
  rebuild(): Promise<void>
  /** What the PF has for a VF, as `ip -d -j link show PF` shows it. */
  vfInfo(index: number): Promise<Record<string, unknown>>
  /** `ip -d -j link show dev NAME` in a pod, or on the host for null. */
  link(pod: string | null, name: string): Promise<Record<string, unknown>>
  podDies(pod: string): Promise<void>
  podIsBack(pod: string): Promise<void>
  /** Path of the attachment's record; fails when there is none, or several. */
  recordOf(pod: string): Promise<string>
  end(): Promise<void>
}

/** `netns` as given to the plugin, where it is not the pod's; the rest as for any call. */
export interface More extends CallExtra, Partial<Omit<Attachment, 'containerID'>> {
  readonly cniVersion?: string
}

/** Folder, which stays, with {@link FLAKY} and with the names under which vf-attach can be called. */
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

/** vf-attach for a VF, with any keys. */
export function onVf(vf: BedVf, more: Record<string, unknown> = {}): PluginConfig {
  return attachConfig(vf.pci, more)
}

/** Builds the topology with `vfs` VFs, and the pods, and remembers the state. */
export async function makeBed(vfs: number, pods: readonly string[]): Promise<Bed> {
  const lab = await sharedLab()
  const runtime = cniRuntime(lab, [BED_FOLDER, ...pluginPath])
  let topology = await buildTopology(lab, await loadIgb(lab), vfs)
  await lab.writeFile(`${BED_FOLDER}/${FLAKY}`, FLAKY_SCRIPT, 0o755)
  await lab.must(
    `cd ${BED_FOLDER}; for name in sriov host-device; do ln -sf ${pluginPath[0]}/vf-flower $name; done`,
  )
  for (const pod of pods) await newPod(lab, pod)
  let before: Snapshot = await snapshot(lab)

  const call: Bed['call'] = (command, plugin, pod, more = {}) => {
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
  const succeed: Bed['call'] = async (command, plugin, pod, more) => {
    const result = await call(command, plugin, pod, more)
    if (result.code !== 0) throw new Error(`${command} for ${pod}: ${result.stdout}${result.stderr}`)
    return result
  }
  const vfInfos = async (): Promise<Record<string, unknown>[]> => {
    const [pf] = await json(lab, `ip -d -j link show dev ${topology.pf}`)
    return (pf?.vfinfo_list ?? []) as Record<string, unknown>[]
  }
  const remember = async (): Promise<void> => {
    topology = await describe(lab, topology)
    before = await snapshot(lab)
  }
  const bed: Bed = {
    lab,
    get topology() {
      return topology
    },
    vf: (index = 0) => {
      const found = topology.vfs[index]
      if (found === undefined || found.netdev === null || found.mac === null)
        throw new Error(`No VF ${index}`)
      return { index: found.index, pci: found.pci, netdev: found.netdev, mac: found.mac }
    },
    call,
    add: async (...parameters) => JSON.parse((await succeed('ADD', ...parameters)).stdout) as CniResult,
    del: async (...parameters) => {
      expect((await succeed('DEL', ...parameters)).stdout).toBe('')
    },
    refused: async (...parameters) => errorOf(await call(...parameters)),
    remember,
    expectUnchanged: async (point = '') => {
      const lines = diffSnapshot(before, await snapshot(lab))
      if (lines.length > 0) throw new Error([`The host is not as before ${point}:`, ...lines].join('\n'))
      // No administrative MAC, which igb reports as none or as the one that the VF has told.
      for (const { vf, address } of await vfInfos()) {
        const own = topology.vfs.find(({ index }) => index === vf)?.mac
        expect(['00:00:00:00:00:00', own], `${point} VF ${vf}`).toContain(address)
      }
    },
    setVfs: async (count) => {
      await lab.must(SET_VFS, { env: { PF: topology.pf, WIRE: topology.wire, VFS: String(count) } })
    },
    rebuild: async () => {
      for (const pod of pods) await deletePod(lab, pod)
      await lab.must(`rm -rf /var/lib/cni/vf-flower /var/lib/cni/networks /var/lib/cni/sriov
        rm -f ${BED_FOLDER}/hold* ${BED_FOLDER}/fail ${BED_FOLDER}/asked*`)
      await bed.setVfs(0)
      await bed.setVfs(vfs)
      for (const pod of pods) await newPod(lab, pod)
      await remember()
    },
    vfInfo: async (index) => {
      const found = (await vfInfos()).find(({ vf }) => vf === index)
      if (found === undefined) throw new Error(`The PF has no VF ${index}`)
      return found
    },
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
    end: async () => {
      for (const pod of pods) await deletePod(lab, pod)
      await tearDown(lab, topology)
    },
  }
  return bed
}

// Without udev a new VF takes the first name that is free, which must not be that of the wire's end: that is in another
// namespace now, and has to come back.
const SET_VFS = `
vfs() { ls -d /sys/class/net/$PF/device/virtfn*/net/* 2>/dev/null | wc -l; }
[ -e /sys/class/net/$WIRE ] || { ip link add $WIRE type dummy; trap "ip link del $WIRE" EXIT; }
echo $VFS >/sys/class/net/$PF/device/sriov_numvfs
for try in $(seq 600); do [ "$(vfs)" != $VFS ] || exit 0; sleep 0.05; done
echo "no $VFS VFs within 30 s" >&2; exit 1`
