/**
 * Environment variables of a container: ids and facts of its devices. Pure. The first two variables have the names and, byte for
 * byte, the values that programs for the SR-IOV network device plugin read.
 */
import type { PoolConfig } from '../config/plugin-config.ts'
import type { Member } from '../pools/pool.ts'
import { type GoMap, goJson } from './go-json.ts'
import { rdmaOf, rdmaPaths, tun, uioPath, vdpaPath, vfioContainer, vhostNet } from './nodes.ts'

/** The names of the variables of one pool. */
export interface VariableNames {
  /** The compatible name first, then that with `_` for each `-` where it is another one and no pool has it. */
  readonly ids: readonly string[]
  readonly info: readonly string[]
  readonly vf: readonly string[]
}

/** Beginning of a compatible name: upper case, `_` for each dot. A `-` stays, which no shell can read. */
function compatible({ prefix, name }: Pick<PoolConfig, 'prefix' | 'name'>): string {
  return `PCIDEVICE_${prefix}_${name}`.replaceAll('.', '_').toUpperCase()
}

/**
 * The names of the variables of all pools, by resource. A container can have devices of several pools, and kubelet keeps one value of a
 * name: so a name beside the compatible ones is left out where two pools would have it.
 */
export function variableNames(pools: readonly PoolConfig[]): ReadonlyMap<string, VariableNames> {
  const fixed = new Set(pools.flatMap((pool) => [compatible(pool), `${compatible(pool)}_INFO`]))
  const counts = new Map<string, number>()
  for (const name of pools.flatMap(extraNames)) counts.set(name, (counts.get(name) ?? 0) + 1)
  return new Map(
    pools.map((pool) => {
      const base = compatible(pool)
      const extra = extraNames(pool).filter((name) => !fixed.has(name) && counts.get(name) === 1)
      const ending = (end: string) =>
        extra.filter((name) => name === base + end || name === mapped(base) + end)
      return [
        pool.resource,
        { ids: [base, ...ending('')], info: [`${base}_INFO`, ...ending('_INFO')], vf: ending('_VF') },
      ]
    }),
  )
}

/** The names of a pool beside the compatible ones. */
function extraNames(pool: PoolConfig): string[] {
  const base = compatible(pool)
  const shell = mapped(base)
  const vf = [...new Set([`${base}_VF`, `${shell}_VF`])]
  return shell === base ? vf : [shell, `${shell}_INFO`, ...vf]
}

function mapped(name: string): string {
  return name.replaceAll(/[^A-Z0-9_]/g, '_')
}

/**
 * The variables for the members that a container gets, in the order of the request: ids, `_INFO`, and `_VF` with the PF's address, the
 * index below it and the representor of each member that has them.
 * @throws NotReady as {@link nodesOf}
 */
export function environmentOf(
  config: PoolConfig,
  members: readonly Member[],
  names: VariableNames,
): Readonly<Record<string, string>> {
  const byId = (facts: (member: Member) => GoMap | undefined): GoMap =>
    Object.fromEntries(
      members.flatMap((member) => {
        const found = facts(member)
        return found === undefined ? [] : [[member.device.id, found]]
      }),
    )
  const ids = members.map(({ device }) => device.id).join(',')
  const info = goJson(byId((member) => sectionsOf(config, member)))
  const vfs = byId(positionOf)
  const values: [readonly string[], string][] = [
    [names.ids, ids],
    [names.info, info],
    [Object.keys(vfs).length === 0 ? [] : names.vf, goJson(vfs)],
  ]
  return Object.fromEntries(values.flatMap(([keys, value]) => keys.map((key) => [key, value])))
}

/** The sections of `_INFO` for one member: those that apply. */
function sectionsOf({ additionalInfo }: PoolConfig, member: Member): GoMap {
  const { device, selector } = member
  const uio = uioPath(member)
  const rdma = rdmaOf(member)
  const vdpa = vdpaPath(member)
  const hasExtra = Object.keys(additionalInfo).length > 0
  return {
    generic: { deviceID: device.id },
    ...(device.vfio === undefined ? {} : { vfio: vfioSection(device.vfio.group) }),
    ...(uio === undefined ? {} : { uio: { mount: uio } }),
    ...(rdma === undefined ? {} : { rdma: rdmaSection(rdma.device, rdmaPaths(rdma)) }),
    ...(selector.needVhostNet === true ? { vhost: { 'net-mount': vhostNet, 'tun-mount': tun } } : {}),
    ...(selector.vdpaType === undefined ? {} : { vdpa: vdpa === undefined ? {} : { mount: vdpa } }),
    // A subfunction has the words of the function that carries it.
    ...(hasExtra ? { extra: { ...additionalInfo['*'], ...additionalInfo[device.pci] } } : {}),
  }
}

function vfioSection(group: number | undefined): GoMap {
  return { mount: vfioContainer, ...(group === undefined ? {} : { 'dev-mount': `/dev/vfio/${group}` }) }
}

/** The section names its files by kind; `ucm` has no name in it. */
function rdmaSection(device: string, paths: readonly string[]): GoMap {
  const kinds = ['uverbs', 'umad', 'issm', 'rdma_cm']
  const files = kinds.flatMap((kind) => {
    const path = paths.find((one) => one.startsWith(`/dev/infiniband/${kind}`))
    return path === undefined ? [] : [[kind, path] as const]
  })
  return { ...Object.fromEntries(files), rdma_dev: device }
}

function positionOf({ device: { pf, representor } }: Member): GoMap | undefined {
  if (pf === undefined) return undefined
  const end = representor === undefined ? {} : { representor: representor.name }
  return { pf: pf.address, index: String(pf.index), ...end }
}
