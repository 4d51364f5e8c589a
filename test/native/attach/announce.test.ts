// Neighbours hear of an ADD by one interface, and so often as the config says, on an interface whose link is up when the
// test says so. test/lab/attach/scale.test.ts has a wire that hands multicast back to its sender.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type CapturedFrame, capture } from '../../../hack/lab/bed/capture.ts'
import { staticIpam } from '../../../hack/lab/bed/plugins.ts'
import { addClusterInterface, WIRE } from '../../../hack/lab/bed/topology.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const POD = 'pod-one'
const MAC = '02:00:00:00:00:71'
const V4 = '10.1.0.5'

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
  ])(
    'with %j leaves by the interface so often, in both forms, and by no other one',
    async (announce, times) => {
      const [wire, elsewhere] = await Promise.all([
        capture(bed.lab, WIRE.namespace, bed.nic().peer, 'arp'),
        capture(bed.lab, null, 'cluster7', `host ${V4} or ether src ${MAC}`),
      ])
      const result = await bed.add(config(announce), POD)
      await fence()
      expect(gratuitous(await wire.stop())).toEqual({ requests: times, replies: times })
      expect(await elsewhere.stop()).toEqual([])
      expect(result.ips).toHaveLength(1)
    },
  )

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
