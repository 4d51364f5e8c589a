// vf-attach on a PF with as many VFs as there can be, on the simulated NIC, and what neighbours hear of an IPv6 address, on igb
// with a wire that hands multicast back. What they hear of any interface is in test/native/attach/announce.test.ts.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type CapturedFrame, capture } from '../../../hack/lab/bed/capture.ts'
import {
  attachConfig,
  attachment,
  json,
  listOf,
  pluginPath,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { type Card, loadSimnic, setVfs, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import { deletePod, linkIsReady, newPod, type Topology } from '../../../hack/lab/bed/topology.ts'
import { cniRuntime, type PluginConfig, type Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { makeVfs, removeVfs } from '../../support/vfs.ts'

const POD = 'pod-one'
const MAC = '02:00:00:00:00:71'
const V6 = 'fd00:1::5'

let lab: Lab
let runtime: Runtime
let pod: string

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
})

describe('the last of 255 VFs', () => {
  const TRACED = '/tmp/traced'
  let card: Card

  beforeAll(async () => {
    ;[card] = (await loadSimnic(lab, { totalVfs: 255 })) as [Card]
    await setVfs(lab, card, 255)
    await lab.must(`ip link set ${card.wire} up; ip link set ${card.pf} up`)
    pod = await newPod(lab, POD)
    // With an argument the shim asks no agent: the questions of another process would not be traced.
    await lab.writeFile(
      `${TRACED}/vf-attach`,
      `#!/bin/sh\nexec strace -f -qq -e trace=sendto,sendmsg -o ${TRACED}/log '${pluginPath[0]}/vf-attach' alone\n`,
      0o755,
    )
  })

  afterAll(async () => {
    await deletePod(lab, POD)
    await unloadSimnic(lab)
  })

  /** VF number to what `ip` shows of it. */
  async function vfs(): Promise<Map<number, Record<string, unknown>>> {
    const [link] = await json(lab, `ip -d -j link show dev ${card.pf}`)
    const list = (link?.vfinfo_list ?? []) as Record<string, unknown>[]
    return new Map(list.map((info) => [Number(info.vf), info]))
  }

  test('gets its own attributes, by one question about VFs without statistics, and DEL restores them', async () => {
    const device = (
      await lab.must(`basename "$(readlink /sys/class/net/${card.pf}/device/virtfn254)"`)
    ).trim()
    const wishes = { mac: MAC, vlan: 254, vlanQoS: 5, spoofchk: 'off', trust: 'on', max_tx_rate: 254 }
    const list = listOf(attachConfig(device, wishes))
    const before = await vfs()
    expect(before.size).toBe(255)
    const here = await json(lab, `ip -d -j link show dev ${card.pf}vf254`)

    const traced = cniRuntime(lab, [TRACED, ...pluginPath])
    const result = await traced.add(list, attachment(pod))
    expect(result.interfaces?.[0]).toMatchObject({ name: 'net1', mac: MAC, pciID: device })
    const asked = (await lab.readFile(`${TRACED}/log`))
      .split('\n')
      .filter((line) => line.includes('RTM_GETLINK'))
    expect(asked.length).toBeGreaterThan(1)
    const aboutVfs = asked.filter((line) => /RTEXT_FILTER_VF\b/.test(line))
    expect(aboutVfs).toEqual([expect.stringMatching(/RTEXT_FILTER_VF\|RTEXT_FILTER_SKIP_STATS\b/)])

    const { 254: last, ...others } = Object.fromEntries(await vfs())
    expect(last).toMatchObject({
      address: MAC,
      vlan_list: [expect.objectContaining({ vlan: 254, qos: 5 })],
      spoofchk: false,
      trust: true,
      rate: { max_tx: 254, min_tx: 0 },
    })
    expect(others).toEqual(Object.fromEntries([...before].filter(([index]) => index !== 254)))
    expect(await json(lab, `ip -n ${POD} -d -j link show dev net1`)).toMatchObject([{ parentdev: device }])
    await runtime.check(list, attachment(pod), result)

    await runtime.del(list, attachment(pod), result)
    expect(await vfs()).toEqual(before)
    const varying = { ifindex: expect.any(Number), qdisc: expect.anything() }
    expect(await json(lab, `ip -d -j link show dev ${card.pf}vf254`)).toEqual([{ ...here[0], ...varying }])
  })

  test('is the one that is left when a PF is asked for any', async () => {
    // Those with an address are in use by the host.
    await lab.must(`ip -b - <<END
${Array.from({ length: 254 }, (_, vf) => `address add 192.0.2.1/32 dev ${card.pf}vf${vf}`).join('\n')}
END`)
    const list = listOf({ type: 'vf-attach', pf: card.pf })
    const result = await runtime.add(list, attachment(pod))
    const [link] = await json(lab, `ip -n ${POD} -d -j link show dev net1`)
    const last = await lab.must(`basename "$(readlink /sys/class/net/${card.pf}/device/virtfn254)"`)
    expect(link).toMatchObject({ parentdev: last.trim() })
    expect(result.interfaces?.[0]?.pciID).toBe(last.trim())
    await runtime.del(list, attachment(pod), result)
  })
})

describe('an IPv6 address on a NIC whose wire hands multicast back', () => {
  let topology: Topology
  let device: string

  beforeAll(async () => {
    topology = await makeVfs(lab, 1)
    device = topology.vfs[0]?.pci ?? ''
    pod = await newPod(lab, POD)
    await lab.must(`set -e
      modprobe sch_ingress; modprobe cls_flower; modprobe act_mirred
      tc qdisc add dev ${topology.wire} clsact
      tc filter add dev ${topology.wire} ingress protocol ipv6 flower dst_mac 33:33:00:00:00:00/ff:ff:00:00:00:00 \
        action mirred egress mirror dev ${topology.wire}`)
  })

  afterEach(() => runtime.del(listOf(attachConfig(device)), attachment(pod)))

  afterAll(async () => {
    await deletePod(lab, POD)
    await lab.must(`tc qdisc del dev ${topology.wire} clsact`)
    await removeVfs(lab, topology)
  })

  const isAdvertised = ({ destination, text }: CapturedFrame) =>
    destination === '33:33:00:00:00:01' &&
    text.includes('neighbor advertisement') &&
    text.includes(`tgt is ${V6}`)

  // By default it is announced three times: more than once, which could meet its own copy.
  test.each([
    ['by default', undefined, true],
    ['with count 0', { count: 0 }, false],
  ])(
    'is announced after duplicate address detection and never its own duplicate: %s',
    async (_, announce, announced) => {
      const plugin: PluginConfig = attachConfig(device, {
        mac: MAC,
        ipam: staticIpam(`${V6}/64`),
        ...(announce === undefined ? {} : { announce }),
      })
      const wire = await capture(lab, null, topology.wire, `icmp6 and ether src ${MAC}`)
      await runtime.add(listOf(plugin), attachment(pod))
      const heard = await capture(lab, POD, 'net1', `inbound and icmp6 and ether src ${MAC}`)
      try {
        await linkIsReady(lab, POD)
        if (announced) {
          await expect.poll(() => wire.frames().some(isAdvertised), { timeout: 30_000 }).toBe(true)
        }
        const hearsItself = async () => {
          await lab.sh(`ip netns exec ${POD} ping -6 -q -c 1 -W 1 -I net1 ff02::1`)
          return heard.frames().length > 0
        }
        await expect.poll(hearsItself, { timeout: 60_000 }).toBe(true)
        const [link] = await json(lab, `ip -n ${POD} -6 -j address show dev net1`)
        const addresses = (link?.addr_info ?? []) as Record<string, unknown>[]
        const found = addresses.find(({ local }) => local === V6)
        expect(found).toMatchObject({ local: V6, prefixlen: 64 })
        expect(found).not.toHaveProperty('dadfailed')
        expect(found).not.toHaveProperty('tentative')
      } finally {
        await heard.stop()
      }
      const seen = await wire.stop()
      const solicited = seen.findIndex(({ text }) => text.includes(`who has ${V6}`))
      expect(solicited).toBeGreaterThanOrEqual(0)
      const advertised = seen.findIndex(isAdvertised)
      if (announced) expect(advertised).toBeGreaterThan(solicited)
      else expect(advertised).toBe(-1)
    },
  )
})
