/** The RDMA device of a function or subfunction, as sysfs has it. */
import { isThere, listFolder, readText } from '../../src/sys/files.ts'
import type { Rdma } from './snapshot.ts'

/** The folder of a device, and the names in it. */
interface Place {
  readonly folder: string
  readonly entries: readonly string[]
}

const kinds = ['infiniband_verbs', 'infiniband_mad', 'infiniband_cm'] as const
const infiniband = 'infiniband'

/**
 * Reads the RDMA device. While that device is in a pod's namespace, the folder `infiniband` is empty, and the files of its
 * programs still tell its name. `wantsKey` asks for the P_Key, which has no meaning on Ethernet.
 */
export function rdmaOf({ folder, entries }: Place, hasManager: boolean, wantsKey: boolean): Rdma | undefined {
  const files = kinds.flatMap((kind) =>
    entries.includes(kind) ? listFolder(`${folder}/${kind}`).map((name) => ({ kind, name })) : [],
  )
  const devices = entries.includes(infiniband) ? listFolder(`${folder}/${infiniband}`) : []
  const ownerOf = (file: { readonly kind: string; readonly name: string }) =>
    readText(`${folder}/${file.kind}/${file.name}/ibdev`)
  const device = devices[0] ?? (files[0] === undefined ? undefined : ownerOf(files[0]))
  if (device === undefined) return undefined
  const own = devices.length > 1 ? files.filter((file) => ownerOf(file) === device) : files
  const named = (start: string) => own.find(({ name }) => name.startsWith(start))?.name
  const key = wantsKey ? readText(`${folder}/${infiniband}/${device}/ports/1/pkeys/0`) : undefined
  return {
    device,
    files: withoutAbsent({
      uverbs: named('uverbs'),
      umad: named('umad'),
      issm: named('issm'),
      ucm: named('ucm'),
    }),
    connectionManager: hasManager,
    pKey: key?.trim(),
  }
}

/** True when the file of the connection manager is there. */
export function hasConnectionManager(dev: string): boolean {
  return isThere(`${dev}/infiniband/rdma_cm`)
}

/** An RDMA device of which only its driver tells that it exists: it is in the namespace of a pod. */
export function hiddenRdma(hasManager: boolean): Rdma {
  return { device: '', files: {}, connectionManager: hasManager, pKey: undefined }
}

function withoutAbsent(files: Readonly<Record<keyof Rdma['files'], string | undefined>>): Rdma['files'] {
  return Object.fromEntries(Object.entries(files).filter(([, name]) => name !== undefined))
}
