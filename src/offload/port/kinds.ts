/** The kinds of a pod's port, one row each. A new kind also needs its row in portmap/nat-choice.ts and in bandwidth/plan.ts. */

/** Facts that hold for every port of a kind. */
export interface PortTraits {
  /** One end of a veth pair: the host's own stack carries the frames, translates them and tells replies from requests. */
  readonly isPair: boolean
  /** A PF or another NIC of its own, whose wire the operator names. */
  readonly isWholeNic: boolean
  /** An interface on top of the uplink: the kernel hands the pod those frames of the uplink that have the pod's MAC. */
  readonly isOnUplink: boolean
  /** The pod has no interface: a program drives the device. */
  readonly isUserspace: boolean
  /** The mode of the eSwitch; undefined where the kind does not tell it. */
  readonly eswitch: 'legacy' | 'switchdev' | undefined
}

const none = { isPair: false, isWholeNic: false, isOnUplink: false, isUserspace: false, eswitch: undefined }

/** All kinds by name. */
export const portKinds = {
  /** A VF whose eSwitch is in switchdev mode. */
  representor: { ...none, eswitch: 'switchdev' },
  /** A VF whose eSwitch is in legacy mode. */
  legacy: { ...none, eswitch: 'legacy' },
  /** A VF on vfio or UIO, in either mode. */
  userspace: { ...none, isUserspace: true },
  /** A PF or another NIC of its own. */
  nic: { ...none, isWholeNic: true },
  /** A pair whose other end is on the host. */
  veth: { ...none, isPair: true },
  /** A macvlan with mapped ports. One without is limited in the pod, as `other`. */
  macvlan: { ...none, isOnUplink: true },
  /** Any other interface. It can be limited in the pod, and serves no port mapping. */
  other: none,
} as const satisfies Readonly<Record<string, PortTraits>>

/** The name of a kind, as records have it. */
export type PortKind = keyof typeof portKinds

/** The traits of a kind. */
export function traitsOf(kind: PortKind): PortTraits {
  return portKinds[kind]
}

/** The traits of the kind that a record names; undefined for a record without one, or of another version's kind. */
export function recordedTraits(kind: string | undefined): PortTraits | undefined {
  return kind !== undefined && isPortKind(kind) ? traitsOf(kind) : undefined
}

function isPortKind(kind: string): kind is PortKind {
  return Object.hasOwn(portKinds, kind)
}
