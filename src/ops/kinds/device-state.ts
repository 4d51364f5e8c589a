/**
 * Operations that give a device back as it was before a pod had it: things that a move took from it, and things that a pod has
 * left on it. None has a way back: nobody wants it again.
 */
import type { Side } from './common.ts'

/**
 * Something that an interface carries and that a move, or setting it down, takes from it. `message` is the kernel's own (the
 * payload of RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE or RTM_NEWNEIGH, hex) as it is sent again: the interface's number is 0 in it, and
 * what only the kernel can set is left out. Equal `words`, those of `ip`, mean the same thing.
 */
export interface CarriedItem {
  readonly what: 'port' | 'token' | 'address' | 'route' | 'neighbour'
  readonly words: string
  readonly message: string
}

/** Gives the interface with that number back what it carried, `age` seconds after it was read. */
export interface CarriedOp extends CarriedItem {
  readonly do: 'carried.give'
  readonly link: string
  readonly ifindex: number
  readonly age: number
}

/** The place of an XDP program: the kernel's own code, the driver, the NIC. */
export type XdpMode = 'skb' | 'drv' | 'hw'

/** Settings of `ethtool`: struct ethtool_gfeatures, ethtool_channels and ethtool_ringparam of linux/ethtool.h. */
export type EthtoolPart = 'features' | 'channels' | 'rings'

/** Takes the program with that number off the interface; a link of bpf(2) that holds it there is detached. */
export interface ProgramDetach {
  readonly do: 'program.detach'
  readonly side: Side
  readonly link: string
  readonly ifindex: number
  /** Of XDP the mode, of tcx the direction. */
  readonly hook: XdpMode | 'ingress' | 'egress'
  readonly program: number
}

/** Deletes an interface of the pod that lies on the device. */
export interface LinkDelete {
  readonly do: 'link.del'
  readonly side: Side
  readonly name: string
  readonly ifindex: number
}

/** Sets up and down again an interface that is down: the kernel counts anew then who needs it to hear everything. */
export interface LinkFlick {
  readonly do: 'link.flick'
  readonly side: Side
  readonly name: string
  readonly ifindex: number
}

/** Gives a host interface what `ethtool` shows of one part of it; `value` and `was` are numbers of 32 bits, hex. */
export interface EthtoolSet {
  readonly do: 'ethtool.set'
  readonly link: string
  readonly part: EthtoolPart
  readonly value: string
  readonly was: string
}

/** Writes a file below /sys/class/net/NAME of a host interface. */
export interface NetdevSet {
  readonly do: 'netdev.set'
  readonly link: string
  readonly file: string
  readonly value: string
  readonly was: string
}

/** One of them. */
export type CleanOp = ProgramDetach | LinkDelete | LinkFlick | EthtoolSet | NetdevSet

/** An operation on the state of a device. */
export type DeviceStateOp = CarriedOp | CleanOp
