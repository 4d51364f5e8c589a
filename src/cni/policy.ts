/**
 * The bounds that the node's operator sets for network configs. The author of a config may be a tenant (Multus). So the policy
 * bounds every config, and a config can only narrow the policy. policy-file.ts reads the file.
 */
import type { PortRange } from '../lib/port-ranges.ts'
import { CniError } from './error.ts'

/** The operator's bounds. */
export interface Policy {
  /** Path of the policy file; undefined where there is none. */
  readonly file: string | undefined
  /** Folders below which `logFile` of a config may lie. */
  readonly logFiles: readonly string[]
  /** Folders for `stateDir` of a config: one of them, or a folder below one. */
  readonly stateDirs: readonly string[]
  /** A config may take a device that the node's own network depends on. */
  readonly allowNodeDevice: boolean
  /** Host ports that may be mapped; undefined allows all. */
  readonly allowedHostPorts: readonly PortRange[] | undefined
  /** A config may map ports that other programs on the node translate. */
  readonly allowServicePorts: boolean
  /** Ports that kube-proxy gives to services; counts only where kube-proxy runs. */
  readonly nodePortRange: readonly PortRange[]
}

/** The policy without a file, and the value of each key that a file lacks. */
export const defaultPolicy: Policy = {
  file: undefined,
  // /run and /var/lib would be too wide: a new file there can have a meaning (/run/nologin, the lease of an address).
  logFiles: ['/var/log'],
  stateDirs: ['/var/lib/cni', '/run'],
  allowNodeDevice: false,
  allowedHostPorts: undefined,
  allowServicePorts: true,
  nodePortRange: [{ first: 30_000, last: 32_767 }],
}

/** The source of a call's policy. */
export interface PolicySource {
  /** Path of the file, which need not exist. */
  readonly file: string
  /** The file's content; {@link defaultPolicy} without a file. @throws CniError 7 for a file that can't be used */
  read(): Policy
  /** True for the first caller since the boot. */
  isFirst(): boolean
}

/** The policy of one call. */
export interface CallPolicy {
  readonly policy: Policy
  /** The reason why the file can't be used; `policy` is the default policy then. */
  readonly problem: CniError | undefined
}

/** Reads the policy; never throws. */
export function callPolicy(source: PolicySource): CallPolicy {
  try {
    return { policy: source.read(), problem: undefined }
  } catch (error) {
    return { policy: defaultPolicy, problem: CniError.from(error) }
  }
}
