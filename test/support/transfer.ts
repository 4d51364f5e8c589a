// A long transfer by filters in hardware. In: a pod behind a simulated card, a way to send to its mapped port. Out: nothing, if every
// byte arrived, the card counted every frame, and AF_PACKET saw none on the uplink and the representor.
import { expect } from 'vitest'
import { capture } from '../../hack/lab/bed/capture.ts'
import { json } from '../../hack/lab/bed/plugins.ts'
import { type Card, hardwareRules } from '../../hack/lab/bed/simnic.ts'
import type { Lab } from '../../hack/lab/lab.ts'

/** The receiver. */
export interface Transfer {
  readonly lab: Lab
  readonly card: Card
  /** Name of the pod's namespace; its interface is `net1` on the card's first VF. */
  readonly pod: string
  /** The ports of frames at the pod's interface: the pod's own if the card translates, else the mapped ones. */
  readonly inPod: { readonly tcp: number; readonly udp: number }
  /** Ports of a frame before and behind the card, for tcpdump. */
  readonly ports: string
  /** Bytes that `send` sends by TCP. */
  readonly bytes: number
  /** Sends the bytes, and fails unless they arrive. */
  send(): Promise<void>
}

/** Sends, counting each frame in the pod as it comes from the wire and goes to the wire. */
export async function expectInHardware({
  lab,
  card,
  pod,
  inPod,
  ports,
  bytes,
  send,
}: Transfer): Promise<void> {
  const counts = (['tcp', 'udp'] as const).flatMap((protocol, at) =>
    ['ip', 'ipv6'].flatMap((family) =>
      [
        ['ingress', 'dst_port'],
        ['egress', 'src_port'],
      ].map(
        ([side, key]) =>
          `filter add dev net1 ${side} prio ${2 * at + (family === 'ip' ? 1 : 2)} protocol ${family} flower ip_proto ${protocol} ${key} ${inPod[protocol]} action ok`,
      ),
    ),
  )
  await lab.must(`set -e
    ip netns exec ${pod} ethtool -K net1 gro off gso off tso off
    tc -n ${pod} -b - <<END
qdisc add dev net1 clsact
${counts.join('\n')}
END`)
  try {
    const captures = [
      await capture(lab, null, card.pf, ports),
      await capture(lab, null, `${card.pf}rep0`, ports),
    ]
    await send()
    for (const one of captures) expect(await one.stop()).toEqual([])
    const counted = { in: await packets('ingress'), out: await packets('egress') }
    const rules = await hardwareRules(lab, card)
    const sum = (from: string) =>
      rules.filter(({ ingress }) => ingress === from).reduce((total, rule) => total + rule.packets, 0)
    expect({ in: sum('uplink'), out: sum('vf0') }).toEqual(counted)
    // A frame holds at most 1,460 bytes of a stream.
    expect(counted.in).toBeGreaterThan(bytes / 1_460)
  } finally {
    await lab.must(`tc -n ${pod} qdisc del dev net1 clsact
      ip netns exec ${pod} ethtool -K net1 gro on gso on`)
  }

  async function packets(side: string): Promise<number> {
    const filters = await json(lab, `tc -n ${pod} -s -j filter show dev net1 ${side}`)
    return filters
      .flatMap(
        ({ options }) =>
          (options as { actions?: { stats?: { packets: number } }[] } | undefined)?.actions ?? [],
      )
      .reduce((total, { stats }) => total + (stats?.packets ?? 0), 0)
  }
}
