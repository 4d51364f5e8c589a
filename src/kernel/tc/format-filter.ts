/**
 * Prints a filter as the `tc` command that would add it, for people who compare filters. An attribute without a tc word appears
 * under the attribute's own name. Pure.
 */
import { toHex } from '../../lib/hex.ts'
import { ipFromBytes } from '../../lib/ip.ts'
import { hexOctets } from '../../lib/mac.ts'
import type { Action } from '../../netlink/tc/actions/action.ts'
import type { Pedit } from '../../netlink/tc/actions/pedit.ts'
import { actionsOf, flagsOf, flowerOf, placeOf, u32Of } from '../../netlink/tc/filter.ts'
import { type Flower, TCA_CLS_FLAGS, TCA_FLOWER_KEY_FLAGS } from '../../netlink/tc/kinds/flower.ts'
import { CLSACT_EGRESS, type Tc } from '../../netlink/tc/msg.ts'

/** Returns the name of an interface by its ifindex; undefined for an interface that is gone. */
export type NameOf = (ifindex: number) => string | undefined

/** `tc filter add dev eth0 ingress protocol ip prio 10 handle 0x1 flower ... action ...`. */
export function filterLine(filter: Tc, nameOf: NameOf): string {
  const { ifindex, parent, chain, priority, handle, protocol } = placeOf(filter)
  const flower = flowerOf(filter)
  const actions = actionsOf(filter).map((action) => actionWords(action, nameOf))
  return [
    `tc filter add dev ${device(ifindex, nameOf)} ${parent === CLSACT_EGRESS ? 'egress' : 'ingress'}`,
    `protocol ${etherTypes[protocol] ?? hex(protocol)} prio ${priority}${chain === 0 ? '' : ` chain ${chain}`}`,
    handle === 0 ? '' : `handle ${hex(handle)}`,
    filter.TCA_KIND ?? '',
    flower === undefined ? '' : keyWords(flower),
    ...(u32Of(filter)?.TCA_U32_SEL?.keys ?? []).map(wordMatch),
    flagWords(flagsOf(filter)),
    ...actions,
  ]
    .filter((part) => part !== '')
    .join(' ')
}

/** A condition of a u32 filter, as tc prints it. */
function wordMatch({ val, mask, off }: { val: number; mask: number; off: number }): string {
  return `match u32 ${hex(val)} ${hex(mask)} at ${off}`
}

const etherTypes: Readonly<Record<number, string>> = {
  3: 'all',
  2048: 'ip',
  2054: 'arp',
  33024: '802.1Q',
  34525: 'ipv6',
}
const protocols: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmpv6',
  132: 'sctp',
}

/** tc's words for keys, by the name of the attribute after TCA_FLOWER_KEY_, in tc's order. */
const keys: readonly (readonly [name: string, word: string, format?: (value: never) => string])[] = [
  ['VLAN_ID', 'vlan_id'],
  ['VLAN_PRIO', 'vlan_prio'],
  ['VLAN_ETH_TYPE', 'vlan_ethtype', (value: number) => etherTypes[value] ?? hex(value)],
  ['ETH_DST', 'dst_mac'],
  ['ETH_SRC', 'src_mac'],
  ['IP_PROTO', 'ip_proto', (value: number) => protocols[value] ?? String(value)],
  ...(['TCP', 'UDP', 'SCTP'] as const).flatMap((proto) => [
    [`${proto}_DST`, 'dst_port'] as const,
    [`${proto}_SRC`, 'src_port'] as const,
  ]),
  ...(['IPV4', 'IPV6'] as const).flatMap((family) => [
    [`${family}_DST`, 'dst_ip'] as const,
    [`${family}_SRC`, 'src_ip'] as const,
  ]),
]

