/**
 * Messages of the three protocols that kubelet speaks here: the device plugin API v1beta1, plugin registration v1, and podresources v1.
 * Each field is a row of `NUMBER name: type`, so that a number can be compared with the protocol at a glance. Fields of answers that
 * nobody here reads are left out: the decoder passes over them.
 */

/** Messages of a package, by name. A type ends in `[]` for a repeated field and in `{}` for a map whose keys are strings. */
type Messages = Readonly<Record<string, readonly string[]>>

/** Calls of a service: `REQUEST -> ANSWER`, or `REQUEST -> stream ANSWER`. */
type Calls = Readonly<Record<string, string>>

/** One package. */
export interface WirePackage {
  readonly messages: Messages
  readonly services: Readonly<Record<string, Calls>>
}

/** All packages, by the name that they have on the wire. */
export const packages: Readonly<Record<'v1beta1' | 'pluginregistration' | 'v1', WirePackage>> = {
  v1beta1: {
    messages: {
      Empty: [],
      DevicePluginOptions: ['1 pre_start_required: bool', '2 get_preferred_allocation_available: bool'],
      RegisterRequest: [
        '1 version: string',
        '2 endpoint: string',
        '3 resource_name: string',
        '4 options: DevicePluginOptions',
      ],
      TopologyInfo: ['1 nodes: NUMANode[]'],
      NUMANode: ['1 ID: int64'],
      Device: ['1 ID: string', '2 health: string', '3 topology: TopologyInfo'],
      ListAndWatchResponse: ['1 devices: Device[]'],
      ContainerPreferredAllocationRequest: [
        '1 available_deviceIDs: string[]',
        '2 must_include_deviceIDs: string[]',
        '3 allocation_size: int32',
      ],
      PreferredAllocationRequest: ['1 container_requests: ContainerPreferredAllocationRequest[]'],
      ContainerPreferredAllocationResponse: ['1 deviceIDs: string[]'],
      PreferredAllocationResponse: ['1 container_responses: ContainerPreferredAllocationResponse[]'],
      ContainerAllocateRequest: ['1 devices_ids: string[]'],
      AllocateRequest: ['1 container_requests: ContainerAllocateRequest[]'],
      Mount: ['1 container_path: string', '2 host_path: string', '3 read_only: bool'],
      DeviceSpec: ['1 container_path: string', '2 host_path: string', '3 permissions: string'],
      CDIDevice: ['1 name: string'],
      ContainerAllocateResponse: [
        '1 envs: string{}',
        '2 mounts: Mount[]',
        '3 devices: DeviceSpec[]',
        '4 annotations: string{}',
        '5 cdi_devices: CDIDevice[]',
      ],
      AllocateResponse: ['1 container_responses: ContainerAllocateResponse[]'],
      PreStartContainerRequest: ['1 devices_ids: string[]'],
      PreStartContainerResponse: [],
    },
    services: {
      Registration: { Register: 'RegisterRequest -> Empty' },
      DevicePlugin: {
        GetDevicePluginOptions: 'Empty -> DevicePluginOptions',
        ListAndWatch: 'Empty -> stream ListAndWatchResponse',
        GetPreferredAllocation: 'PreferredAllocationRequest -> PreferredAllocationResponse',
        Allocate: 'AllocateRequest -> AllocateResponse',
        PreStartContainer: 'PreStartContainerRequest -> PreStartContainerResponse',
      },
    },
  },
  pluginregistration: {
    messages: {
      InfoRequest: [],
      PluginInfo: [
        '1 type: string',
        '2 name: string',
        '3 endpoint: string',
        '4 supported_versions: string[]',
      ],
      RegistrationStatus: ['1 plugin_registered: bool', '2 error: string'],
      RegistrationStatusResponse: [],
    },
    services: {
      Registration: {
        GetInfo: 'InfoRequest -> PluginInfo',
        NotifyRegistrationStatus: 'RegistrationStatus -> RegistrationStatusResponse',
      },
    },
  },
  v1: {
    messages: {
      ListPodResourcesRequest: [],
      ListPodResourcesResponse: ['1 pod_resources: PodResources[]'],
      PodResources: ['1 name: string', '2 namespace: string', '3 containers: ContainerResources[]'],
      ContainerResources: ['1 name: string', '2 devices: ContainerDevices[]'],
      ContainerDevices: ['1 resource_name: string', '2 device_ids: string[]'],
    },
    services: {
      PodResourcesLister: { List: 'ListPodResourcesRequest -> ListPodResourcesResponse' },
    },
  },
}
