/** The access of one container to members of a pool: variables, and device files or CDI names. */
import type { PoolConfig } from '../config/plugin-config.ts'
import type { Member } from '../pools/pool.ts'
import type { ContainerAccess } from './access.ts'
import { cdiName, isCdiVendor } from './cdi/names.ts'
import { environmentOf, type VariableNames } from './environment.ts'
import { type Exists, nodesOf, requireNodes, unique } from './nodes.ts'

/** The surroundings of an answer. */
export interface AccessOptions {
  /** Names of the pool's variables: {@link variableNames}. */
  readonly names: VariableNames
  /** A file exists on the node: `/dev/...`, below whatever folder this process sees it at. */
  readonly exists: Exists
  /** `names`: files come by CDI names. */
  readonly cdi: 'off' | 'names'
}

/**
 * The access to `members`, in the order of the request. With CDI, files come by name; a member without files needs none, because a
 * CDI spec can not name it. A prefix that CDI does not allow (it must begin with a letter) gets device files all the same.
 * @throws NotReady when a file is missing on the node, or an RDMA or vDPA device that the selector asks for
 */
export function accessOf(
  config: PoolConfig,
  members: readonly Member[],
  { names, exists, cdi }: AccessOptions,
): ContainerAccess {
  const files = members.map((member) => {
    const nodes = nodesOf(member, exists)
    requireNodes(member.device.id, nodes, exists)
    return { id: member.device.id, nodes }
  })
  const env = environmentOf(config, members, names)
  const base = { env, mounts: [], cdiNames: [] }
  if (cdi === 'off' || !isCdiVendor(config.prefix))
    return { ...base, deviceNodes: unique(files.flatMap(({ nodes }) => nodes)) }
  const cdiNames = files.filter(({ nodes }) => nodes.length > 0).map(({ id }) => cdiName(config, id))
  return { ...base, deviceNodes: [], cdiNames }
}