function keyWords(flower: Flower): string {
  const left = new Map(Object.entries(flower).filter(([name]) => name.startsWith('TCA_FLOWER_KEY_')))
  left.delete('TCA_FLOWER_KEY_ETH_TYPE')
  const take = (name: string): unknown => {
    const value = left.get(name)
    left.delete(name)
    return value
  }
  const words = keys.flatMap(([name, word, format]) => {
    const [value, mask] = [take(`TCA_FLOWER_KEY_${name}`), take(`TCA_FLOWER_KEY_${name}_MASK`)]
    if (value === undefined) return []
    const shown = format === undefined ? show(value) : format(value as never)
    return [`${word} ${shown}${mask === undefined || allOnes.has(mask) ? '' : `/${show(mask)}`}`]
  })
  const [flags, bits] = [take('TCA_FLOWER_KEY_FLAGS'), take('TCA_FLOWER_KEY_FLAGS_MASK')]
  if (flags !== undefined) words.push(fragmentWords(flags, bits))
  return [...words, ...[...left].map(([name, value]) => `${name} ${show(value)}`)].join(' ')
}

/** The fragment condition of our own filters in tc's words; other flags as numbers. */
function fragmentWords(flags: unknown, bits: unknown): string {
  const { TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT: bit } = TCA_FLOWER_KEY_FLAGS
  if (bits === bit) return `ip_flags ${flags === bit ? 'frag' : 'nofrag'}`
  return `TCA_FLOWER_KEY_FLAGS ${show(flags)}${bits === undefined ? '' : `/${show(bits)}`}`
}

function flagWords(flags: number): string {
  const names = [
    ['skip_hw', TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_HW],
    ['skip_sw', TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_SW],
    ['in_hw', TCA_CLS_FLAGS.TCA_CLS_FLAGS_IN_HW],
  ] as const
  return names
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name)
    .join(' ')
}

/** tc's words for the verdicts TC_ACT_*. */
const controls: Readonly<Record<number, string>> = {
  [-1]: 'continue',
  0: 'ok',
  1: 'reclassify',
  2: 'drop',
  3: 'pipe',
  4: 'stolen',
  8: 'trap',
}

interface Parms {
  readonly action: number
  readonly ifindex?: number
  readonly eaction?: number
  readonly update_flags?: number
  readonly v_action?: number
}

function actionWords(action: Action, nameOf: NameOf): string {
  const { TCA_ACT_KIND: kind = '?', TCA_ACT_OPTIONS: options, TCA_ACT_COOKIE: cookie } = action
  const words =
    options === undefined || options instanceof Uint8Array ? '' : optionWords(kind, options, nameOf)
  return [
    `action ${kind === 'gact' ? '' : kind}`.trim(),
    words,
    cookie === undefined ? '' : `cookie ${toHex(cookie)}`,
  ]
    .filter((part) => part !== '')
    .join(' ')
}

function optionWords(kind: string, options: NonNullable<object>, nameOf: NameOf): string {
  const named = options as Readonly<Record<string, unknown>>
  const parms = (named[kind === 'pedit' ? 'TCA_PEDIT_PARMS_EX' : `TCA_${kind.toUpperCase()}_PARMS`] ??
    named.TCA_PEDIT_PARMS) as Parms | undefined
  if (parms === undefined) return ''
  const control = controls[parms.action] ?? hex(parms.action >>> 0)
  switch (kind) {
    case 'gact':
      return control
    case 'pedit':
      return `${peditWords(options as Pedit)} ${control}`
    case 'csum':
      return `${sumWords(parms.update_flags ?? 0)} ${control}`
    case 'vlan':
      return `${['', 'pop', 'push', 'modify'][parms.v_action ?? 0] ?? String(parms.v_action)}${named.TCA_VLAN_PUSH_VLAN_ID === undefined ? '' : ` id ${show(named.TCA_VLAN_PUSH_VLAN_ID)}`} ${control}`
    case 'mirred': {
      const how = ['', 'egress redirect', 'egress mirror', 'ingress redirect', 'ingress mirror']
      const end = parms.eaction === 2 || parms.eaction === 4 ? ` ${control}` : ''
      return `${how[parms.eaction ?? 0] ?? ''} dev ${device(parms.ifindex ?? 0, nameOf)}${end}`
    }
    default:
      return control
  }
}

