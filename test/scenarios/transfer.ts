/** A long transfer by rules in hardware: every byte arrives, every frame is counted, the host sees none. */
import { expect } from 'vitest'
import { capture } from '../support/capture.ts'
import { json } from '../support/plugins.ts'
import { hardwareRules } from '../support/simnic.ts'
import { HOST } from '../support/topology.ts'
import { expectServer, type Scene, tcp } from './scenario.ts'

/** Sends so many bytes from both clients to the mapped port, over IPv4 and IPv6 in turn. */
export async function transfer(scene: Scene, megabytes: number): Promise<void> {
  const { one, add, lab, node, nat, natConfig } = scene
  const { card, net } = node
  if (card === undefined) throw new Error('only a simulated card tells its table')
  await add(one, [tcp(8080, 90)], { config: { ...natConfig, offload: 'require' } })
  // What reaches the pod, and what it sends, frame by frame: as it comes from the wire, before the pod translates.
  const port = nat === 'pod' ? 8080 : 90
  const count = (side: string, family: string, key: string) =>
    `tc -n ${one.name} filter add dev net1 ${side} protocol ${family} flower ip_proto tcp ${key} ${port} action ok`
  await lab.must(`set -e
    ip netns exec ${one.name} ethtool -K net1 gro off gso off tso off
    tc -n ${one.name} qdisc add dev net1 clsact
    ${['ip', 'ipv6'].flatMap((family) => [count('ingress', family, 'dst_port'), count('egress', family, 'src_port')]).join('\n')}`)
  try {
    const ours = 'tcp port 8080 or tcp port 90'
    const captures = [await capture(lab, null, net.pf, ours), await capture(lab, null, `${net.pf}rep0`, ours)]
    for (const [index, { agent }] of node.clients.entries()) {
      const address = index === 0 ? HOST.v4 : HOST.v6
      const bytes = (megabytes * 1_000_000) / node.clients.length
      const question = { protocol: 'digest', address, port: 8080, bytes, timeoutMs: 600_000 } as const
      await expectServer(agent, [question], `${one.name} digest 90`)
    }
    for (const one of captures) expect(await one.stop()).toEqual([])
    const counted = { in: await packets('ingress'), out: await packets('egress') }
    const rules = (await hardwareRules(lab, card)).filter(({ packets: seen }) => seen > 0)
    const sum = (from: string) =>
      rules.filter(({ ingress }) => ingress === from).reduce((total, rule) => total + rule.packets, 0)
    expect({ in: sum('uplink'), out: sum('vf0') }).toEqual(counted)
    // No frame holds more than 1,460 bytes of a stream.
    expect(counted.in).toBeGreaterThan((megabytes * 1_000_000) / 1_460)
  } finally {
    await lab.must(`tc -n ${one.name} qdisc del dev net1 clsact
      ip netns exec ${one.name} ethtool -K net1 gro on gso on`)
  }

  async function packets(side: string): Promise<number> {
    const filters = await json(lab, `tc -n ${one.name} -s -j filter show dev net1 ${side}`)
    return filters
      .flatMap(
        ({ options }) =>
          (options as { actions?: { stats?: { packets: number } }[] } | undefined)?.actions ?? [],
      )
      .reduce((total, { stats }) => total + (stats?.packets ?? 0), 0)
  }
}
