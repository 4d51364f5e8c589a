/** Pods of the native tables, and what plugins say of them. In: a node. Out: configs. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Node } from './nodes.ts'

/** Runs lines of ip(8) on a node. */
async function ip(node: Node, folder: string, lines: readonly string[], netns = ''): Promise<void> {
  const file = join(folder, 'ip-batch')
  writeFileSync(file, `${lines.join('\n')}\n`)
  await node.runner.sh(`ip ${netns === '' ? '' : `-n ${netns}`} -batch ${file}`)
}

/** One pod without an interface, and `v0`, one end of a veth pair. */
export async function makeDevice(node: Node): Promise<void> {
  await node.runner.sh(`ip link add v0 type veth peer name v1 && ip link set v1 up
    ip netns add bench && ip -n bench link set lo up`)
}

/** A node address on u0, and a bridge for pods. */
export async function makeBridge(node: Node, folder: string): Promise<void> {
  await ip(node, folder, [
    'link add u0 up type veth peer name u1',
    ...['link set u1 up', 'address add 10.1.0.1/24 dev u0'],
    ...['link add br0 type bridge', 'link set br0 up', 'address add 10.244.0.1/16 dev br0'],
  ])
  await node.runner.sh('sysctl -qw net.ipv4.ip_forward=1')
}

/** The address of a pod behind the bridge: `index` from 0 to 65,000. */
export function podAddress(index: number): string {
  return `10.244.${1 + (index >> 7)}.${2 + (index & 127)}`
}

/** The pods `NAME-0` to `NAME-COUNT`, each with eth0 and an address behind the bridge. */
export async function makePods(node: Node, folder: string, name: string, count: number): Promise<void> {
  const numbers = Array.from({ length: count }, (_, index) => index)
  await ip(
    node,
    folder,
    numbers.map((index) => `netns add ${name}-${index}`),
  )
  await ip(
    node,
    folder,
    numbers.flatMap((index) => [
      `link add ${name}${index} up master br0 type veth peer name eth0 netns ${name}-${index}`,
    ]),
  )
  for (const index of numbers)
    await ip(
      node,
      folder,
      [
        ...['link set lo up', 'link set eth0 up', `address add ${podAddress(index)}/16 dev eth0`],
        'route add default via 10.244.0.1',
      ],
      `${name}-${index}`,
    )
}

/** The result of the plugins before ours for a pod of {@link makePods}. */
export function podResult(name: string, index: number): Record<string, unknown> {
  return {
    cniVersion: '1.0.0',
    interfaces: [
      { name: 'br0' },
      { name: `${name}${index}` },
      { name: 'eth0', sandbox: `/run/netns/${name}-${index}` },
    ],
    ips: [{ address: `${podAddress(index)}/16`, gateway: '10.244.0.1', interface: 2 }],
  }
}

/** `count` mappings to port 80 of a pod. */
export function mappings(count: number, first = 8000): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, index) => ({
    ...{ hostPort: first + index, containerPort: 80, protocol: 'tcp' },
  }))
}

/** IPAM of host-local, with its own allocations for each plugin that is compared. */
export function hostLocal(folder: string): Record<string, unknown> {
  return {
    ipam: {
      ...{ type: 'host-local', dataDir: `/var/lib/cni/${folder}` },
      ...{ ranges: [[{ subnet: '10.9.0.0/20' }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
  }
}
