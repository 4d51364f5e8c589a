/**
 * The folder of device information: Multus finds a device's file by resource and id, when the pod's network is set up, and again after
 * a restart of this process. So a file stays while a pod has its device.
 */
import { ageOf, listFolder, removeFile, temporaryOf } from '../../../src/sys/files.ts'
import type { PoolConfig } from '../../config/plugin-config.ts'
import type { Member } from '../../pools/pool.ts'
import { writeForOthers } from '../whole-file.ts'
import { deviceInfoText } from './form.ts'

const mode = 0o444
const ending = '-device.json'

/** Age of a file, in milliseconds, before which it stays: the pod that it was written for may be on no list yet. */
const youth = 5 * 60_000

/** The name of a device's file: `PREFIX-NAME-ID-device.json`. Each `/` becomes a `-`. */
export function deviceInfoFile(resource: string, id: string): string {
  return `${beginningOf(resource)}${id.replaceAll('/', '-')}${ending}`
}

/**
 * Writes the files of the members that a container gets.
 * @param folder such as `/var/run/k8s.cni.cncf.io/devinfo/dp`
 * @throws NotReady where a vDPA or RDMA device is missing; FileError, and Node's errors of files, where nothing can be written
 */
export function writeDeviceInfo(
  folder: string,
  { resource }: Pick<PoolConfig, 'resource'>,
  members: readonly Member[],
): void {
  for (const member of members) {
    const text = deviceInfoText(member)
    if (text !== undefined)
      writeForOthers(`${folder}/${deviceInfoFile(resource, member.device.id)}`, text, mode)
  }
}

/**
 * Removes the files of devices that no pod has, but for young ones.
 * @param resources those that this process offers, or has offered: files of others are not touched
 * @param held ids of the devices that pods have
 * @returns the names of the files that it removed
 */
export function sweepDeviceInfo(
  folder: string,
  resources: readonly string[],
  held: ReadonlySet<string>,
): readonly string[] {
  const beginnings = resources.map(beginningOf)
  const idle = listFolder(folder).filter((name) => {
    // The temporary file of a process that was killed goes with the file that it was to become.
    const file = temporaryOf(name) ?? name
    const id = beginnings.map((beginning) => idOf(file, beginning)).find((one) => one !== undefined)
    return id !== undefined && !held.has(id) && (ageOf(`${folder}/${name}`) ?? 0) > youth
  })
  for (const file of idle) removeFile(`${folder}/${file}`, 'volatile')
  return idle
}

function beginningOf(resource: string): string {
  return `${resource.replaceAll('/', '-')}-`
}

/** The PCI address in a file's name. The name of another resource that begins alike has something else there. */
function idOf(file: string, beginning: string): string | undefined {
  if (!file.startsWith(beginning) || !file.endsWith(ending)) return undefined
  const id = file.slice(beginning.length, -ending.length)
  return /^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/.test(id) ? id : undefined
}
