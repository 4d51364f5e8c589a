/** The state of a device now: results of looks (device/live.ts), from which a restore is planned (plan/restore.ts). Types alone. */
import type { LinkFacts, Residue } from '../../kernel/api/facts.ts'
import type { VfAttributes } from '../../ops/op.ts'

/** True after ADD has moved the device, false before. Undefined where the ADD was killed: then nobody knows. */
export type Moved = boolean | undefined

/** The parts of the pod that can be looked at. */
export interface PodView {
  /** False when the pod's namespace is gone. */
  readonly pod: boolean
  /** CNI_IFNAME. */
  readonly ifname: string
  /** False in an ADD that fails before its move: an interface that is on neither side then was taken by somebody else. */
  readonly moved?: Moved
  /** Number of the device on the host, where a move home has just given it that. */
  readonly home?: number | undefined
}

/** The live state that a restore starts from. */
export interface LiveState {
  /** PF-side attributes now; undefined when the PF or VF is gone. */
  readonly vf:
    | {
        readonly pfName: string
        readonly index: number
        readonly attributes: VfAttributes
        readonly switchdev: boolean
      }
    | undefined
  /** The interface now and the side it is on; undefined when it is on neither. */
  readonly link: { readonly side: 'host' | 'pod'; readonly facts: LinkFacts } | undefined
  /** The place of an interface that exists and is on neither side; `isEnding`: in a namespace that the kernel is taking apart. */
  readonly elsewhere?: { readonly words: string; readonly isEnding: boolean } | undefined
  /** The VF's representor now; undefined in legacy mode. */
  readonly representor: { readonly link: LinkFacts; readonly master: string | undefined } | undefined
  /** Name of the master of the interface on the host. */
  readonly master?: string | undefined
  /** A name that no interface of the host has, for a device whose own name is taken. */
  readonly spare?: string | undefined
  /** For an interface in the pod: the number that it gets on the host, which no other interface there has. */
  readonly homeIfindex?: number | undefined
  /** Masters before ADD that the host does not have any more. */
  readonly lostMasters?: ReadonlySet<string>
  /** Interfaces of the pod that lie on the device's. */
  readonly uppers?: readonly LinkFacts[]
  /** The other things on the interface, once it is on the host. */
  readonly residue?: Residue
  /** Of the interface's names before ADD, those that another interface of the host has now. */
  readonly taken: ReadonlySet<string>
}

/** Result of a look: the interface, or in words the place where it is; neither when it does not exist any more. */
export interface Found {
  readonly link?: NonNullable<LiveState['link']>
  readonly elsewhere?: NonNullable<LiveState['elsewhere']>
}
