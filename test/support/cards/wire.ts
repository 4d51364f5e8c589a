// Frames of each cell of the table of cards: on the card's wire, in the card's table, and in the host's stack. In: a Lab. Out: numbers.
import { type Card, type HardwareRule, hardwareRules } from '../../../hack/lab/bed/simnic.ts'
import { WIRE } from '../../../hack/lab/bed/topology.ts'
import { startedWhen } from '../../../hack/lab/bed/traffic.ts'
import type { Lab } from '../../../hack/lab/lab.ts'

/** Ports on the node and in the pod. Each names one protocol, also where nothing else of a frame is known. */
export const PORTS = {
  tcp: { host: 8080, pod: 80 },
  udp: { host: 5353, pod: 53 },
  sctp: { host: 7000, pod: 7001 },
} as const
/** A protocol of a mapping. */
export type Protocol = keyof typeof PORTS

/** Frames of one family and protocol, by its ports of the node (`mapped`) or those of the pod (`direct`). */
export interface Frames {
  /** On the wire, to the card and from it. */
  readonly wire: { readonly in: number; readonly out: number }
  /** Counted by filters of the card, on the uplink and on the VF's representor. */
  readonly card: { readonly in: number; readonly out: number }
  /** Seen by the host's stack, on any interface. */
  readonly host: number
}

/** The address family. */
export type Family = 'v4' | 'v6'
/** The owner of the port that clients ask for: the node (mapped) or the pod. */
export type Target = 'mapped' | 'direct'

/** Looks at frames from {@link Wire.begin} on. */
export interface Wire {
  /** Counts at the wire of this card from now on. */
  counts(card: Card): Promise<void>
  /** Forgets all frames so far. */
  begin(card: Card): Promise<void>
  /** The frames of a family and protocol since then. `nat: nic` matches the pod's ports on its way out. */
  look(card: Card): Promise<(family: Family, protocol: Protocol, target: Target) => Frames>
  end(): Promise<void>
}

const table = 'netdev cells'
const ethertypes = { v4: { nft: 'ip', hex: '0800' }, v6: { nft: 'ip6', hex: '86dd' } } as const
const numbers = { tcp: 6, udp: 17, sctp: 132 } as const

const cells = (['v4', 'v6'] as const).flatMap((family) =>
  (['tcp', 'udp', 'sctp'] as const).flatMap((protocol) =>
    (['host', 'pod'] as const).map((side) => ({ family, protocol, port: PORTS[protocol][side] })),
  ),
)

/** A table that counts what goes through the far end of the card's cable. */
function counters(device: string): string {
  const rules = (direction: 'in' | 'out') =>
    cells.map(
      ({ family, protocol, port }) =>
        `meta protocol ${ethertypes[family].nft} meta l4proto ${protocol} th ${direction === 'in' ? 'dport' : 'sport'} ${port} counter name ${direction}_${family}_${port}`,
    )
  const names = cells.flatMap(({ family, port }) => [`in_${family}_${port}`, `out_${family}_${port}`])
  return `table ${table} {
${names.map((name) => `counter ${name} { }`).join('\n')}
chain in { type filter hook egress device "${device}" priority 0;
${rules('in').join('\n')}
}
chain out { type filter hook ingress device "${device}" priority 0;
${rules('out').join('\n')}
}
}`
}

/** Ports from here on, at which nobody listens: a datagram to the next one tells that all frames before it have been seen. */
const MARK = 50_000

/** A filter without its counters. */
const nameOf = ({ ingress, prio, text }: HardwareRule): string => `${ingress} ${prio} ${text}`

const countedBy = (rules: readonly HardwareRule[]): ReadonlyMap<string, number> =>
  new Map(rules.map((rule) => [nameOf(rule), rule.packets]))

/** Starts to watch the host. */
export async function startWire(vm: Lab): Promise<Wire> {
  const ports = [...new Set(cells.map(({ port }) => `port ${port}`))].join(' or ')
  const filter = `(udp and dst host 127.0.0.1 and dst portrange ${MARK}-${MARK + 5_000}) or ((tcp or udp or sctp) and (${ports}))`
  const argv = ['tcpdump', '-i', 'any', '-nn', '-l', '-q', '-t', '--immediate-mode', filter]
  const watch = await startedWhen(vm, argv, (process) => /listening on/.test(process.stderr()))
  let [marks, from] = [0, 0]
  let before: ReadonlyMap<string, number> = new Map()
  const mark = () => `bash -c 'echo mark >/dev/udp/127.0.0.1/${MARK + ++marks}'`
  const inWire = `ip netns exec ${WIRE.namespace}`

  /** Everything that the host had seen at the last mark. */
  async function seen(): Promise<string[]> {
    for (let wait = 0; wait < 1_000; wait++) {
      const text = watch.stdout()
      if (text.includes(` > 127.0.0.1.${MARK + marks}:`))
        return text.split('\n').filter((line) => line !== '' && !line.includes(' > 127.0.0.1.5'))
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    throw new Error(`tcpdump does not see the host's frames: ${watch.stderr()}`)
  }

  return {
    counts: async ({ wire }) => {
      await vm.must(`set -e
        ${inWire} nft delete table ${table} 2>/dev/null || true
        ${inWire} ethtool -K ${wire} gro off
        ${inWire} nft -f - <<'END'
${counters(wire)}
END`)
    },
    begin: async (card) => {
      await vm.must(`${inWire} nft reset counters table ${table} >/dev/null; ${mark()}`)
      from = (await seen()).length
      before = countedBy(await hardwareRules(vm, card))
    },
    look: async (card) => {
      const listed = await vm.must(`${inWire} nft -j list counters table ${table}; ${mark()}`)
      const rules = await hardwareRules(vm, card)
      const lines = (await seen()).slice(from)
      const { nftables } = JSON.parse(listed) as {
        nftables: { counter?: { name: string; packets: number } }[]
      }
      const counted = new Map(
        nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter.packets]] : [])),
      )
      // The caller may ask when the next frames are counted already.
      const earlier = before
      return (family, protocol, target) => {
        const { host, pod } = PORTS[protocol]
        const port = target === 'mapped' ? host : pod
        const inCard = (ingress: string, side: string, ports: readonly number[]) =>
          rules
            .filter(
              ({ ingress: at, text }) =>
                at === ingress &&
                text.includes(` eth_type ${ethertypes[family].hex} `) &&
                text.includes(` ip_proto ${numbers[protocol]} `) &&
                ports.some((one) => text.includes(` ${side}_port ${one} `)),
            )
            .reduce((sum, rule) => sum + rule.packets - (earlier.get(nameOf(rule)) ?? 0), 0)
        const [dot, ip] = family === 'v4' ? ['.', 'IP '] : ['.', 'IP6 ']
        return {
          wire: {
            in: counted.get(`in_${family}_${port}`) ?? 0,
            out: counted.get(`out_${family}_${port}`) ?? 0,
          },
          card: { in: inCard('uplink', 'dst', [port]), out: inCard('vf0', 'src', [host, pod]) },
          host: lines.filter(
            (line) =>
              line.includes(` ${ip}`) &&
              [host, pod].some((one) => line.includes(`${dot}${one} > `) || line.includes(`${dot}${one}: `)),
          ).length,
        }
      }
    },
    end: async () => {
      watch.kill('SIGKILL')
      await watch.wait()
      await vm.must(`${inWire} nft delete table ${table} 2>/dev/null; true`)
    },
  }
}
