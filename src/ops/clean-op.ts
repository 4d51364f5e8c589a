/** Operations that take from a device what a pod has left on it. None has a way back: nobody wants it again. */
import type { Side } from './op.ts'

/** Where an XDP program sits: in the kernel's own code, in the driver, in the NIC. */
export type XdpMode = 'skb' | 'drv' | 'hw'

/** What `ethtool` sets: struct ethtool_gfeatures, ethtool_channels and ethtool_ringparam of linux/ethtool.h. */
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

/** The operation as a command line, after `prefix`, which says where. */
export function cleanLine(op: CleanOp, prefix: (side: Side) => string): string {
  switch (op.do) {
    case 'program.detach': {
      const { hook } = op
      if (hook === 'ingress' || hook === 'egress')
        return `${prefix(op.side)}bpftool net detach tcx_${hook} dev ${op.link} # program ${op.program}`
      const words = { skb: 'xdpgeneric', drv: 'xdpdrv', hw: 'xdpoffload' }[hook]
      return `${prefix(op.side)}ip link set dev ${op.link} ${words} off # program ${op.program}`
    }
    case 'link.del':
      return `${prefix(op.side)}ip link del dev ${op.name}`
    case 'link.flick':
      return ['up', 'down'].map((state) => `${prefix(op.side)}ip link set dev ${op.name} ${state}`).join('; ')
    case 'ethtool.set': {
      const letter = { features: 'K', channels: 'L', rings: 'G' }[op.part]
      return `ethtool -${letter} ${op.link} # ${op.part} ${op.value}, not ${op.was}`
    }
    case 'netdev.set':
      return `echo ${op.value} > /sys/class/net/${op.link}/${op.file}`
  }
}
