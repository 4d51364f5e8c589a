// A call as the protocol layer hands it to a plugin, from a config as text or as an object.
import { readEnvironment } from '../../src/cni/environment.ts'
import { CniError } from '../../src/cni/error.ts'
import { makeRequest, type Request, readConfig } from '../../src/cni/request.ts'

/** A `config` as text keeps repeated keys and their order. `variables` override those of an ordinary ADD. */
export function requestOf(
  config: string | Readonly<Record<string, unknown>>,
  variables: Readonly<Record<string, string>> = {},
): Request {
  const whole =
    typeof config === 'string' ? config : JSON.stringify({ cniVersion: '1.1.0', name: 'net', ...config })
  const env = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'container',
    CNI_NETNS: '/var/run/netns/pod',
    CNI_IFNAME: 'net1',
    CNI_PATH: '/opt/cni/bin',
    ...variables,
  }
  return makeRequest(readEnvironment(env), env, whole, readConfig(whole), () => undefined)
}

/** The CniError that `action` throws; anything else fails the test. */
export function refusalOf(action: () => unknown): CniError {
  try {
    action()
  } catch (error) {
    if (error instanceof CniError) return error
    throw error
  }
  throw new TypeError('nothing was refused')
}
