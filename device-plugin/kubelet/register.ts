/** The legacy way to register: a call of kubelet's own socket. */

import { pluginOptions } from './calls.ts'
import { callKubelet, type RunningCall } from './client.ts'
import type { RegisterRequest } from './types.ts'

/**
 * Registers `resource`, which is served at the socket `endpoint` (a name in kubelet's folder) already: kubelet connects to it before
 * it answers. `timeout` in milliseconds. The call rejects with a KubeletCallError when kubelet refuses.
 */
export function register(kubelet: string, resource: string, endpoint: string, timeout: number): RunningCall {
  const request: RegisterRequest = {
    version: 'v1beta1',
    endpoint,
    resource_name: resource,
    options: pluginOptions,
  }
  return callKubelet(kubelet, { service: 'v1beta1.Registration', method: 'Register', request, timeout })
}
