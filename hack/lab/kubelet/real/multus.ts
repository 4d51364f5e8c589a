// Multus ("thin"), whose program the user brings, in front of the network of pods, and networks that pods ask for. In: a kubeconfig. Out:
// configs and objects of the API.
import type { ConfigList, PluginConfig } from '../../cni-runtime.ts'
import { BIN_DIR, offload } from '../../containerd/networks.ts'
import type { ApiObject, Cluster } from './cluster.ts'
import { RESOURCE } from './node-plugin.ts'
import { until } from './until.ts'

/** Path of the plugin in the node. */
export const BIN = `${BIN_DIR}/multus`
/** The network that a pod asks for, beside that of all pods. */
export const NETWORK = 'vf'
/** The end of a veth that stands for a VF on a node without a card; the other end has the gateway. */
export const NIC = {
  name: 'nic0',
  gateway: '10.88.2.1',
  make: 'ip link add nic0 type veth peer name far-nic0 && ip address add 10.88.2.1/24 dev far-nic0 && ip link set far-nic0 up',
} as const
const GROUP = 'k8s.cni.cncf.io'
const KIND_NAME = `network-attachment-definitions.${GROUP}`
/** Path of the networks that the pods of the server's namespace `default` may ask for. */
export const NETWORKS = `/apis/${GROUP}/v1/namespaces/default/network-attachment-definitions`

/** The list for the runtime: Multus with `pods` as the network of all pods. */
export function multusNetwork(pods: ConfigList, kubeconfig: string): ConfigList {
  const multus: PluginConfig = {
    ...{ type: 'multus', kubeconfig, binDir: BIN_DIR, logLevel: 'error', logToStderr: true },
    ...{ capabilities: { portMappings: true, bandwidth: true }, delegates: [pods] },
  }
  return { cniVersion: pods.cniVersion, name: 'multus', plugins: [multus] }
}

/** Makes the kind NetworkAttachmentDefinition, and {@link NETWORK}: of VFs of the resource, or of {@link NIC}. */
export async function makeNetwork(cluster: Cluster, hasVfs: boolean): Promise<void> {
  await makeKindOfNetworks(cluster)
  const ipam = {
    type: 'host-local',
    ranges: [
      [{ subnet: hasVfs ? '10.1.0.0/24' : '10.88.2.0/24', rangeStart: hasVfs ? '10.1.0.50' : '10.88.2.50' }],
    ],
  }
  const attach: PluginConfig = { type: 'vf-attach', ...(hasVfs ? {} : { device: NIC.name }), ipam }
  const config: ConfigList = { cniVersion: '1.0.0', name: NETWORK, plugins: [attach, offload] }
  const annotations = hasVfs ? { [`${'k8s.v1.cni.cncf.io'}/resourceName`]: RESOURCE } : {}
  const body = networkObject(config, annotations)
  // The server answers 404 until it serves the new kind.
  await until(
    () => cluster.api('POST', NETWORKS, body).catch(() => undefined),
    () => `the server has the network "${NETWORK}"`,
  )
}

/** Makes the kind NetworkAttachmentDefinition, unless the server has it. */
export async function makeKindOfNetworks(cluster: Cluster): Promise<void> {
  const kinds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
  const has = await cluster.api('GET', `${kinds}/${KIND_NAME}`).catch(() => undefined)
  if (has === undefined) await cluster.api('POST', kinds, KIND)
}

/** A network that pods may ask for by the name of its list, in the server's namespace `default`. */
export function networkObject(
  config: ConfigList,
  annotations: Readonly<Record<string, string>> = {},
): ApiObject {
  return {
    ...{ apiVersion: `${GROUP}/v1`, kind: 'NetworkAttachmentDefinition' },
    ...{ metadata: { name: config.name, annotations }, spec: { config: JSON.stringify(config) } },
  }
}

/** The kind NetworkAttachmentDefinition, as strict as that of Multus: one text is all that there is in a spec. */
export const KIND: ApiObject = {
  ...{ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' },
  metadata: { name: KIND_NAME },
  spec: {
    ...{ group: GROUP, scope: 'Namespaced' },
    names: {
      ...{ plural: 'network-attachment-definitions', singular: 'network-attachment-definition' },
      kind: 'NetworkAttachmentDefinition',
    },
    versions: [
      {
        ...{ name: 'v1', served: true, storage: true },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { spec: { type: 'object', properties: { config: { type: 'string' } } } },
          },
        },
      },
    ],
  },
}
