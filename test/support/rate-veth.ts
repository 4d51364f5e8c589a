// A pod behind the distribution's Go bridge plugin, for tests of its limits. In: a Lab. Out: calls of vf-offload for the pod, the
// shapers on the host, and a comparison of the host with its state before our plugin.
import { expect } from 'vitest'
import { attachToBridge, bridgeList, mainOnly, type PodName, podOf } from '../../hack/lab/bed/bridge-bed.ts'
import { json, silently } from '../../hack/lab/bed/plugins.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod } from '../../hack/lab/bed/topology.ts'
import type { Attachment, CniResult, PluginConfig, Runtime } from '../../hack/lab/cni-runtime.ts'
import type { ExecResult, Lab } from '../../hack/lab/lab.ts'

/** Limits of a runtime, in bit/s and bits. */
export type Bandwidth = Partial<Record<'ingressRate' | 'ingressBurst' | 'egressRate' | 'egressBurst', number>>

/** A limit for each direction: slower than any traffic, with a burst that is too small for a frame. */
export const SMALL = { ingressRate: 8000, ingressBurst: 80, egressRate: 8000, egressBurst: 80 } as const
/** The half of {@link SMALL} for which a shaper on the pair is enough. */
export const SMALL_TO_POD = { ingressRate: 8000, ingressBurst: 80 } as const
/** The half of {@link SMALL} that needs an interface of its own. */
export const SMALL_FROM_POD = { egressRate: 8000, egressBurst: 80 } as const

/** Bursts that runtimes send for no burst. */
export const BURSTS = { kubelet: 2_147_483_647, containerd: 4_294_967_295, crio: 34_359_738_359 } as const

/** A shaper as `tc -j qdisc show` has it. */
export interface Shaper {
  readonly dev: string
  readonly kind: string
  readonly handle: string
  readonly options: { readonly rate: number; readonly burst: number; readonly lim?: number }
}

/** The form of the handle of our shapers, whatever attachment it follows from. */
export const OWN_HANDLE = /^[4-7][0-9a-f]{3}:$/

/** vf-offload in a list, for limits. */
export const limiting = (
  config: object = {},
  capabilities: Record<string, boolean> = { bandwidth: true },
): PluginConfig => ({ type: 'vf-offload', capabilities, ...config })

/** All shapers of the host. */
export async function shapersOf(lab: Lab): Promise<Shaper[]> {
  const all = (await json(lab, 'tc -j qdisc show')) as unknown as Shaper[]
  return all.filter(({ kind }) => kind === 'tbf')
}

/** Bytes of burst for a shaper of `rate` bit/s without a burst in the config, and the bytes that the kernel's ticks may take off. */
export function standardBurst(rate: number): { readonly bytes: number; readonly tick: number } {
  return { bytes: Math.min(Math.max((rate / 8) * 0.1, 1518), 0xffffffff), tick: (rate / 8) * 64e-9 + 1 }
}

/** One pod, attached to the bridge by the main plugin alone. */
export class RatePod {
  readonly #lab: Lab
  readonly #runtime: Runtime
  readonly pod: PodName
  /** The answer of the bridge plugin. */
  readonly attached: CniResult
  /** The host's end of the pod's veth. */
  readonly peer: string
  #before: Snapshot | undefined

  private constructor(lab: Lab, runtime: Runtime, pod: PodName, attached: CniResult) {
    this.#lab = lab
    this.#runtime = runtime
    this.pod = pod
    this.attached = attached
    this.peer = attached.interfaces?.find(({ name }) => name.startsWith('veth'))?.name ?? ''
  }

  /** Makes the namespace and attaches the pod. */
  static async attach(lab: Lab, runtime: Runtime, pod: PodName): Promise<RatePod> {
    await newPod(lab, pod)
    const made = new RatePod(lab, runtime, pod, await attachToBridge(lab, runtime, pod))
    // The bridge plugin makes pairs without a queue length. With a first qdisc the kernel gives them one.
    await lab.must(`ip link set ${made.peer} txqueuelen 1000`)
    return made
  }

  /** The attachment as a runtime names it. */
  attachment(capabilityArgs: Record<string, unknown> = {}): Attachment {
    return { ...podOf(this.pod), capabilityArgs }
  }

  /** One call of our plugin. */
  call(
    command: string,
    bandwidth: Bandwidth | undefined,
    prevResult = this.attached,
    config: object = {},
  ): Promise<ExecResult> {
    const attachment = this.attachment(bandwidth === undefined ? {} : { bandwidth })
    return this.#runtime.call(command, bridgeList(this.pod), limiting(config), attachment, { prevResult })
  }

  /** ADD that must succeed. */
  async add(bandwidth: Bandwidth, config: object = {}): Promise<CniResult> {
    const { code, stdout, stderr } = await this.call('ADD', bandwidth, this.attached, config)
    if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
    return JSON.parse(stdout) as CniResult
  }

  /** DEL of a runtime that has forgotten everything. */
  async del(more: Partial<Attachment> = {}): Promise<void> {
    const attachment = { ...this.attachment(), ...more }
    await silently(this.#runtime.call('DEL', bridgeList(this.pod), limiting(), attachment))
  }

  /** Remembers the state of the host, for {@link leavesNothing}. */
  async remember(): Promise<Snapshot> {
    this.#before = await snapshot(this.#lab)
    return this.#before
  }

  /** Expects the host to be as remembered. */
  async isAsBefore(): Promise<void> {
    if (this.#before === undefined) throw new Error('Nobody has looked before')
    expect(diffSnapshot(this.#before, await snapshot(this.#lab))).toEqual([])
  }

  /** {@link del}, then expects the host to be as remembered. */
  async leavesNothing(): Promise<void> {
    await this.del()
    await this.isAsBefore()
  }

  /** Removes the pod, whatever is left of it. */
  async end(): Promise<void> {
    await this.del()
    await this.#runtime.del(mainOnly(bridgeList(this.pod)), podOf(this.pod))
    await deletePod(this.#lab, this.pod)
  }
}
