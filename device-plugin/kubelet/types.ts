/** The messages of messages.ts as types: what is sent, and what comes after decoding, where all fields have their defaults. */

/** `v1beta1.DevicePluginOptions`. */
export interface DevicePluginOptions {
  readonly pre_start_required: boolean
  readonly get_preferred_allocation_available: boolean
}

/** `v1beta1.RegisterRequest`. */
export interface RegisterRequest {
  readonly version: string
  /** Name of the socket in kubelet's folder. */
  readonly endpoint: string
  readonly resource_name: string
  readonly options: DevicePluginOptions
}

/** `v1beta1.Device`. */
export interface WireDevice {
  /** At most 63 characters. */
  readonly ID: string
  readonly health: 'Healthy' | 'Unhealthy'
  readonly topology?: { readonly nodes: readonly { readonly ID: number }[] }
}

/** `v1beta1.ListAndWatchResponse`. */
export interface ListAndWatchResponse {
  readonly devices: readonly WireDevice[]
}

/** `v1beta1.PreferredAllocationRequest`. */
export interface PreferredAllocationRequest {
  readonly container_requests: readonly {
    readonly available_deviceIDs: readonly string[]
    readonly must_include_deviceIDs: readonly string[]
    readonly allocation_size: number
  }[]
}

/** `v1beta1.PreferredAllocationResponse`. */
export interface PreferredAllocationResponse {
  readonly container_responses: readonly { readonly deviceIDs: readonly string[] }[]
}

/** `v1beta1.AllocateRequest`. */
export interface AllocateRequest {
  readonly container_requests: readonly { readonly devices_ids: readonly string[] }[]
}

/** `v1beta1.ContainerAllocateResponse`. */
export interface ContainerAllocateResponse {
  readonly envs: Readonly<Record<string, string>>
  readonly mounts: readonly {
    readonly container_path: string
    readonly host_path: string
    readonly read_only: boolean
  }[]
  readonly devices: readonly {
    readonly container_path: string
    readonly host_path: string
    readonly permissions: string
  }[]
  readonly annotations: Readonly<Record<string, string>>
  readonly cdi_devices: readonly { readonly name: string }[]
}

/** `v1beta1.AllocateResponse`. */
export interface AllocateResponse {
  readonly container_responses: readonly ContainerAllocateResponse[]
}

/** `pluginregistration.PluginInfo`. */
export interface PluginInfo {
  readonly type: string
  readonly name: string
  readonly endpoint: string
  readonly supported_versions: readonly string[]
}

/** `pluginregistration.RegistrationStatus`. */
export interface RegistrationStatus {
  readonly plugin_registered: boolean
  readonly error: string
}
