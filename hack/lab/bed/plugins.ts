// Shared by the lab tests of both plugins: the plugins' folder, configs, and calls that must or must not succeed.
import { fileURLToPath } from 'node:url'
import {
  type Attachment,
  type ConfigList,
  cniRuntime,
  type PluginConfig,
  type Runtime,
} from '../cni-runtime.ts'
import type { ExecResult, Lab } from '../lab.ts'
import { ROUTER } from './topology.ts'

const top = fileURLToPath(new URL('../../..', import.meta.url))

/** The folders of the plugins: our build with the fault hook, otherwise from the same sources, and the distribution's plugins for IPAM. */
export const pluginPath = [`${top}dist/test`, '/usr/lib/cni'] as const

export function testRuntime(lab: Lab): Runtime {
  return cniRuntime(lab, pluginPath)
}

/** An IPAM config for addresses of the topology's subnet, served by the distribution's `static` plugin. */
export function staticIpam(...addresses: readonly string[]): Record<string, unknown> {
  return {
    type: 'static',
    addresses: addresses.map((address) => ({
      address,
      gateway: address.includes(':') ? ROUTER.v6 : ROUTER.v4,
    })),
  }
}

/** A list with one plugin. 1.0.0 is the newest version that the distribution's IPAM plugins speak. */
export function listOf(...plugins: readonly PluginConfig[]): ConfigList {
  return { cniVersion: '1.0.0', name: 'lab-net', plugins }
}

/** vf-attach for `device`, with defaults that a test can override. */
export function attachConfig(device: string, more: Record<string, unknown> = {}): PluginConfig {
  return { type: 'vf-attach', deviceID: device, ...more }
}

/** vf-offload as Multus calls it: with the device on top level. */
export function offloadConfig(device: string, more: Record<string, unknown> = {}): PluginConfig {
  return { type: 'vf-offload', deviceID: device, capabilities: { portMappings: true }, ...more }
}

export interface ErrorObject {
  readonly code: number
  readonly msg: string
  readonly details?: string
}

/** The error object of a call that must fail; throws when it succeeded or printed anything else. */
export function errorOf(result: ExecResult): ErrorObject {
  const object: unknown = JSON.parse(result.stdout)
  if (result.code === 0 || typeof object !== 'object' || object === null || !('msg' in object)) {
    throw new Error(`Expected an error object, got code ${result.code}: ${result.stdout}${result.stderr}`)
  }
  return object as ErrorObject
}

/** A call that must succeed and print nothing. */
export async function silently(call: Promise<ExecResult>): Promise<void> {
  const { code, stdout, stderr } = await call
  if (code !== 0 || stdout !== '') throw new Error(`Expected silence, got code ${code}: ${stdout}${stderr}`)
}

/** Makes a call, again as runtimes do while the plugin answers that its turn did not come in time (code 11). */
export async function inTurn(call: () => Promise<ExecResult>): Promise<ExecResult> {
  for (;;) {
    const result = await call()
    if (result.code === 0 || !result.stdout.includes('"code":11,')) return result
  }
}

/** An attachment with defaults. */
export function attachment(netns: string, more: Partial<Attachment> = {}): Attachment {
  return { containerID: 'pod-one', netns, ifname: 'net1', ...more }
}

/** Output of `ip -j` or `tc -j` as an array of loose objects. */
export async function json(lab: Lab, command: string): Promise<Record<string, unknown>[]> {
  return JSON.parse((await lab.must(command)) || '[]') as Record<string, unknown>[]
}

/** Removes the leftovers of the distribution's portmap after its DEL: its chains, and 127.0.0.1 as a source of frames to a bridge. */
export async function forgetPortmap(lab: Lab, bridge: string): Promise<void> {
  await lab.must(`nft delete table ip nat; nft delete table ip6 nat
    echo 0 >/proc/sys/net/ipv4/conf/${bridge}/route_localnet`)
}
