/** The file of device information that a runtime names for an attachment. Nothing of it can make an ADD fail. */
import type { Request } from '../../cni/request.ts'
import { boundedPath } from '../../lib/bounded-path.ts'
import { shown } from '../../lib/json.ts'
import { notice } from '../../lib/log/notice.ts'
import { step } from '../../lib/log/steps.ts'
import { readTrusted } from '../../lib/trusted-file.ts'
import { isVdpaOf, rdmaDevicesOf } from '../../nic/pci.ts'
import { noteAt } from '../../records/store.ts'
import type { AttachConfig } from '../config/config.ts'
import { deviceInfoOf } from '../device/device-info.ts'
import type { AttachFacts } from '../device/facts.ts'

/** Multus's folder of these files; it has no key to change it. */
export const deviceInfoFolder = '/var/run/k8s.cni.cncf.io/devinfo/cni'

/** Largest file that is read, in bytes. One of the device plugin has some hundred. */
const mostBytes = 16 << 10

/**
 * Writes what the kernel says of a PCI device into the file that the runtime names, where the runtime names one: Multus puts it into
 * the network status of the pod. A file that can not be used is a notice; so is each thing in it that the kernel says otherwise.
 */
export function tellDeviceInfo(
  request: Pick<Request, 'containerID'>,
  { deviceInfoFile: path }: Pick<AttachConfig, 'deviceInfoFile'>,
  facts: Pick<AttachFacts, 'device' | 'vf'>,
  folder = deviceInfoFolder,
): void {
  if (path === undefined) return
  const told = (words: string) => notice(`vf-attach: device information ${shown(path)}: ${words}`)
  try {
    step('device-info', () => write(request, path, facts, folder, told))
  } catch (error) {
    told(`not written: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function write(
  { containerID }: Pick<Request, 'containerID'>,
  path: string,
  { device: { pci }, vf }: Pick<AttachFacts, 'device' | 'vf'>,
  folder: string,
  told: (words: string) => void,
): void {
  if (pci === undefined) return
  const real = boundedPath(path, [folder])
  // The author of a config can name a file there as well as the runtime: that of another pod has another container's ID.
  if (!real.slice(real.lastIndexOf('/')).includes(containerID)) {
    told(`not written: its name must have the container ID "${containerID}" in it`)
    return
  }
  const old = oldText(real, told)
  const { text, doubts } = deviceInfoOf(old, {
    address: pci.address,
    pf: pci.vf?.pf,
    representor: vf?.representor?.link.name,
    rdma: pci.rdma === true ? rdmaDevicesOf(pci.address) : [],
    isVdpa: (name) => isVdpaOf(name, pci.address),
  })
  for (const doubt of doubts) told(`${doubt}; it is written anew`)
  if (text !== old) noteAt(real, 'volatile', 0o444).set(text)
}

/** The text of the file; undefined where there is none, and, with a notice, where it can't be trusted. */
function oldText(path: string, told: (words: string) => void): string | undefined {
  try {
    return readTrusted(path, mostBytes).trimEnd()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') told(`not read: ${message}`)
    return undefined
  }
}
