// Compares every number, size and offset in src/netlink with the kernel's headers, and the private constants of other files
// near the kernel.
//   sh hack/bun.sh hack/uapi.ts     compiles a C program against linux/*.h (gcc, linux-libc-dev), prints what the
//                                   headers say and writes test/fixtures/uapi.json
// declared() reads our sources, probed() reads the headers, in the same form: the test compares both.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { errnoName } from '../src/lib/errno.ts'
import { Attrs, ByKind } from '../src/netlink/codec/attrs.ts'
import { Indexed, Ordered, Repeated } from '../src/netlink/codec/lists.ts'
import { List, Struct } from '../src/netlink/codec/struct.ts'
import * as tlv from '../src/netlink/codec/tlv.ts'
import * as inet from '../src/netlink/diag/inet.ts'
import * as devlink from '../src/netlink/genl/devlink.ts'
import * as devlinkFacts from '../src/netlink/genl/devlink-facts.ts'
import * as ethtool from '../src/netlink/genl/ethtool.ts'
import * as ethtoolStats from '../src/netlink/genl/ethtool-stats.ts'
import * as genl from '../src/netlink/genl/genl.ts'
import * as ipvs from '../src/netlink/genl/ipvs.ts'
import * as message from '../src/netlink/message.ts'
import { Family } from '../src/netlink/message.ts'
import * as conntrack from '../src/netlink/nf/conntrack.ts'
import * as nfnetlink from '../src/netlink/nf/nfnetlink.ts'
import * as others from '../src/netlink/nf/others.ts'
import * as nfrules from '../src/netlink/nf/rules.ts'
import * as tables from '../src/netlink/nf/tables.ts'
import * as addr from '../src/netlink/rtnl/addr.ts'
import * as bridge from '../src/netlink/rtnl/bridge.ts'
import * as bridgeAttributes from '../src/netlink/rtnl/bridge-attributes.ts'
import * as rtnl from '../src/netlink/rtnl/const.ts'
import * as link from '../src/netlink/rtnl/link.ts'
import * as neigh from '../src/netlink/rtnl/neigh.ts'
import * as nexthop from '../src/netlink/rtnl/nexthop.ts'
import * as nsid from '../src/netlink/rtnl/nsid.ts'
import * as route from '../src/netlink/rtnl/route.ts'
import * as rule from '../src/netlink/rtnl/rule.ts'
import * as vf from '../src/netlink/rtnl/vf.ts'
import * as action from '../src/netlink/tc/actions/action.ts'
import * as csum from '../src/netlink/tc/actions/csum.ts'
import * as gact from '../src/netlink/tc/actions/gact.ts'
import * as mirred from '../src/netlink/tc/actions/mirred.ts'
import * as pedit from '../src/netlink/tc/actions/pedit.ts'
import * as police from '../src/netlink/tc/actions/police.ts'
import * as vlan from '../src/netlink/tc/actions/vlan.ts'
import * as basic from '../src/netlink/tc/kinds/basic.ts'
import * as bpf from '../src/netlink/tc/kinds/bpf.ts'
import * as flower from '../src/netlink/tc/kinds/flower.ts'
import * as matchall from '../src/netlink/tc/kinds/matchall.ts'
import * as u32 from '../src/netlink/tc/kinds/u32.ts'
import * as msg from '../src/netlink/tc/msg.ts'
import * as program from '../src/netlink/tc/program.ts'
import * as stats from '../src/netlink/tc/stats.ts'
import * as tbf from '../src/netlink/tc/tbf.ts'
import * as tcm from '../src/netlink/tc/tcm.ts'
import * as check from '../src/netlink/tc/validate.ts'
import * as uevent from '../src/netlink/uevent.ts'

/** Every module that declares tables, structs or numbers. */
export const modules: Readonly<Record<string, object>> = {
  ...{
    addr,
    action,
    basic,
    bpf,
    bridge,
    bridgeAttributes,
    check,
    conntrack,
    csum,
    devlink,
    devlinkFacts,
    ethtool,
    ethtoolStats,
    flower,
    gact,
    genl,
    inet,
    link,
    matchall,
    message,
    mirred,
    msg,
    neigh,
  },
  ...{ ipvs, nfnetlink, nfrules, others, tables },
  ...{
    nexthop,
    nsid,
    pedit,
    police,
    program,
    route,
    rtnl,
    rule,
    stats,
    tbf,
    tcm,
    tlv,
    u32,
    uevent,
    vf,
    vlan,
  },
}

