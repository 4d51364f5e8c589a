import type { CarriedOp, DeviceStateOp } from '../op.ts'
import { type Kinds, sideOf } from './kind.ts'

/** A pod has left it, or the operation gives back what was there before. */
const undo = { none: 'it is itself a way back' } as const

/** State of a device that is given back. */
export const deviceStateKinds: Kinds<DeviceStateOp['do']> = {
  'carried.give': { side: 'host', line: givenLine, undo },
  'program.detach': {
    side: sideOf,
    line: ({ hook, link, program }) => {
      if (hook === 'ingress' || hook === 'egress')
        return `bpftool net detach tcx_${hook} dev ${link} # program ${program}`
      const words = { skb: 'xdpgeneric', drv: 'xdpdrv', hw: 'xdpoffload' }[hook]
      return `ip link set dev ${link} ${words} off # program ${program}`
    },
    undo,
  },
  'link.del': { side: sideOf, line: (op) => `ip link del dev ${op.name}`, undo },
  'link.flick': {
    side: sideOf,
    line: (op) => ['up', 'down'].map((state) => `ip link set dev ${op.name} ${state}`),
    undo,
  },
  'ethtool.set': {
    side: 'host',
    line: ({ link, part, value, was }) => {
      const letter = { features: 'K', channels: 'L', rings: 'G' }[part]
      return `ethtool -${letter} ${link} # ${part} ${value}, not ${was}`
    },
    undo,
  },
  'netdev.set': {
    side: 'host',
    line: (op) => `echo ${op.value} > /sys/class/net/${op.link}/${op.file}`,
    undo,
  },
}

function givenLine({ what, words, link }: CarriedOp): string {
  if (what === 'port') return `ip link set dev ${link} type bridge_slave ${words}`
  if (what === 'token') return `ip ${words.replace(' ', ' set ')} dev ${link}`
  const isEntry = what === 'neighbour' && / (self|master)$/.test(words)
  const command = { address: 'ip address add', route: 'ip route append', neighbour: 'ip neigh add' }[what]
  return `${isEntry ? 'bridge fdb add' : command} ${words} dev ${link}`
}
