import { agent } from './agent.ts'
import { agentFailure } from './agent-failure.ts'
import { attach } from './attach.ts'
import { attachIpam } from './attach-ipam.ts'
import { attachNames } from './attach-names.ts'
import { attachOwners } from './attach-owners.ts'
import { calls } from './calls.ts'
import { cni } from './cni.ts'
import { configTables } from './config-tables.ts'
import { container } from './container.ts'
import { deploy } from './deploy.ts'
import { deviceKubelet } from './device-kubelet.ts'
import { deviceObserve } from './device-observe.ts'
import { devicePluginConfig } from './device-plugin-config.ts'
import { devicePluginWatch } from './device-plugin-watch.ts'
import { devicePools } from './device-pools.ts'
import { deviceProgram } from './device-program.ts'
import { deviceRestore } from './device-restore.ts'
import { deviceService } from './device-service.ts'
import { deviceWeight } from './device-weight.ts'
import { drivers } from './drivers.ts'
import { features } from './features.ts'
import { hostileBounds } from './hostile-bounds.ts'
import { hostileClean } from './hostile-clean.ts'
import { hostileIdentity } from './hostile-identity.ts'
import { image } from './image.ts'
import { install } from './install.ts'
import { inventory } from './inventory.ts'
import { kernel } from './kernel.ts'
import { kernelTable } from './kernel-table.ts'
import { lib } from './lib.ts'
import { localhost } from './localhost.ts'
import { lock } from './lock.ts'
import type { Mutation } from './mutation.ts'
import { netlink } from './netlink.ts'
import { nic } from './nic.ts'
import { node } from './node.ts'
import { nodeSize } from './node-size.ts'
import { offload } from './offload.ts'
import { offloadSteering } from './offload-steering.ts'
import { ops } from './ops.ts'
import { ownConnections } from './own-connections.ts'
import { owners } from './owners.ts'
import { records } from './records.ts'
import { release } from './release.ts'
import { runtimes } from './runtimes.ts'
import { services } from './services.ts'
import { shim } from './shim.ts'
import { sys } from './sys.ts'
import { tables } from './tables.ts'
import { uplinks } from './uplinks.ts'

/** All mutations. */
export const mutations: readonly Mutation[] = [
  ...agentFailure,
  ...deploy,
  ...attach,
  ...calls,
  ...attachIpam,
  ...attachNames,
  ...uplinks,
  ...attachOwners,
  ...hostileClean,
  ...offload,
  ...features,
  ...drivers,
  ...localhost,
  ...offloadSteering,
  ...ownConnections,
  ...image,
  ...install,
  ...inventory,
  ...kernel,
  ...kernelTable,
  ...netlink,
  ...nic,
  ...node,
  ...nodeSize,
  ...ops,
  ...cni,
  ...sys,
  ...lib,
  ...services,
  ...release,
  ...runtimes,
  ...shim,
  ...agent,
  ...owners,
  ...hostileIdentity,
  ...lock,
  ...hostileBounds,
  ...configTables,
  ...records,
  ...tables,
  ...deviceKubelet,
  ...deviceObserve,
  ...container,
  ...devicePools,
  ...deviceWeight,
  ...deviceService,
  ...devicePluginConfig,
  ...devicePluginWatch,
  ...deviceProgram,
  ...deviceRestore,
]
