/** Wire layout of kubelet's podresources v1: the List call, as far as devices of containers go. The decoder passes over the rest. */
import { fromJSON, type PackageDefinition } from '@grpc/proto-loader'

const field = (id: number, type: string, rule?: 'repeated') =>
  rule === undefined ? { id, type } : { id, type, rule }

const layout = {
  nested: {
    v1: {
      nested: {
        ListPodResourcesRequest: { fields: {} },
        ListPodResourcesResponse: { fields: { pod_resources: field(1, 'PodResources', 'repeated') } },
        PodResources: {
          fields: {
            name: field(1, 'string'),
            namespace: field(2, 'string'),
            containers: field(3, 'ContainerResources', 'repeated'),
          },
        },
        ContainerResources: {
          fields: { name: field(1, 'string'), devices: field(2, 'ContainerDevices', 'repeated') },
        },
        ContainerDevices: {
          fields: { resource_name: field(1, 'string'), device_ids: field(2, 'string', 'repeated') },
        },
        PodResourcesLister: {
          methods: {
            List: { requestType: 'ListPodResourcesRequest', responseType: 'ListPodResourcesResponse' },
          },
        },
      },
    },
  },
}

/** The service `v1.PodResourcesLister` with its List call. */
export function podResourcesPackage(): PackageDefinition {
  return fromJSON(layout as Parameters<typeof fromJSON>[0], { keepCase: true, defaults: true, arrays: true })
}
