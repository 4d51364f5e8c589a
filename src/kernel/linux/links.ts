import type { LinkOp, OpOf, Outcome } from '../../ops/op.ts'
import type { LinkKernel } from '../api/links.ts'
import { bridgeVlansOf, changeBridgeVlan, isVepa } from '../link/bridge.ts'
import { rebindDriver, resetFunction } from '../link/driver-rebind.ts'
import { eswitchOf } from '../link/eswitch-mode.ts'
import { allLinks, changeAltname, setLinkAttributes } from '../link/links.ts'
import { moveLink } from '../link/move.ts'
import { lowerNetnsOf, otherEndOf, peerOnHost } from '../link/other-end.ts'
import { lookBeforeMove } from '../link/preflight.ts'
import { linksAt, linksOfKind } from '../link/some-links.ts'
import { setVf } from '../link/vfs.ts'
import { inspect, residue, tc } from './lazy.ts'
import type { OpenSides } from './open-sides.ts'
import { done, type Runs, verb } from './runs.ts'

/** Interfaces and their devices. */
export const linkRuns: Runs<LinkOp['do']> = {
  'vf.set': ({ route, indexOf }, { pf, vf, set, was }) => {
    setVf(route('host'), indexOf('host', pf), vf, set, was)
    return done
  },
  'link.move': (sides, op) => renaming(sides, () => moveLink(sides.route, sides.pod, op)),
  'link.set': ({ route, indexOf }, op) => {
    setLinkAttributes(route(op.side), op, (name) => indexOf(op.side, name))
    return done
  },
  'altname.add': (sides, op) => changeNames(sides, op, true),
  'altname.del': (sides, op) => changeNames(sides, op, false),
  'bridge.vlan.add': changeVlan,
  'bridge.vlan.del': changeVlan,
  'driver.rebind': (sides, op) => renaming(sides, () => rebindDriver(op.pci, op.driver)),
  'function.reset': (_, op) => {
    resetFunction(op.pci)
    return done
  },
}

/** Questions about interfaces. */
export function linkKernel(sides: OpenSides): LinkKernel {
  const { route, link, pod, podNetns } = sides
  return {
    link,
    links: (side) => allLinks(route(side)),
    linksAt: (ifindexes) => linksAt(route('host'), ifindexes),
    eswitchPorts: (switchId) => tc().eswitchLinks(route('host'), switchId),
    linksOfKind: (kind) => linksOfKind(route('host'), kind),
    otherEnd: (place) => otherEndOf(route('host'), pod, place),
    lowerNetns: (link) => lowerNetnsOf(route('pod'), link),
    peer: (link) => peerOnHost(route('host'), podNetns(), link),
    podUppers: (side, ifindex) => residue().podUppers(route('pod'), side, ifindex),
    lookBeforeMove: (link) => lookBeforeMove(route('host'), () => route('pod'), podNetns(), link),
    bridgeVlans: (side, ifindex) => bridgeVlansOf(route(side), ifindex),
    isVepa: (ifindex) => isVepa(route('host'), ifindex),
    eswitch: (pci) => eswitchOf(sides.generic(), pci),
    isSwitchdev: (pci) => eswitchOf(sides.generic(), pci) === 'switchdev',
    linkCounters: (side, name) => inspect().linkCounters(route(side), name),
    vfCounters: (pf, vf, numVfs) => inspect().vfCounters(route('host'), pf, vf, numVfs),
  }
}

function changeNames(sides: OpenSides, op: OpOf<'altname.add'>, isNew: boolean): Outcome {
  const ifindex = op.ifindex ?? sides.indexOf(op.side, op.name)
  return renaming(sides, () => changeAltname(sides.route(op.side), isNew, ifindex, op.altname))
}

function changeVlan({ route, indexOf }: OpenSides, op: OpOf<'bridge.vlan.add'>): Outcome {
  changeBridgeVlan(route(op.side), verb(op.do), indexOf(op.side, op.link), op.vlan)
  return done
}

/** Runs an action that may give a name to another interface. */
function renaming({ forget }: OpenSides, action: () => void): Outcome {
  try {
    action()
    return done
  } finally {
    forget()
  }
}
