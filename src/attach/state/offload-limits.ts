/** Rates of a VF that the chain plugin has set after vf-attach: a limit of a pod is no difference. Its records tell. */
import type { Request } from '../../cni/request.ts'
import type { VfAttributes } from '../../ops/op.ts'
import { offloadRecords } from '../../records/offload.ts'

/** Folders of the chain plugin's records with limits: one for each name that it sets limits under. */
const folders = ['offload', 'bandwidth'] as const

/** The rates that the chain plugin has set for this attachment on the device, since the boot `bootId`. */
export function limitsOfChain(
  stateDir: string,
  bootId: string,
  { name: network, containerID, ifname }: Request,
  device: string,
): readonly NonNullable<VfAttributes['rate']>[] {
  return folders.flatMap((folder) => {
    const store = offloadRecords(stateDir, folder)
    try {
      const record = store.read(store.nameOf(network, containerID, ifname))
      if (record?.owner.bootId !== bootId || record.journal.device !== device) return []
      const ops = (record.journal.limits ?? []).flatMap((limit) => limit.ops)
      return ops.flatMap((op) => (op.do === 'vf.set' && op.set.rate !== undefined ? [op.set.rate] : []))
    } catch {
      return [] // CHECK of the chain plugin says what is wrong with it
    }
  })
}
