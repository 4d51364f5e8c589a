// Counters of the wire by ethtool's standard statistics: asked of several interfaces at once, told only where a driver has all four.
import { describe, expect, test } from 'vitest'
import { ethtoolId, wireTraffic } from '../../../src/kernel/link/wire-traffic.ts'
import { statsMessage } from '../../../src/netlink/genl/ethtool-stats.ts'
import { ctrlMessage } from '../../../src/netlink/genl/genl.ts'
import type { Message } from '../../../src/netlink/message.ts'
import { NetlinkSocket } from '../../../src/netlink/socket.ts'
import { ack, join, message, script } from '../../netlink/script.ts'

const FAMILY = 21
const EOPNOTSUPP = 95
const ENOENT = 2

type Counter = Parameters<typeof statsMessage.request>[3] extends infer R
  ? R extends { readonly ETHTOOL_A_STATS_GRP?: infer G }
    ? G
    : never
  : never

const all: Counter = [
  ['ETHTOOL_A_STATS_GRP_ID', 1],
  ['ETHTOOL_A_STATS_GRP_SS_ID', 18],
  ['ETHTOOL_A_STATS_GRP_STAT', { ETHTOOL_A_STATS_ETH_MAC_2_TX_PKT: 1n }],
  ['ETHTOOL_A_STATS_GRP_STAT', { ETHTOOL_A_STATS_ETH_MAC_5_RX_PKT: 2n }],
  ['ETHTOOL_A_STATS_GRP_STAT', { ETHTOOL_A_STATS_ETH_MAC_8_TX_BYTES: 3n }],
  ['ETHTOOL_A_STATS_GRP_STAT', { ETHTOOL_A_STATS_ETH_MAC_14_RX_BYTES: 2n ** 60n }],
]

function answer(request: Message, group: Counter): Uint8Array {
  const { payload } = statsMessage.request('', FAMILY, 0, {
    ...{ cmd: 33, version: 1, ETHTOOL_A_STATS_HEADER: { ETHTOOL_A_HEADER_DEV_INDEX: 1 } },
    ...(group === undefined ? {} : { ETHTOOL_A_STATS_GRP: group }),
  })
  return message(FAMILY, 0, request.seq, payload)
}

describe('interfaces', () => {
  test('one with all counters tells, one without, one that lacks some and one that is gone do not', () => {
    const port = script((requests) =>
      join(
        ...requests.flatMap((request, at) => {
          if (at === 1) return [ack(request, -EOPNOTSUPP)]
          return [answer(request, at === 2 ? all?.slice(0, 4) : at === 3 ? [] : all), ack(request)]
        }),
      ),
    )
    const found = wireTraffic(new NetlinkSocket(port), FAMILY, [7, 8, 9, 10, 11])
    const counted = {
      receive: { packets: 2n, bytes: 2n ** 60n },
      transmit: { packets: 1n, bytes: 3n },
    }
    expect([...found]).toEqual([
      [7, counted],
      [11, counted],
    ])
    expect(port.datagrams()).toBe(1)
    const asked = port.sent.map(({ payload }) => statsMessage.decode(payload))
    expect(asked.map((one) => one.ETHTOOL_A_STATS_HEADER?.ETHTOOL_A_HEADER_DEV_INDEX)).toEqual([
      7, 8, 9, 10, 11,
    ])
    expect(asked[0]?.ETHTOOL_A_STATS_GROUPS?.ETHTOOL_A_BITSET_BITS?.[0]?.ETHTOOL_A_BITSET_BIT_INDEX).toBe(1)
  })

  test('none is asked where there is none', () => {
    expect(wireTraffic(new NetlinkSocket(script()), FAMILY, [])).toEqual(new Map())
  })
})

describe('the family', () => {
  test('has a number', () => {
    const { payload } = ctrlMessage.request('', 16, 0, {
      ...{ cmd: 1, version: 2, CTRL_ATTR_FAMILY_ID: FAMILY, CTRL_ATTR_FAMILY_NAME: 'ethtool' },
    })
    const port = script(([request]) => {
      if (request === undefined) throw new RangeError('nobody asked')
      return join(message(16, 0, request.seq, payload), ack(request))
    })
    expect(ethtoolId(new NetlinkSocket(port))).toBe(FAMILY)
  })

  test('is missing in old kernels', () => {
    const port = script(([request]) => {
      if (request === undefined) throw new RangeError('nobody asked')
      return ack(request, -ENOENT)
    })
    expect(ethtoolId(new NetlinkSocket(port))).toBeUndefined()
  })
})
