import type { LinkAttributes, LinkOp, LinkSet, OpOf } from '../../ops/op.ts'
import { differingVf, vfText } from '../../ops/vf-attributes.ts'
import type { LinkFacts } from '../api/facts.ts'
import { bridgeVlansOf } from '../link/bridge.ts'
import { difference, type Found, type Reach, removal, unlike, type Verifiers } from './verifier.ts'

/** Interfaces and their devices. */
export const linkVerifiers: Verifiers<LinkOp['do']> = {
  'vf.set': verifyVf,
  'link.move': (reach, { to, newName, newIfindex }) => {
    const found = reach.link(to, newName)
    if (found === undefined) return difference('no such interface')
    return difference(newIfindex === undefined ? undefined : unlike('number', newIfindex, found.ifindex))
  },
  'link.set': verifyLink,
  'altname.add': (reach, { side, name, ifindex, altname }) => {
    const found = reach.link(side, ifindex ?? name)
    return difference(found?.altnames.includes(altname) === true ? undefined : 'no such name')
  },
  'altname.del': removal,
  'bridge.vlan.add': (reach, { side, link, vlan }) => {
    const found = reach.link(side, link)
    const vlans = found === undefined ? [] : bridgeVlansOf(reach.socket(side), found.ifindex)
    const there = vlans.find(({ vid }) => vid === vlan.vid)
    const isSame = there?.pvid === vlan.pvid && there.untagged === vlan.untagged
    return difference(isSame ? undefined : there === undefined ? 'no such VLAN' : 'another use of the VLAN')
  },
  'bridge.vlan.del': removal,
  'driver.rebind': { unseen: 'the device is with the driver that it had before' },
  'function.reset': { unseen: 'a reset leaves nothing' },
}

/** A driver that has taken a value and does not report it has another one. */
function verifyVf(reach: Reach, { pf, vf, set }: OpOf<'vf.set'>): Found[] {
  const now = reach.link('host', pf, { vfs: true })?.vfs?.get(vf)
  if (now === undefined) return difference(`there is no VF ${vf} of "${pf}"`)
  return keysOf(differingVf(set, now)).map((key) => {
    const [wanted, found] = [vfText(set, key), vfText(now, key)]
    return { found: `the ${key} is another one`, details: `${found ?? 'none'} instead of ${wanted}` }
  })
}

/** Differences of each attribute of an interface. */
const linkChecks: {
  readonly [K in keyof LinkAttributes]-?: (
    wanted: NonNullable<LinkAttributes[K]>,
    link: LinkFacts,
    byName: (name: string) => LinkFacts | undefined,
  ) => string | undefined
} = {
  mac: (mac, link) => unlike('MAC address', mac, link.mac),
  mtu: (mtu, link) => unlike('MTU', mtu, link.mtu),
  up: (up, link) => (up === link.up ? undefined : link.up ? 'up' : 'down'),
  alias: (alias, link) => unlike('alias', `"${alias}"`, `"${link.alias}"`),
  promisc: (promisc, link) => unlike('promiscuous mode', promisc, link.promisc),
  allmulti: (allmulti, link) => unlike('all-multicast', allmulti, link.allmulti),
  txqlen: (txqlen, link) => unlike('queue length', txqlen, link.txqlen),
  traits: (wanted, { traits = {} }) => {
    const other = keysOf(wanted).filter((key) => wanted[key] !== undefined && wanted[key] !== traits[key])
    return other.length === 0 ? undefined : `other ${other.join(', ')}`
  },
  master: (master, link, byName) => {
    const wanted = master === '' ? undefined : byName(master)?.ifindex
    const isMissing = master !== '' && wanted === undefined
    return isMissing || wanted !== link.master ? `not attached to "${master}"` : undefined
  },
}

/** An operation that may fail promises nothing. */
function verifyLink(reach: Reach, { side, name, ifindex, set, mayFail }: LinkSet): Found[] {
  if (mayFail === true) return []
  const link = reach.link(side, ifindex ?? name)
  if (link === undefined) return difference('no such interface')
  return keysOf(linkChecks).flatMap((key) => {
    const wanted = set[key]
    if (wanted === undefined) return []
    // The entry of an attribute takes the values of that attribute.
    const check = linkChecks[key] as (value: unknown, ...rest: unknown[]) => string | undefined
    return difference(check(wanted, link, (other: string) => reach.link(side, other)))
  })
}

function keysOf<T extends object>(value: T): (keyof T)[] {
  return Object.keys(value) as (keyof T)[]
}
