/** Rates of a VF that the chain plugin has set after vf-attach: a limit of a pod is no difference. Its records tell. */
import '../../lib/zod-settings.ts'
import * as z from 'zod/mini'
import type { Request } from '../../cni/request.ts'
import type { Op, VfAttributes } from '../../ops/op.ts'
import { recordStore } from '../../ops/record-store.ts'

/** Where the chain plugin keeps records with limits: one folder for each name that it does so under. */
const folders = ['offload', 'bandwidth'] as const

/** What of such a record is read here. */
const chainJournal = () =>
  z.object({
    device: z.optional(z.string()),
    limits: z.optional(z.array(z.object({ ops: z.array(z.custom<Op>()) }))),
  })

/** The rates that the chain plugin has set for this attachment on the device, since the boot `bootId`. */
export function limitsOfChain(
  stateDir: string,
  bootId: string,
  { name: network, containerID, ifname }: Request,
  device: string,
): readonly NonNullable<VfAttributes['rate']>[] {
  return folders.flatMap((folder) => {
    const store = recordStore(stateDir, folder, chainJournal)
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
