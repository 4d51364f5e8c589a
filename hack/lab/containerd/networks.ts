// Network configs of the pods that a container runtime makes in tests, and the folders where the runtime finds plugins and configs. Each
// network is a runtime handler of its own, so that one runtime has all of them. In: names. Out: texts of files.
import type { ConfigList, PluginConfig } from '../cni-runtime.ts'

/** The runtime's folder of plugins: links to those of the build and of the distribution. */
export const BIN_DIR = '/opt/cni/bin'

/** The folder of the network `name`. */
export function configFolder(name: string): string {
  return `/etc/cni/${name}.d`
}

/** Our plugin at the end of a chain, with what containerd hands over by capabilities. */
export const offload: PluginConfig = {
  type: 'vf-offload',
  capabilities: { portMappings: true, bandwidth: true },
}

/** host-local with the addresses of one subnet, `10.88.N.0/24`. */
export function hostLocal(n: number): Record<string, unknown> {
  return {
    type: 'host-local',
    ranges: [[{ subnet: `10.88.${n}.0/24` }]],
    routes: [{ dst: '0.0.0.0/0' }],
  }
}

/** A list in the newest version of the protocol that the distribution's plugins speak, or those of VF_RUNTIMES. */
export function network(name: string, ...plugins: readonly PluginConfig[]): ConfigList {
  return { cniVersion: process.env.VF_RUNTIMES === undefined ? '1.0.0' : '1.1.0', name, plugins }
}

/** A bridge `bridge` with the gateway of `ipam`. */
export function bridge(name: string, ipam: Record<string, unknown>): PluginConfig {
  return { type: 'bridge', bridge: name, isGateway: true, hairpinMode: true, ipMasq: false, ipam }
}
