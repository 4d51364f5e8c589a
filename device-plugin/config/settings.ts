/** Settings of the process, from the command line. Types alone. */

/** Folders that the device plugin reads and writes; parameters, so that a container may mount them elsewhere and tests lay out their own. */
export interface Roots {
  /** sysfs, `/sys`. */
  readonly sys: string
  /** Device files as this process sees them, `/dev`. Containers are told `/dev`, whatever is here. */
  readonly dev: string
  /** `/var/lib/kubelet`: below it device-plugins, plugins_registry and pod-resources. */
  readonly kubelet: string
  /** CDI specs, `/var/run/cdi`. */
  readonly cdi: string
  /** Device information for Multus, `/var/run/k8s.cni.cncf.io/devinfo/dp`. */
  readonly deviceInfo: string
  /** Records of the CNI plugins, `/var/lib/cni/vf-flower`. */
  readonly state: string
}

/** The settings of one process. */
export interface Settings {
  readonly roots: Roots
  readonly configFile: string
  /** Prefix of pools that name none: `intel.com`, as sriov-network-device-plugin has it. */
  readonly resourcePrefix: string
  /** Containers get their device files by CDI names. */
  readonly useCdi: boolean
  /** CDI names go into annotations: kubelet reads the field for them from 1.29 on (feature gate DevicePluginCDIDevices). */
  readonly cdiAnnotations: boolean
  /** Where /metrics, /healthz and /readyz are served: `HOST:PORT`; undefined: nowhere. */
  readonly listen: string | undefined
  /** A file that is there while the process is ready; undefined: none. */
  readonly readyFile: string | undefined
  /** Tells the sockets of two processes on one node apart, in an upgrade (they share CDI files); '' for one. */
  readonly instance: string
  readonly logLevel: 'debug' | 'info' | 'warning' | 'error'
}
