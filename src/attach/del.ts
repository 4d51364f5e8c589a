/** DEL of `vf-attach`. It has an entry of its own: a process that serves one DEL does without the code of the other verbs. */
import type { CniError } from '../cni/error.ts'
import { explained, failure, throwJoined } from '../cni/failure.ts'
import type { Request } from '../cni/request.ts'
import type { Machine } from '../kernel/api/machine.ts'
import { attachRecords } from '../records/attach.ts'
import { keepingNewer } from '../records/newer.ts'
import { readTeardownConfig, readWanted } from './config/config.ts'
import { withDeviceLock } from './foreign/device-lock.ts'
import { restoreAttachment } from './restore/attachment.ts'
import { restoreForeign } from './restore/foreign.ts'
import { withPatience } from './state/locks.ts'
import { ipamBeside } from './verbs/ipam.ts'
import { awaitIpam } from './verbs/spawn.ts'

/** Serves DEL. It puts the device back and frees the addresses; each is tried whatever becomes of the other. */
export function attachDel(machine: Machine): (request: Request) => void {
  return (request) => explained(() => del(machine, request))
}

function del(node: Machine, request: Request): void {
  const machine = withPatience(node)
  const { hasIpam, stateDir } = readTeardownConfig(request)
  const store = keepingNewer(attachRecords(stateDir), 'vf-attach', request)
  const errors: CniError[] = []
  const attempt = (action: () => void) => {
    try {
      action()
    } catch (error) {
      errors.push(failure(error))
    }
  }
  const locked = (id: string, action: () => void) => withDeviceLock(machine, stateDir, id, action)
  const isOurs = (id: string) => store.list().some(({ subject }) => subject === id)
  const ipam = ipamBeside('DEL', request, machine)
  const name = store
    .list()
    .find((record) => record.containerID === request.containerID && record.ifname === request.ifname)
  attempt(() =>
    name === undefined
      ? restoreForeign({ machine, store, isOurs, locked }, request, readWanted(request).selectors)
      : locked(name.subject, () => {
          if (hasIpam) awaitIpam(machine, name)
          restoreAttachment(machine, store, name, request.netns, hasIpam ? ipam.begin : undefined)
        }),
  )
  if (hasIpam) attempt(() => ipam.finish())
  throwJoined(errors)
}
