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
  readonly #listed: readonly Interface[]
  readonly #byName: ReadonlyMap<string, Interface>
  /** Kernels before 5.14 name no parents. */
  readonly #byParent = new Map<string, Interface[]>()
  readonly #unlisted: Interface[] = []

  constructor(links: readonly NetworkLink[]) {
    this.#listed = links.map((link) => ({ ...link, isListed: true }))
    this.#byName = new Map(this.#listed.map((link) => [link.name, link]))
    for (const link of this.#listed) {
      if (link.parent === undefined) continue
      const known = this.#byParent.get(link.parent)
      if (known === undefined) this.#byParent.set(link.parent, [link])
      else known.push(link)
    }
  }

  /** All interfaces of the kernel's list, and those that only sysfs has told of until now. */
  all(): readonly Interface[] {
    return [...this.#listed, ...this.#unlisted]
  }

  /**
   * The interfaces of the device whose folder is `folder`. `device` is its name for IFLA_PARENT_DEV_NAME. Folders are read where the
   * kernel's list has nothing for that name: the interfaces are in pods, or without a parent, or of another sysfs than the kernel's.
   */
  of(folder: string, entries: readonly string[], device: string): readonly Interface[] {
    if (entries.includes('net')) return this.#in(`${folder}/net`, device)
    const virtio = entries.find((name) => name.startsWith('virtio'))
    return virtio === undefined ? [] : this.#in(`${folder}/${virtio}/net`, virtio)
  }

  #in(path: string, parent: string): readonly Interface[] {
    return (
      this.#byParent.get(parent) ??
      listFolder(path).flatMap((name) => this.#one(`${path}/${name}`, name, parent) ?? [])
    )
  }

  #one(path: string, name: string, parent: string): Interface | undefined {
    const listed = this.#byName.get(name)
    if (listed !== undefined && (listed.parent ?? parent) === parent) return listed
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
  const entries = listFolder(path)
  // Not every file is there in a folder that stands for sysfs, and asking for absent ones is dear.
  const value = (file: string) => (entries.includes(file) ? readable(`${path}/${file}`) : undefined)
  const ifindex = Number(value('ifindex') ?? 0)
  if (ifindex === 0) return undefined
  const physPortId = value('phys_port_id')
  const up = (Number(value('flags') ?? 0) & IFF_UP) !== 0
  return {
    ...{ name, ifindex, parent, up, altnames: [], mac: value('address') ?? '' },
    ...{ carrier: up && value('carrier') === '1', type: Number(value('type') ?? 0) },
    ...{ physSwitchId: value('phys_switch_id'), physPortName: value('phys_port_name') },
    ...(physPortId === undefined ? {} : { physPortId }),
    ...{ master: undefined, lower: undefined, kind: undefined, slaveKind: undefined, isListed: false },
  }
}

/** A value of sysfs; undefined for files that answer EOPNOTSUPP or EINVAL, as those of ports and of the carrier may. */
function readable(path: string): string | undefined {
  try {
    return readText(path)
  } catch {
    return undefined
  }
}
