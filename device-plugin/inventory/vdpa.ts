/**
 * vDPA devices, as sysfs has them. The bus shows parent and driver of each, which is all that generic netlink's VDPA_CMD_DEV_GET
 * would tell about which function has which device.
 */
import { linkName, linkTarget, listFolder } from '../../src/sys/files.ts'
import { addressesIn } from './functions.ts'
import type { Vdpa } from './snapshot.ts'
import type { Unanswered } from './unanswered.ts'

/** Drivers of the vdpa bus (drivers/vhost/vdpa.c, drivers/virtio/virtio_vdpa.c). */
const types: Readonly<Record<string, Vdpa['type']>> = { vhost_vdpa: 'vhost', virtio_vdpa: 'virtio' }

/** The vDPA devices that have a driver, by the id of the function or subfunction below which they are; the first of each. */
export function readVdpas(sys: string, unanswered: Unanswered): ReadonlyMap<string, Vdpa> {
  const top = `${sys}/bus/vdpa/devices`
  const found = new Map<string, Vdpa>()
  for (const name of listFolder(top)) {
    const [owner, vdpa] = unanswered.ask(name, () => readVdpa(`${top}/${name}`, name), [])
    if (owner !== undefined && vdpa !== undefined && !found.has(owner)) found.set(owner, vdpa)
  }
  return found
}

function readVdpa(folder: string, name: string): readonly [owner?: string, vdpa?: Vdpa] {
  const type = types[linkName(`${folder}/driver`) ?? '']
  const path = linkTarget(folder) ?? ''
  const parent = path.split('/').at(-2) ?? ''
  const owner = /\.sf\.\d+$/.test(parent) ? parent : addressesIn(path).at(-1)
  if (type === undefined || owner === undefined) return []
  const file = type === 'vhost' ? listFolder(folder).find((one) => one.startsWith('vhost-vdpa-')) : undefined
  return [owner, { name, type, path: file === undefined ? undefined : `/dev/${file}` }]
}
