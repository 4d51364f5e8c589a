// One call of a plugin without malice, and everything about the call that can be changed. In: a plugin and chance. Out: a draft, and
// the real call. Pure.
import type { Random } from '../../soak/seed.ts'
import { printTree, type Tree } from './tree.ts'

/** The plugins under test. */
export type Plugin = 'vf-attach' | 'vf-offload'

/** Names in the bed. `FUZZ` is the folder with files of all kinds and the IPAM plugin. */
export const FUZZ = '/run/fuzz'
export const POD = 'pod'
export const CONTAINER = 'c1'
export const STATE = '/var/lib/cni/vf-flower'
/** CNI_PATH of an unspoilt call. */
export const GOOD_PATH = `${FUZZ}/cni:/usr/lib/cni`
/** The pod's first interface, behind which vf-offload is chained. */
export const POD_LINK = {
  name: 'eth0',
  host: 'p0',
  mac: '02:00:00:00:00:03',
  address: '10.244.1.2/24',
} as const

/** An answer of the bed's IPAM plugin: it prints a text, then runs a line of sh. */
export interface IpamAnswer {
  readonly text: string
  readonly ending: string
}

/** A call in the making. */
export interface Draft {
  readonly plugin: Plugin
  config: Tree
  /** Applied to the config's text, in turn. */
  readonly textChanges: Change[]
  readonly env: Record<string, string>
  /** Lines of sh before the program takes the shell's place: limits, folders, variables that are no text. */
  readonly before: string[]
  /** Redirections of sh. */
  readonly redirect: string[]
  /** Lines of sh that change the node for this call alone, and those that undo the change. */
  readonly prepare: string[]
  readonly restore: string[]
  /** By CNI_COMMAND. */
  readonly ipam: Record<string, IpamAnswer>
  /** The change of the attachment's record before the call. */
  damage: Damage | undefined
}

/** A change of a text, which need not be UTF-8 afterwards. */
export type Change = (text: Buffer) => Buffer

/** Changes of a record. */
export type Damage =
  | { readonly how: 'file'; readonly change: Change }
  | { readonly how: 'tree'; readonly change: (tree: Tree) => Tree }
  | { readonly how: 'kind'; readonly script: string }

/** The program that is run. */
export interface RealCall {
  readonly file: Plugin
  readonly env: Readonly<Record<string, string>>
  readonly stdin: Buffer
  /** Undefined when the program is run without a shell. */
  readonly shell: string | undefined
}

/** The real call of a draft. */
export function callOf(draft: Draft): RealCall {
  const { plugin, config, textChanges, env, before, redirect } = draft
  const stdin = textChanges.reduce<Buffer>((text, change) => change(text), Buffer.from(printTree(config)))
  const line = [...before, `exec "$0" ${redirect.join(' ')}`].join('; ')
  return { file: plugin, env, stdin, shell: before.length + redirect.length === 0 ? undefined : line }
}

/** A draft of a call that succeeds. */
export function plainDraft(plugin: Plugin, verb: string, random: Random): Draft {
  const ifname = plugin === 'vf-attach' ? 'net1' : POD_LINK.name
  const version = random.pick(['0.3.1', '0.4.0', '1.0.0', '1.0.0', '1.1.0'])
  // CHECK is new in 0.4.0, GC and STATUS in 1.1.0.
  const cniVersion = ['GC', 'STATUS'].includes(verb)
    ? '1.1.0'
    : verb === 'CHECK' && version < '0.4'
      ? '1.0.0'
      : version
  const own = plugin === 'vf-attach' ? attachConfig(random) : offloadConfig(random, cniVersion)
  return {
    ...{ plugin, textChanges: [], before: [], redirect: [], prepare: [], restore: [], damage: undefined },
    config: { cniVersion, name: 'fuzz', type: plugin, ...own, ...forVerb(verb, ifname, own, cniVersion) },
    env: {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: CONTAINER,
      CNI_NETNS: `/run/netns/${POD}`,
      CNI_IFNAME: ifname,
      CNI_PATH: GOOD_PATH,
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    },
    ipam: 'ipam' in own ? { ADD: { text: printTree(ipamResult(cniVersion, random)), ending: 'exit 0' } } : {},
  }
}

