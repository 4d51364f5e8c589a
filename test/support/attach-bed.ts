// A node with VFs of a real driver, a wire and pods, for black-box tests of vf-attach. In: the lab. Out: calls of the plugin as a
// runtime makes them, and the state of the node by its own tools.
import { expect } from 'vitest'
import { attachConfig, json } from '../../hack/lab/bed/plugins.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../hack/lab/bed/snapshot.ts'
import {
  buildTopology,
  deletePod,
  describe,
  loadIgb,
  newPod,
  type Topology,
  tearDown,
} from '../../hack/lab/bed/topology.ts'
import type { PluginConfig } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { type AttachCalls, attachCalls, FORGET_CALLS } from './attach-calls.ts'
import { lab as sharedLab } from './lab.ts'

/** A VF that has an interface. */
export interface BedVf {
  readonly index: number
  readonly pci: string
  readonly netdev: string
  readonly mac: string
}

/** The bed that {@link makeBed} made. */
export interface Bed extends AttachCalls {
  readonly lab: Lab
  readonly topology: Topology
  vf(index?: number): BedVf
  /** Takes the state that `expectUnchanged` compares with, and the VFs' names and MACs. */
  remember(): Promise<void>
  expectUnchanged(point?: string): Promise<void>
  /** Writes sriov_numvfs and waits for the interfaces. */
  setVfs(count: number): Promise<void>
  /** After a test that failed: removes records, makes new VFs and new pods. */
  rebuild(): Promise<void>
  /** The attributes that the PF has for a VF, as `ip -d -j link show PF` shows it. */
  vfInfo(index: number): Promise<Record<string, unknown>>
  end(): Promise<void>
}

/** vf-attach for a VF, with any keys. */
export function onVf(vf: BedVf, more: Record<string, unknown> = {}): PluginConfig {
  return attachConfig(vf.pci, more)
}

/** The name that a VF gets on its way home when another interface has its own name. */
export function spareNameOf({ pci }: Pick<BedVf, 'pci'>): string {
  return `vf${pci.replaceAll(/[:.]/g, '')}`
}

/** Builds the topology with `vfs` VFs, and the pods, and remembers the state. */
export async function makeBed(vfs: number, pods: readonly string[]): Promise<Bed> {
  const lab = await sharedLab()
  let topology = await buildTopology(lab, await loadIgb(lab), vfs)
  const calls = await attachCalls(lab)
  for (const pod of pods) await newPod(lab, pod)
  let before: Snapshot = await snapshot(lab)

  const vfInfos = async (): Promise<Record<string, unknown>[]> => {
    const [pf] = await json(lab, `ip -d -j link show dev ${topology.pf}`)
    return (pf?.vfinfo_list ?? []) as Record<string, unknown>[]
  }
  const remember = async (): Promise<void> => {
    topology = await describe(lab, topology)
    before = await snapshot(lab)
  }
  const bed: Bed = {
    ...calls,
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
    remember,
    expectUnchanged: async (point = '') => {
      const lines = diffSnapshot(before, await snapshot(lab))
      if (lines.length > 0) throw new Error([`The host is not as before ${point}:`, ...lines].join('\n'))
      // No VF has an administrative MAC: igb reports none, or the MAC that the VF itself has told.
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
      await lab.must(FORGET_CALLS)
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
    end: async () => {
      for (const pod of pods) await deletePod(lab, pod)
      await tearDown(lab, topology)
    },
  }
  return bed
}

// Without udev a new VF takes the first free name. That must not be the name of the wire's end, which is in another namespace now
// and has to come back.
const SET_VFS = `
vfs() { ls -d /sys/class/net/$PF/device/virtfn*/net/* 2>/dev/null | wc -l; }
[ -e /sys/class/net/$WIRE ] || { ip link add $WIRE type dummy; trap "ip link del $WIRE" EXIT; }
echo $VFS >/sys/class/net/$PF/device/sriov_numvfs
for try in $(seq 600); do [ "$(vfs)" != $VFS ] || exit 0; sleep 0.05; done
echo "no $VFS VFs within 30 s" >&2; exit 1`
