/**
 * The parts of the kernel that most calls do not need, each loaded when it is first asked for and kept: to look up a module that is loaded
 * costs as much as a question of the kernel, and `vfctl show` asks several for each pod.
 */
const loaded: {
  tc?: typeof import('./lazy-tc.ts')
  nftables?: typeof import('./lazy-nftables.ts')
  ownConnections?: typeof import('./lazy-own-connections.ts')
  inspect?: typeof import('./lazy-inspect.ts')
} = {}

/** Filters and rates: half of all code below the plugins. Calls that only attach do without. */
export const tc = () => {
  loaded.tc ??= require('./lazy-tc.ts') as typeof import('./lazy-tc.ts')
  return loaded.tc
}

/** Reservations and tables: the whole need of port mappings for a pod behind a veth. */
export const nftables = () => {
  loaded.nftables ??= require('./lazy-nftables.ts') as typeof import('./lazy-nftables.ts')
  return loaded.nftables
}

/** The node's own connections, which port mappings on a wire keep. */
export const ownConnections = () => {
  loaded.ownConnections ??= require('./lazy-own-connections.ts') as typeof import('./lazy-own-connections.ts')
  return loaded.ownConnections
}

/** Questions of CHECK, STATUS and vfctl alone. */
export const inspect = () => {
  loaded.inspect ??= require('./lazy-inspect.ts') as typeof import('./lazy-inspect.ts')
  return loaded.inspect
}

/** Things that a pod may have left on an interface. */
export const residue = () => require('../link/residue.ts') as typeof import('../link/residue.ts')

/** The qdisc that filters hang on. */
export const clsact = () => require('../tc/clsact.ts') as typeof import('../tc/clsact.ts')

/** The guard of an interface by which programs at 127.0.0.1 reach a pod. */
export const guard = () => require('../tc/loopback-guard.ts') as typeof import('../tc/loopback-guard.ts')
