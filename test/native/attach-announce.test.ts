// What neighbours hear of an ADD: by which interface, how often, and that the kernel takes no address for a duplicate of itself.
// On an interface whose link is up when we say so, and whose wire hands multicast back on request.
// needs: veth, bridge, clsact, u32
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { makeNativeBed, type NativeBed, onNic } from '../support/attach-native-bed.ts'
import { type CapturedFrame, capture } from '../support/capture.ts'
import { json, staticIpam } from '../support/plugins.ts'
import { addClusterInterface, linkIsReady, WIRE } from '../support/topology.ts'

const POD = 'pod-one'
const MAC = '02:00:00:00:00:71'
const [V4, V6] = ['10.1.0.5', 'fd00:1::5']

let bed: NativeBed

beforeAll(async () => {
  bed = await makeNativeBed(1, [POD])
  await addClusterInterface(bed.lab, POD, 7)
})
afterEach(() => bed.del({ type: 'vf-attach' }, POD))
afterAll(() => bed?.end())

const peer = (words: string) => `ip -n ${WIRE.namespace} link set ${bed.nic().peer} ${words}`

describe('an announcement', () => {
  const config = (announce: Record<string, number> | undefined) =>
    onNic(bed.nic(), {
      ...{ mac: MAC, ipam: staticIpam(`${V4}/24`) },
      ...(announce === undefined ? {} : { announce }),
    })

  /** Counts gratuitous ARP of the pod's address. */
  function gratuitous(frames: readonly CapturedFrame[]) {
    const own = frames.filter(({ source }) => source === MAC)
    const count = (words: string) => own.filter(({ text }) => text.includes(words)).length
    return {
      requests:
        count(`Request who-has ${V4} tell ${V4}`) + count(`Request who-has ${V4} (${MAC}) tell ${V4}`),
      replies: count(`Reply ${V4} is-at ${MAC}`),
    }
  }

  /** A frame of the pod that comes after all that ADD has sent. */
  async function fence(): Promise<void> {
    await bed.lab.sh(`ip netns exec ${POD} ping -q -c 1 -W 1 10.1.0.99`)
  }

  test.each([
    [{ count: 3, interval: 10 }, 3],
    [{ count: 1 }, 1],
    [{ count: 0 }, 0],
  ])('%j: both forms leave by the interface so often, and by no other one', async (announce, times) => {
    const [wire, elsewhere] = await Promise.all([
      capture(bed.lab, WIRE.namespace, bed.nic().peer, 'arp'),
      capture(bed.lab, null, 'cluster7', `host ${V4} or ether src ${MAC}`),
    ])
    const result = await bed.add(config(announce), POD)
    await fence()
    expect(gratuitous(await wire.stop())).toEqual({ requests: times, replies: times })
    expect(await elsewhere.stop()).toEqual([])
    expect(result.ips).toHaveLength(1)
  })

  test('is made by default', async () => {
    const wire = await capture(bed.lab, WIRE.namespace, bed.nic().peer, 'arp')
    await bed.add(config(undefined), POD)
    await expect.poll(() => gratuitous(wire.frames()).requests, { timeout: 30_000 }).toBeGreaterThan(0)
    await wire.stop()
  })

  test('waits for the carrier as long as it is told, and ADD succeeds without one', async () => {
    await bed.lab.must(peer('down'))
    const result = await bed.add(config({ count: 2, carrier: 0 }), POD)
    expect(result.ips).toHaveLength(1)
    await bed.del(config(undefined), POD)

    const wire = await capture(bed.lab, WIRE.namespace, bed.topology.wire, 'arp')
    const adding = bed.call('ADD', config({ count: 2, carrier: 10_000 }), POD)
    // The address is the last thing before the wait.
    await bed.lab.must(`until ip -n ${POD} address show dev net1 2>/dev/null | grep -q ${V4}; do sleep 0.05; done
      ${peer('up')}`)
    expect((await adding).code).toBe(0)
    await fence()
    expect(gratuitous(await wire.stop())).toEqual({ requests: 2, replies: 2 })
  })
})

describe('an IPv6 address on a NIC whose wire hands multicast back', () => {
  const tc = `tc -n ${WIRE.namespace}`

  beforeAll(async () => {
    const { peer: wire } = bed.nic()
    await bed.lab.load('sch_ingress', 'cls_u32', 'act_mirred')
    // The first two bytes of the Ethernet header lie 14 before those of IPv6.
    await bed.lab.must(`set -e
      ${tc} qdisc add dev ${wire} clsact
      ${tc} filter add dev ${wire} ingress protocol ipv6 u32 match u16 0x3333 0xffff at -14 \
        action mirred egress mirror dev ${wire}`)
  })
  afterAll(() => bed.lab.must(`${tc} qdisc del dev ${bed.nic().peer} clsact`))

  const isAdvertised = ({ destination, text }: CapturedFrame) =>
    destination === '33:33:00:00:00:01' &&
    text.includes('neighbor advertisement') &&
    text.includes(`tgt is ${V6}`)

  test.each([
    ['by default', undefined, true],
    ['with a count', { count: 3 }, true],
    ['with count 0', { count: 0 }, false],
  ])(
    'is announced after duplicate address detection and never its own duplicate: %s',
    async (_, announce, announced) => {
      const config = onNic(bed.nic(), {
        ...{ mac: MAC, ipam: staticIpam(`${V6}/64`) },
        ...(announce === undefined ? {} : { announce }),
      })
      const wire = await capture(
        bed.lab,
        WIRE.namespace,
        bed.nic().peer,
        `inbound and icmp6 and ether src ${MAC}`,
      )
      // As a card's, the link comes some time after the interface is up.
      await bed.lab.must(peer('down'))
      const adding = bed.add(config, POD)
      await bed.lab.must(`until ip -n ${POD} address show dev net1 2>/dev/null | grep -q ${V6}; do sleep 0.05; done
        ${peer('up')}`)
      await adding
      const heard = await capture(bed.lab, POD, 'net1', `inbound and icmp6 and ether src ${MAC}`)
      try {
        await linkIsReady(bed.lab, POD)
        if (announced) {
          await expect.poll(() => wire.frames().some(isAdvertised), { timeout: 30_000 }).toBe(true)
        }
        const hearsItself = async () => {
          await bed.lab.sh(`ip netns exec ${POD} ping -6 -q -c 1 -W 1 -I net1 ff02::1`)
          return heard.frames().length > 0
        }
        await expect.poll(hearsItself, { timeout: 50_000 }).toBe(true)
        const [link] = await json(bed.lab, `ip -n ${POD} -6 -j address show dev net1`)
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