/** Numbers and layouts by name. */
export interface Uapi {
  /** By the header's name. */
  readonly constants: Readonly<Record<string, number>>
  /** By the struct's name. */
  readonly structs: Readonly<Record<string, Layout>>
}

/** Size and field offsets of a struct, in bytes. */
export interface Layout {
  readonly size: number
  readonly fields: Readonly<Record<string, { readonly offset: number; readonly size: number }>>
}

/** Headers with all the names; later headers need earlier ones. */
const headers = [
  ...[
    'stddef.h',
    'stdio.h',
    'errno.h',
    'sys/socket.h',
    'sys/file.h',
    'sys/time.h',
    'sys/mman.h',
    'time.h',
    'poll.h',
    'signal.h',
    'spawn.h',
    'linux/close_range.h',
    'linux/sched.h',
    'linux/nsfs.h',
    'linux/if.h',
    'linux/if_arp.h',
    'linux/if_ether.h',
    'linux/if_packet.h',
    'linux/in.h',
    'linux/in6.h',
  ],
  ...[
    'linux/netlink.h',
    'linux/rtnetlink.h',
    'linux/if_link.h',
    'linux/if_addr.h',
    'linux/if_bridge.h',
    'linux/veth.h',
  ],
  ...[
    'linux/fib_rules.h',
    'linux/neighbour.h',
    'linux/genetlink.h',
    'linux/devlink.h',
    'linux/bpf.h',
    'linux/sockios.h',
    'linux/ethtool_netlink.h',
    'linux/netfilter.h',
    'linux/netfilter/nf_tables.h',
    'linux/gen_stats.h',
  ],
  ...['linux/pkt_sched.h', 'linux/pkt_cls.h', 'linux/tc_act/tc_gact.h', 'linux/tc_act/tc_mirred.h'],
  ...['linux/tc_act/tc_pedit.h', 'linux/tc_act/tc_csum.h', 'linux/tc_act/tc_vlan.h'],
  ...[
    'linux/netfilter.h',
    'linux/netfilter/nfnetlink.h',
    'linux/netfilter/nfnetlink_conntrack.h',
    'linux/netfilter/nf_tables_compat.h',
    'linux/ip_vs.h',
    'linux/netfilter_ipv4/ip_tables.h',
    'linux/netfilter/nf_conntrack_tcp.h',
    'linux/netfilter/nf_nat.h',
    'linux/netfilter/nf_tables.h',
  ],
  ...['linux/sock_diag.h', 'linux/inet_diag.h', 'linux/nexthop.h', 'linux/net_namespace.h'],
]

/** Names of ours that have another name in the headers. */
const expressions: Readonly<Record<string, string>> = {
  CLSACT_INGRESS: 'TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)',
  CLSACT_EGRESS: 'TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)',
  BLOCK_IFINDEX: '(int)TCM_IFINDEX_MAGIC_BLOCK',
  clsactHandle: 'TC_H_MAJ(TC_H_CLSACT)',
  SOCKADDR_NL_SIZE: 'sizeof(struct sockaddr_nl)',
  SOCKADDR_LL_SIZE: 'sizeof(struct sockaddr_ll)',
  SLL_IFINDEX_OFFSET: 'offsetof(struct sockaddr_ll, sll_ifindex)',
  TIMEVAL_SIZE: 'sizeof(struct timeval)',
}

/** Folders with files that have constants of the headers without exporting them. */
const withPrivate = ['netlink', 'sys', 'kernel']

/** In no header: (__u32)-1 in rtnl_fill_vfinfo(), net/core/rtnetlink.c. */
const internal = ['NOT_REPORTED']

