// Captured messages of iproute2 and the kernel are decoded, and encode to the same bytes.
import { describe, expect, test } from 'vitest'
import { annotateDatagram } from '../../hack/lab/netlink/annotate.ts'
import { familyOf } from '../../hack/lab/netlink/families.ts'
import { NLMSG, parseAck } from '../../src/netlink/message.ts'
import { fixture, fixtures, payloadsOf } from './fixtures.ts'

describe('captures', () => {
  test('there are requests and answers of every family', () => {
    const seen = new Set(fixtures.flatMap(({ messages }) => messages.map(({ type }) => familyOf(type)?.[0])))
    for (const kind of ['LINK', 'ADDR', 'ROUTE', 'RULE', 'NEIGH', 'QDISC', 'TFILTER'])
      expect(seen).toContain(`RTM_NEW${kind}`)
    expect(seen).toContain('RTM_NEWACTION')
    expect(fixtures.length).toBeGreaterThan(80)
  })

  test.each(fixtures.map((one) => [one.name, one] as const))(
    '%s says in its comments what annotate() says',
    (_, one) => {
      expect(annotateDatagram(one.bytes)).toBe(one.text)
      expect(one.text).not.toContain('malformed')
    },
  )

  test.each(fixtures.map((one) => [one.name, one] as const))(
    '%s decodes and encodes to the same bytes',
    (_, one) => {
      for (const { codec, payload } of payloadsOf(one))
        expect(codec.encode(codec.decode(payload))).toEqual(payload)
    },
  )

  test.each(fixtures.map((one) => [one.name, one] as const))(
    '%s keeps its values without the memory of how they were written',
    (_, one) => {
      for (const { codec, payload } of payloadsOf(one)) {
        const value = codec.decode(payload)
        expect(codec.decode(codec.encode(structuredClone(value)))).toEqual(value)
      }
    },
  )
})

describe('parseAck()', () => {
  test('reads a refusal whose request is attached', () => {
    const [message] = fixture('answer-refused').messages
    expect(message?.type).toBe(NLMSG.NLMSG_ERROR)
    expect(message && parseAck(message)).toEqual({
      error: -101,
      extack: { NLMSGERR_ATTR_MSG: 'Nexthop has invalid gateway' },
    })
  })

  test("reads a driver's refusal of an offload", () => {
    const [message] = fixture('answer-filter-refused').messages
    expect(message && parseAck(message)).toEqual({
      error: -95,
      extack: { NLMSGERR_ATTR_MSG: 'TC offload is disabled on net device' },
    })
  })

  test('reads the warning of a success', () => {
    const [message] = fixture('answer-filter-verbose').messages
    expect(message && parseAck(message)).toEqual({
      error: 0,
      extack: { NLMSGERR_ATTR_MSG: 'TC offload is disabled on net device' },
    })
  })

  test('reads the end of a dump', () => {
    const [message] = fixture('answer-done').messages
    expect(message?.type).toBe(NLMSG.NLMSG_DONE)
    expect(message && parseAck(message)).toEqual({ error: 0, extack: {} })
  })
})
