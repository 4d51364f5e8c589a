/** The interfaces of devices: names from sysfs, facts from the kernel's list of interfaces. */
import type { NetworkLink } from '../../src/kernel/api/network-facts.ts'
import { listFolder, readText } from '../../src/sys/files.ts'
import type { Netdev } from './snapshot.ts'

/** An interface of a device. */
export interface Interface extends NetworkLink {
  /** The kernel's list has it, so its number is good for questions. False: the facts are those of sysfs. */
  readonly isListed: boolean
}

/** IFF_UP of linux/if.h */
const IFF_UP = 1

/** The interfaces of one scan. */
export class Interfaces {
  readonly #listed: ReadonlyMap<string, NetworkLink>
  readonly #unlisted: Interface[] = []

  constructor(links: readonly NetworkLink[]) {
    this.#listed = new Map(links.map((link) => [link.name, link]))
  }

  /** All interfaces of the kernel's list, and those that only sysfs has told of until now. */
  all(): readonly Interface[] {
    const listed = [...this.#listed.values()].map((link) => ({ ...link, isListed: true }))
    return [...listed, ...this.#unlisted]
  }

  /**
   * The interfaces of the device whose folder is `folder`. `device` is its name for IFLA_PARENT_DEV_NAME. Interfaces that the
   * kernel's list lacks, or has for another device, are those of another sysfs than the kernel's, or were just made.
   */
  of(folder: string, entries: readonly string[], device: string): Interface[] {
    const places = entries.filter((name) => name === 'net' || name.startsWith('virtio'))
    return places.flatMap((place) => {
      const parent = place === 'net' ? device : place
      const path = place === 'net' ? `${folder}/net` : `${folder}/${place}/net`
      return listFolder(path).flatMap((name) => this.#one(`${path}/${name}`, name, parent) ?? [])
    })
  }

  #one(path: string, name: string, parent: string): Interface | undefined {
    const listed = this.#listed.get(name)
    // Kernels before 5.14 name no parent.
    const isSame = listed !== undefined && (listed.parent ?? parent) === parent
    if (isSame) return { ...listed, parent, isListed: true }
    const unlisted = fromSysfs(path, name, parent)
    if (unlisted !== undefined) this.#unlisted.push(unlisted)
    return unlisted
  }
}

/** An interface as the snapshot has it. */
export function netdevOf({ name, altnames, ifindex, mac, up, carrier }: NetworkLink): Netdev {
  return { name, altnames, ifindex, mac, up, carrier }
}

function fromSysfs(path: string, name: string, parent: string): Interface | undefined {
  const ifindex = Number(valueIn(`${path}/ifindex`) ?? 0)
  if (ifindex === 0) return undefined
  const up = (Number(valueIn(`${path}/flags`) ?? 0) & IFF_UP) !== 0
  return {
    ...{ name, ifindex, parent, up, altnames: [], mac: valueIn(`${path}/address`) ?? '' },
    ...{ carrier: up && valueIn(`${path}/carrier`) === '1', type: Number(valueIn(`${path}/type`) ?? 0) },
    ...{ physSwitchId: valueIn(`${path}/phys_switch_id`), physPortName: valueIn(`${path}/phys_port_name`) },
    ...{ master: undefined, lower: undefined, kind: undefined, slaveKind: undefined, isListed: false },
  }
}

/** A value of sysfs; undefined also for files that answer EOPNOTSUPP or EINVAL, as those of ports and of the carrier do. */
function valueIn(path: string): string | undefined {
  try {
    return readText(path)
  } catch {
    return undefined
  }
}
