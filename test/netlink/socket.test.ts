// A socket sends requests, matches answers by number, and turns refusals into errors.
import { describe, expect, test } from 'vitest'
import { extack, type Message, NLM_F, NLMSG, type Request } from '../../src/netlink/message.ts'
import { linkMessage } from '../../src/netlink/rtnl/link.ts'
import { NetlinkError, NetlinkSocket } from '../../src/netlink/socket.ts'
import { ack, errno, join, message, type Script, type Step, script } from './script.ts'

const small: Request = { name: 'RTM_GETLINK', type: 18, flags: 0, payload: new Uint8Array(16) }
const setMtu = linkMessage.request('RTM_NEWLINK', 16, 0, {
  ifi_index: 5,
  IFLA_IFNAME: 'net1',
  IFLA_MTU: 1400,
})
const last = (requests: readonly Message[]) => requests.at(-1) as Message
const byte = (value: number) => Uint8Array.of(value, 0, 0, 0)

function refusal(transport: Script, request: Request): NetlinkError {
  try {
    new NetlinkSocket(transport).request(request)
  } catch (error) {
    if (error instanceof NetlinkError) return error
    throw error
  }
  throw new Error('was not refused')
}

describe('NetlinkSocket.request()', () => {
  test('sends REQUEST and ACK with a sequence number that is never used again', () => {
    const transport = script(
      (sent) => ack(last(sent)),
      (sent) => ack(last(sent)),
    )
    const socket = new NetlinkSocket(transport)
    expect(socket.request({ ...small, flags: NLM_F.NLM_F_CREATE })).toEqual({ messages: [] })
    socket.request(small)
    expect(transport.sent.map(({ flags }) => flags)).toEqual([0x405, 5])
    expect(new Set(transport.sent.map(({ seq }) => seq)).size).toBe(2)
    expect(transport.sent.every(({ seq }) => seq > 0)).toBe(true)
  })

  test('returns the messages that come before the ACK, the first as echo', () => {
    const socket = new NetlinkSocket(
      script((sent) => join(message(16, 0, last(sent).seq, byte(1)), ack(last(sent)))),
    )
    const reply = socket.request(small)
    expect(reply.echo?.payload).toEqual(byte(1))
    expect(reply.messages).toHaveLength(1)
  })

  test('waits for the ACK in a datagram of its own', () => {
    const transport = script(
      (sent) => message(16, 0, last(sent).seq, byte(1)),
      (sent) => message(16, 0, last(sent).seq, byte(2)),
      (sent) => ack(last(sent)),
    )
    expect(new NetlinkSocket(transport).request(small).messages.map(({ payload }) => payload[0])).toEqual([
      1, 2,
    ])
    expect(transport.left()).toBe(0)
  })

  test('returns the warning of a success', () => {
    const text = extack.encode({ NLMSGERR_ATTR_MSG: 'TC offload is disabled on net device' })
    const socket = new NetlinkSocket(script((sent) => ack(last(sent), 0, text)))
    expect(socket.request(small)).toEqual({ messages: [], warning: 'TC offload is disabled on net device' })
  })

  test("refuses with the kernel's words", () => {
    const text = extack.encode({ NLMSGERR_ATTR_MSG: 'TC offload is disabled on net device' })
    const error = refusal(
      script((sent) => ack(last(sent), -95, text)),
      { ...small, name: 'RTM_NEWTFILTER' },
    )
    expect(error.message).toBe('RTM_NEWTFILTER: EOPNOTSUPP: TC offload is disabled on net device')
    expect(error).toMatchObject({
      operation: 'RTM_NEWTFILTER',
      errno: 95,
      errnoName: 'EOPNOTSUPP',
      code: 'EOPNOTSUPP',
    })
    expect(error).toMatchObject({ extack: 'TC offload is disabled on net device' })
    expect(error.offset).toBeUndefined()
  })

  test('refuses without words, and with numbers that have no name', () => {
    expect(
      refusal(
        script((sent) => ack(last(sent), -17)),
        small,
      ).message,
    ).toBe('RTM_GETLINK: EEXIST')
    expect(
      refusal(
        script((sent) => ack(last(sent), -524)),
        small,
      ).message,
    ).toBe('RTM_GETLINK: errno 524')
  })

  test('names the attribute that the kernel points at', () => {
    const pointer = extack.encode({
      NLMSGERR_ATTR_MSG: 'mtu greater than device maximum',
      NLMSGERR_ATTR_OFFS: 16 + 16 + 12,
    })
    const error = refusal(
      script((sent) => ack(last(sent), -22, pointer)),
      setMtu,
    )
    expect(error.message).toBe('RTM_NEWLINK: EINVAL: mtu greater than device maximum (IFLA_MTU)')
    expect(error).toMatchObject({ offset: 44, attribute: 'IFLA_MTU' })
  })

  test('names the attribute that is missing', () => {
    const top = extack.encode({ NLMSGERR_ATTR_MISS_TYPE: 3 })
    expect(
      refusal(
        script((sent) => ack(last(sent), -22, top)),
        setMtu,
      ).attribute,
    ).toBe('missing IFLA_IFNAME')
    const vlan = linkMessage.request('RTM_NEWLINK', 16, 0, { IFLA_LINKINFO: { IFLA_INFO_KIND: 'vlan' } })
    const nested = extack.encode({ NLMSGERR_ATTR_MISS_TYPE: 2, NLMSGERR_ATTR_MISS_NEST: 32 })
    expect(
      refusal(
        script((sent) => ack(last(sent), -22, nested)),
        vlan,
      ).attribute,
    ).toBe('missing IFLA_LINKINFO > IFLA_INFO_DATA')
  })

  test('an offset outside of the attributes names none', () => {
    for (const offset of [0, 16, 20, 9999]) {
      const pointer = extack.encode({ NLMSGERR_ATTR_OFFS: offset })
      expect(
        refusal(
          script((sent) => ack(last(sent), -22, pointer)),
          setMtu,
        ).attribute,
      ).toBeUndefined()
    }
  })

  test('reads a refusal that has the whole request in front of its attributes', () => {
    const whole: Step = (sent) => {
      const { type, flags, seq, payload } = last(sent)
      const text = extack.encode({ NLMSGERR_ATTR_MSG: 'no' })
      return message(
        NLMSG.NLMSG_ERROR,
        NLM_F.NLM_F_ACK_TLVS,
        seq,
        join(Uint8Array.of(0xea, 0xff, 0xff, 0xff), message(type, flags, seq, payload), text),
      )
    }
    expect(refusal(script(whole), setMtu).message).toBe('RTM_NEWLINK: EINVAL: no')
  })

  test('skips answers to other requests, notifications and NOOPs', () => {
    const transport = script(
      (sent) => ack({ ...last(sent), seq: last(sent).seq + 1 }, -1),
      (sent) =>
        join(message(16, 0, 0, byte(9)), message(NLMSG.NLMSG_NOOP, 0, last(sent).seq), ack(last(sent))),
    )
    expect(new NetlinkSocket(transport).request(small)).toEqual({ messages: [] })
  })

  test('skips the late answer to a request that was given up', () => {
    const transport = script(
      () => {
        throw errno(11)
      },
      (sent) => join(message(16, 0, (sent[0] as Message).seq, byte(1)), ack(sent[0] as Message, -17)),
      (sent) => ack(last(sent)),
    )
    const socket = new NetlinkSocket(transport)
    expect(() => socket.request(small)).toThrow('RTM_GETLINK: EAGAIN: no answer from the kernel')
    expect(socket.request(small)).toEqual({ messages: [] })
  })

  test.each([
    [
      'ENOBUFS from recv',
      () => {
        throw errno(105)
      },
    ],
    ['NLMSG_OVERRUN', (sent: readonly Message[]) => message(NLMSG.NLMSG_OVERRUN, 0, last(sent).seq)],
  ])('says that the answer is lost after %s', (_, step) => {
    expect(refusal(script(step), small).message).toBe(
      'RTM_GETLINK: ENOBUFS: the receive buffer overran, answers are lost',
    )
  })

  test('a refusal with ENOBUFS keeps the kernel’s words', () => {
    const text = extack.encode({ NLMSGERR_ATTR_MSG: 'table is full' })
    expect(
      refusal(
        script((sent) => ack(last(sent), -105, text)),
        small,
      ).message,
    ).toBe('RTM_GETLINK: ENOBUFS: table is full')
  })

  test.each([
    ['empty', new Uint8Array(), 'the datagram is empty'],
    ['of 10 bytes', new Uint8Array(10), 'need 16 bytes, got 10'],
    ['cut off', message(16, 0, 1, new Uint8Array(40)).slice(0, 40), 'it says 56 bytes, 40 are there'],
    ['with a length of 0', new Uint8Array(32), 'it says 0 bytes'],
  ])('refuses a datagram that is %s', (_, datagram, text) => {
    const socket = new NetlinkSocket(script(() => datagram))
    expect(() => socket.request(small)).toThrow(RangeError)
    expect(() => new NetlinkSocket(script(() => datagram)).request(small)).toThrow(text)
  })

  test('refuses an ACK that is too short for its error', () => {
    const socket = new NetlinkSocket(
      script((sent) => message(NLMSG.NLMSG_ERROR, 0, last(sent).seq, new Uint8Array(2))),
    )
    expect(() => socket.request(small)).toThrow('Cannot decode ACK: need 4 bytes, got 2')
  })

  test('closes its transport', () => {
    const transport = script()
    new NetlinkSocket(transport).close()
    expect(transport.closed()).toBe(true)
  })
})