/** The names and numbers of our sources. Throws if one name has two numbers. */
export function declared(): Uapi {
  const constants: Record<string, number> = {}
  const structs: Record<string, Layout> = {}
  const add = (name: string, value: number) => {
    if (internal.includes(name)) return
    if ((constants[name] ?? value) !== value)
      throw new Error(`${name} is both ${constants[name]} and ${value}`)
    constants[name] = value
  }
  const seen = new Set<unknown>()
  const visit = (value: unknown) => {
    if (seen.has(value)) return
    seen.add(value)
    if (value instanceof Struct) structs[value.kind] = layoutOf(value)
    else if (value instanceof Family) [value.header, value.attributes].forEach(visit)
    else if (value instanceof List || value instanceof Indexed) visit(value.element)
    else if (value instanceof ByKind) Object.values(value.kinds).forEach(visit)
    else if (value instanceof Ordered) visit(value.row)
    else if (value instanceof Repeated) row(value.kind, value.row)
    else if (value instanceof Attrs) for (const name in value.table) row(name, value.table[name])
  }
  const row = (name: string, [type, codec]: tlv.Row) => {
    add(name, type)
    visit(codec)
  }
  for (const [name, value] of Object.values(modules).flatMap((module) => Object.entries(module))) {
    if (typeof value === 'number') add(name, value)
    else if (/^[A-Z]/.test(name) && typeof value === 'object' && value !== null) {
      for (const [key, number] of Object.entries(value)) if (typeof number === 'number') add(key, number)
    } else visit(value)
  }
  for (const [name, value] of privateConstants()) add(name, value)
  for (let number = 1; number < 134; number++)
    if (!errnoName(number).includes(' ')) add(errnoName(number), number)
  return sorted({ constants, structs })
}

/** Constants that a file does not export: no import can see them, so they are read from the source. */
function privateConstants(): [name: string, value: number][] {
  const found: [string, number][] = []
  for (const folder of withPrivate) {
    const top = new URL(`../src/${folder}/`, import.meta.url)
    for (const file of readdirSync(top, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue
      const source = readFileSync(new URL(file, top), 'utf8')
      for (const [, name = '', value] of source.matchAll(/^const (\w+) = (0[xo]?[\da-f]+|\d+)$/gm))
        if (/^[A-Z][A-Z\d_]+$/.test(name) || name in expressions) found.push([name, Number(value)])
    }
  }
  return found
}

/** The numbers of the same names in the headers. */
export function probed(names: Uapi = declared()): Uapi {
  const lines = Object.keys(names.constants).map(
    (name) => `  constant("${name}", ${expressions[name] ?? name});`,
  )
  for (const [name, { fields }] of Object.entries(names.structs)) {
    lines.push(`  printf("struct ${name} %zu\\n", sizeof(struct ${name}));`)
    for (const field of Object.keys(fields)) {
      const member = `((struct ${name} *)0)->${field}`
      lines.push(
        `  printf("field ${name} ${field} %zu %zu\\n", offsetof(struct ${name}, ${field}), sizeof(${member}));`,
      )
    }
  }
  const source = [
    // glibc shows some of fcntl.h only with this macro.
    '#define _GNU_SOURCE',
    ...headers.map((header) => `#include <${header}>`),
    'static void constant(const char *name, long long value) { printf("constant %s %lld\\n", name, value); }',
    'int main(void) {',
    ...lines,
    '}',
  ].join('\n')
  return parse(run(source))
}

function run(source: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'uapi-'))
  try {
    writeFileSync(join(folder, 'uapi.c'), source)
    execFileSync('gcc', ['-Wall', '-Werror', '-o', join(folder, 'uapi'), join(folder, 'uapi.c')], {
      stdio: 'inherit',
    })
    return execFileSync(join(folder, 'uapi'), { encoding: 'utf8' })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function parse(output: string): Uapi {
  const constants: Record<string, number> = {}
  const structs: Record<string, { size: number; fields: Record<string, { offset: number; size: number }> }> =
    {}
  for (const line of output.trim().split('\n')) {
    const [kind = '', name = '', first = '', ...rest] = line.split(' ')
    if (kind === 'constant') constants[name] = Number(first)
    else if (kind === 'struct') structs[name] = { size: Number(first), fields: {} }
    else if (structs[name] !== undefined)
      structs[name].fields[first] = { offset: Number(rest[0]), size: Number(rest[1]) }
  }
  return sorted({ constants, structs })
}

function layoutOf(struct: Struct<Struct<never[]>['fields']>): Layout {
  const fields: Record<string, { offset: number; size: number }> = {}
  let offset = 0
  for (const [name, { size }] of struct.fields as readonly (readonly [string, { size: number }])[]) {
    if (!name.startsWith('_')) fields[name] = { offset, size }
    offset += size
  }
  return { size: struct.size, fields }
}

function sorted({ constants, structs }: Uapi): Uapi {
  const byName = <T>(object: Readonly<Record<string, T>>) =>
    Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)))
  return { constants: byName(constants), structs: byName(structs) }
}

if (import.meta.main) {
  const text = `${JSON.stringify(probed(), null, 2)}\n`
  writeFileSync(new URL('../test/fixtures/uapi.json', import.meta.url), text)
  process.stdout.write(text)
}