function sumWords(flags: number): string {
  const names = ['ip4h', 'icmp', 'igmp', 'tcp', 'udp', 'udplite', 'sctp']
  return names.filter((_, bit) => (flags & (1 << bit)) !== 0).join(' and ')
}

/** Fields of a rewrite, by header type (enum pedit_header_type): tc's word, first byte, length in bytes. */
const fields: Readonly<Record<number, readonly (readonly [word: string, at: number, length: number])[]>> = {
  1: [
    ['eth dst', 0, 6],
    ['eth src', 6, 6],
  ],
  2: [
    ['ip ttl', 8, 1],
    ['ip src', 12, 4],
    ['ip dst', 16, 4],
  ],
  3: [
    ['ip6 hoplimit', 7, 1],
    ['ip6 src', 8, 16],
    ['ip6 dst', 24, 16],
  ],
  4: [
    ['tcp sport', 0, 2],
    ['tcp dport', 2, 2],
  ],
  5: [
    ['udp sport', 0, 2],
    ['udp dport', 2, 2],
  ],
}

/** A rewrite in tc's words. Joins the written bytes to fields. Prints other bytes by header, offset and value. */
function peditWords(options: Pedit): string {
  const { TCA_PEDIT_PARMS_EX: parms = options.TCA_PEDIT_PARMS, TCA_PEDIT_KEYS_EX: kinds = [] } = options
  const written = new Map<number, Map<number, number>>()
  const others: string[] = []
  for (const [index, { mask, val, off }] of (parms?.keys ?? []).entries()) {
    const { TCA_PEDIT_KEY_EX_HTYPE: header = 0, TCA_PEDIT_KEY_EX_CMD: command = 0 } = kinds[index] ?? {}
    const bytes = written.get(header) ?? new Map<number, number>()
    written.set(header, bytes)
    for (let byte = 0; byte < 4; byte++) {
      const [kept, value] = [(mask >>> (8 * byte)) & 0xff, (val >>> (8 * byte)) & 0xff]
      if (kept === 0xff && value === 0) continue
      if (kept === 0 && command === 0) bytes.set(off + byte, value)
      else
        others.push(
          `munge header ${header} byte ${off + byte} ${command === 0 ? 'mask' : 'add'} ${hex(kept)} value ${hex(value)}`,
        )
    }
  }
  const words = [...written].flatMap(([header, bytes]) =>
    (fields[header] ?? []).flatMap(([word, at, length]) => {
      const places = Array.from({ length }, (_, byte) => at + byte)
      if (!places.every((place) => bytes.has(place))) return []
      const value = Uint8Array.from(places, (place) => bytes.get(place) ?? 0)
      for (const place of places) bytes.delete(place)
      return [`munge ${word} set ${fieldText(word, value)}`]
    }),
  )
  const rest = [...written].flatMap(([header, bytes]) =>
    [...bytes].map(([place, value]) => `munge header ${header} byte ${place} set ${hex(value)}`),
  )
  return ['ex', ...words, ...rest, ...others].join(' ')
}

function fieldText(word: string, value: Uint8Array): string {
  if (word.startsWith('eth')) return hexOctets(value, 0, value.length)
  if (value.length === 4 || value.length === 16) return ipFromBytes(value)
  return String(value.reduce((sum, byte) => sum * 256 + byte, 0))
}

function device(ifindex: number, nameOf: NameOf): string {
  return nameOf(ifindex) ?? (ifindex === 0 ? '*' : `if${ifindex}`)
}

const allOnes: ReadonlySet<unknown> = new Set([
  '255.255.255.255',
  'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  'ff:ff:ff:ff:ff:ff',
  0xffff,
])

function show(value: unknown): string {
  return value instanceof Uint8Array ? toHex(value) : String(value)
}

function hex(value: number): string {
  return `0x${value.toString(16)}`
}
