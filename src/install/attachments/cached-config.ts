/** The config of an attachment as the runtime has it: libcni keeps what it has sent with each ADD (libcni/api.go, "cniCacheV1"). */
import { isObject } from '../../lib/json.ts'
import type { Owner } from '../../ops/owner-netns.ts'
import { objectAt, objectIn } from '../json-file.ts'

/** Folder of libcni's files. */
export const cniCache = '/var/lib/cni/results'

/** Names of plugins by the one that serves them now. */
const sameAs: Readonly<Record<string, readonly string[]>> = {
  'vf-attach': ['vf-attach', 'sriov', 'host-device'],
}

/** The config of `plugin` for a DEL of this attachment; undefined where libcni has kept none. */
export function cachedConfig(
  folder: string,
  { network, containerID, ifname }: Pick<Owner, 'network' | 'containerID' | 'ifname'>,
  plugin: string,
): Readonly<Record<string, unknown>> | undefined {
  const cached = objectAt(`${folder}/${network}-${containerID}-${ifname}`)
  const { config: encoded, capabilityArgs, result } = cached ?? {}
  if (typeof encoded !== 'string') return undefined
  const config = objectIn(Buffer.from(encoded, 'base64').toString('utf8'))
  if (config === undefined) return undefined
  const list: readonly unknown[] = Array.isArray(config.plugins) ? config.plugins : [config]
  const names = sameAs[plugin] ?? [plugin]
  const own = list.find((one) => isObject(one) && names.includes(String(one.type)))
  if (!isObject(own)) return undefined
  const wanted = isObject(own.capabilities) ? own.capabilities : {}
  const given = Object.entries(isObject(capabilityArgs) ? capabilityArgs : {}).filter(
    ([key]) => wanted[key] === true,
  )
  return {
    ...own,
    ...{ name: config.name, cniVersion: config.cniVersion },
    ...(given.length === 0 ? {} : { runtimeConfig: Object.fromEntries(given) }),
    ...(isObject(result) ? { prevResult: result } : {}),
  }
}
