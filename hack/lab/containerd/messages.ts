// The part of Kubernetes' container runtime interface that the tests call, as tables of numbers and names: runtime.v1 of k8s.io/cri-api.
// A field that is not here is skipped by both sides. In: nothing. Out: definitions for gRPC.
import type { MethodDefinition, PackageDefinition, ServiceDefinition } from '@grpc/proto-loader'
import { definitionsOf } from '../../../device-plugin/kubelet/wire-tables.ts'

/** Rows of each message, as device-plugin/kubelet/messages.ts has them. */
const messages: Readonly<Record<string, readonly string[]>> = {
  VersionRequest: ['1 version: string'],
  VersionResponse: ['2 runtime_name: string', '3 runtime_version: string'],
  StatusRequest: ['1 verbose: bool'],
  StatusResponse: ['1 status: RuntimeStatus', '2 info: string{}'],
  RuntimeStatus: ['1 conditions: RuntimeCondition[]'],
  RuntimeCondition: ['1 type: string', '2 status: bool', '3 reason: string', '4 message: string'],
  PodSandboxMetadata: ['1 name: string', '2 uid: string', '3 namespace: string', '4 attempt: uint32'],
  PodSandboxConfig: [
    ...['1 metadata: PodSandboxMetadata', '2 hostname: string', '3 log_directory: string'],
    ...['5 port_mappings: PortMapping[]', '6 labels: string{}', '7 annotations: string{}'],
    '8 linux: LinuxPodSandboxConfig',
  ],
  // The protocol is an enumeration on the wire: 0 TCP, 1 UDP, 2 SCTP.
  PortMapping: ['1 protocol: int32', '2 container_port: int32', '3 host_port: int32', '4 host_ip: string'],
  LinuxPodSandboxConfig: ['1 cgroup_parent: string', '2 security_context: LinuxSandboxSecurityContext'],
  LinuxSandboxSecurityContext: ['1 namespace_options: NamespaceOption', '6 privileged: bool'],
  RunPodSandboxRequest: ['1 config: PodSandboxConfig', '2 runtime_handler: string'],
  RunPodSandboxResponse: ['1 pod_sandbox_id: string'],
  StopPodSandboxRequest: ['1 pod_sandbox_id: string'],
  StopPodSandboxResponse: [],
  RemovePodSandboxRequest: ['1 pod_sandbox_id: string'],
  RemovePodSandboxResponse: [],
  PodSandboxStatusRequest: ['1 pod_sandbox_id: string', '2 verbose: bool'],
  PodSandboxStatusResponse: ['1 status: PodSandboxStatus', '2 info: string{}'],
  PodSandboxStatus: ['1 id: string', '3 state: int32', '5 network: PodSandboxNetworkStatus'],
  PodSandboxNetworkStatus: ['1 ip: string', '2 additional_ips: PodIP[]'],
  PodIP: ['1 ip: string'],
  ListPodSandboxRequest: [],
  ListPodSandboxResponse: ['1 items: PodSandbox[]'],
  // The state is an enumeration on the wire: 0 ready, 1 not ready.
  PodSandbox: ['1 id: string', '2 metadata: PodSandboxMetadata', '3 state: int32'],
  CreateContainerRequest: [
    ...['1 pod_sandbox_id: string', '2 config: ContainerConfig', '3 sandbox_config: PodSandboxConfig'],
  ],
  CreateContainerResponse: ['1 container_id: string'],
  ContainerConfig: [
    ...['1 metadata: ContainerMetadata', '2 image: ImageSpec', '3 command: string[]', '4 args: string[]'],
    ...['7 mounts: Mount[]', '11 log_path: string', '15 linux: LinuxContainerConfig'],
  ],
  Mount: ['1 container_path: string', '2 host_path: string', '3 readonly: bool'],
  ContainerMetadata: ['1 name: string', '2 attempt: uint32'],
  ImageSpec: ['1 image: string'],
  LinuxContainerConfig: ['2 security_context: LinuxContainerSecurityContext'],
  LinuxContainerSecurityContext: [
    ...['2 privileged: bool', '3 namespace_options: NamespaceOption', '7 readonly_rootfs: bool'],
  ],
  // Enumerations on the wire: 0 the pod's, 1 the container's, 2 the node's.
  NamespaceOption: ['1 network: int32', '2 pid: int32', '3 ipc: int32'],
  StartContainerRequest: ['1 container_id: string'],
  StartContainerResponse: [],
  // The time in seconds after which SIGKILL follows.
  StopContainerRequest: ['1 container_id: string', '2 timeout: int64'],
  StopContainerResponse: [],
  // The time in seconds after which the program is killed.
  ExecSyncRequest: ['1 container_id: string', '2 cmd: string[]', '3 timeout: int64'],
  ExecSyncResponse: ['1 stdout: bytes', '2 stderr: bytes', '3 exit_code: int32'],
  ContainerStatusRequest: ['1 container_id: string'],
  ContainerStatusResponse: ['1 status: ContainerStatus'],
  // The state is an enumeration on the wire: 0 created, 1 running, 2 exited.
  ContainerStatus: ['1 id: string', '3 state: int32', '7 exit_code: int32'],
}

/** The calls of RuntimeService, which have one request and one answer each. */
export const CRI_CALLS = [
  ...(['Version', 'Status', 'RunPodSandbox', 'StopPodSandbox', 'RemovePodSandbox'] as const),
  ...(['PodSandboxStatus', 'ListPodSandbox', 'CreateContainer', 'StartContainer'] as const),
  ...(['StopContainer', 'ContainerStatus', 'ExecSync'] as const),
] as const

const calls = Object.fromEntries(CRI_CALLS.map((call) => [call, `${call}Request -> ${call}Response`]))

/** A call of RuntimeService. */
export type CriCall = (typeof CRI_CALLS)[number]

/** The definition of one call. @throws WireTableError */
export function definitionOf(call: CriCall): MethodDefinition<object, object> {
  loaded ??= definitionsOf({ 'runtime.v1': { messages, services: { RuntimeService: calls } } })
  const service = loaded['runtime.v1.RuntimeService'] as ServiceDefinition
  return service[call] as MethodDefinition<object, object>
}

let loaded: PackageDefinition | undefined