/** Members that this verb has beside the config of the ADD. The true result of the ADD takes the place of prevResult. */
function forVerb(
  verb: string,
  ifname: string,
  own: { [key: string]: Tree },
  cniVersion: string,
): { [key: string]: Tree } {
  if (verb === 'GC') return { 'cni.dev/valid-attachments': [{ containerID: CONTAINER, ifname }] }
  if (verb !== 'CHECK' || 'prevResult' in own) return {}
  const interfaces = [{ name: ifname, mac: '02:00:00:00:01:01', sandbox: `/run/netns/${POD}` }]
  return {
    prevResult: { cniVersion, interfaces, ...('ipam' in own ? { ips: [{ address: '10.9.0.5/24' }] } : {}) },
  }
}

function attachConfig(random: Random): { [key: string]: Tree } {
  const device = random.pick(['fz0', 'd0'])
  // d0 is an ifb, which keeps its MAC.
  const hasMac = device === 'fz0'
  return {
    device,
    ...(random.chance(30) ? { mtu: 1_280 + random.below(200) } : {}),
    ...(hasMac && random.chance(30) ? { mac: `02:00:00:00:01:${(10 + random.below(90)).toString()}` } : {}),
    ...(random.chance(50) ? { ipam: { type: 'fuzz-ipam' } } : {}),
    ...(random.chance(20) ? { dns: { nameservers: ['10.9.0.1'], search: ['fuzz.test'] } } : {}),
    ...(random.chance(20) ? { announce: { count: 0 } } : {}),
    ...(hasMac && random.chance(15)
      ? { runtimeConfig: { mac: '02:00:00:00:01:01' }, capabilities: { mac: true } }
      : {}),
  }
}

function offloadConfig(random: Random, cniVersion: string): { [key: string]: Tree } {
  const mapping = (index: number): Tree => ({
    hostPort: 8_000 + 10 * index + random.below(10),
    containerPort: 1 + random.below(65_535),
    protocol: random.pick(['tcp', 'udp']),
    ...(random.chance(20) ? { hostIP: random.pick(['10.1.0.1', '0.0.0.0']) } : {}),
  })
  const limits = random.chance(15) ? { ingressRate: 8_000_000, ingressBurst: 800_000 } : {}
  return {
    prevResult: prevResult(cniVersion),
    runtimeConfig: {
      portMappings: Array.from({ length: 1 + random.below(3) }, (_, index) => mapping(index)),
    },
    ...random.pick<{ [key: string]: Tree }>([
      {},
      {},
      {},
      { snat: true },
      { snat: false },
      { localhost: true },
    ]),
    ...(random.chance(15) ? { allowedHostPorts: ['8000-8999', 80] } : {}),
    ...limits,
  }
}

/** The main plugin's answer for the pod's first interface. */
export function prevResult(cniVersion: string): Tree {
  const family = cniVersion < '1.0' ? { version: '4' } : {}
  return {
    cniVersion,
    interfaces: [
      { name: POD_LINK.host, mac: '02:00:00:00:00:02' },
      { name: POD_LINK.name, mac: POD_LINK.mac, sandbox: `/run/netns/${POD}` },
    ],
    ips: [{ ...family, address: POD_LINK.address, gateway: '10.244.1.1', interface: 1 }],
  }
}

function ipamResult(cniVersion: string, random: Random): Tree {
  const family = cniVersion < '1.0' ? { version: '4' } : {}
  return {
    cniVersion,
    ips: [{ ...family, address: '10.9.0.5/24', ...(random.chance(70) ? { gateway: '10.9.0.1' } : {}) }],
    ...(random.chance(60) ? { routes: [{ dst: '10.2.0.0/16' }] } : {}),
    ...(random.chance(20) ? { dns: { nameservers: ['10.9.0.1'] } } : {}),
  }
}
