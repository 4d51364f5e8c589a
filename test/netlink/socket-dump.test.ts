// Dumps are read to their end, repeated when they were interrupted, and bounded.
import { describe, expect, test } from 'vitest'
import { extack, type Message, NLM_F, NLMSG, type Request } from '../../src/netlink/message.ts'
import { linkMessage } from '../../src/netlink/rtnl/link.ts'
import { NetlinkError, NetlinkSocket, type Reply } from '../../src/netlink/socket.ts'
import { ack, done, errno, join, message, type Step, script } from './script.ts'

const small: Request = { name: 'RTM_GETLINK', type: 18, flags: 0, payload: new Uint8Array(16) }
const setMtu = linkMessage.request('RTM_NEWLINK', 16, 0, {
  ifi_index: 5,
  IFLA_IFNAME: 'net1',
  IFLA_MTU: 1400,
})
const last = (requests: readonly Message[]) => requests.at(-1) as Message
const byte = (value: number) => Uint8Array.of(value, 0, 0, 0)

describe('NetlinkSocket.skim()', () => {
  const part = (sent: readonly Message[], value: number, flags = 0) =>
    message(16, NLM_F.NLM_F_MULTI | flags, last(sent).seq, byte(value))
  const scan = (...steps: Step[]) => {
    const lengths: number[] = []
    const transport = script(...steps)
    const found = new NetlinkSocket(transport).skim(small, (datagram) => {
      lengths.push(datagram.length)
      return [datagram[16]]
    })
    return { found, lengths, requests: transport.sent.length }
  }

  test('shows each datagram, without the message that ends the dump', () => {
    const alone = scan(
      (sent) => join(part(sent, 1), part(sent, 2)),
      (sent) => part(sent, 3),
      (sent) => done(last(sent)),
    )
    expect(alone).toEqual({ found: [1, 3], lengths: [40, 20], requests: 1 })
    expect(scan((sent) => join(part(sent, 1), done(last(sent))))).toMatchObject({ found: [1], lengths: [20] })
  })

  test.each([
    ['a part', (sent: readonly Message[]) => join(part(sent, 1, NLM_F.NLM_F_DUMP_INTR), done(last(sent)))],
    [
      'the end',
      (sent: readonly Message[]) => join(part(sent, 1), done(last(sent), 0, NLM_F.NLM_F_DUMP_INTR)),
    ],
  ])('is repeated, and forgets what it found, when %s says that something has changed', (_, first) => {
    const again = (sent: readonly Message[]) => join(part(sent, 2), done(last(sent)))
    expect(scan(first, again)).toMatchObject({ found: [2], requests: 2 })
  })

  test.each([
    ['an error', (sent: readonly Message[]) => ack(last(sent), -95)],
    ['the errno of DONE', (sent: readonly Message[]) => done(last(sent), -95)],
  ])('throws %s', (_, step) => {
    expect(() => scan(step)).toThrow('RTM_GETLINK: EOPNOTSUPP')
  })

  test('throws for a length that does not fit', () => {
    const cut = (sent: readonly Message[]) => part(sent, 1).subarray(0, 18)
    expect(() => scan(cut)).toThrow('Cannot decode netlink message: it says 20 bytes, 18 are there')
  })
})

describe('NetlinkSocket.dump()', () => {
  const part = (sent: readonly Message[], value: number, flags = 0) =>
    message(16, NLM_F.NLM_F_MULTI | flags, last(sent).seq, byte(value))
  const values = (messages: readonly Message[]) => messages.map(({ payload }) => payload[0])

  test('collects all parts until DONE', () => {
    const transport = script(
      (sent) => join(part(sent, 1), part(sent, 2)),
      (sent) => part(sent, 3),
      (sent) => done(last(sent)),
    )
    expect(values(new NetlinkSocket(transport).dump(small))).toEqual([1, 2, 3])
    expect(transport.sent.map(({ flags }) => flags)).toEqual([0x301])
  })

  test('an ACK or a DONE without errno ends it too', () => {
    expect(new NetlinkSocket(script((sent) => ack(last(sent)))).dump(small)).toEqual([])
    expect(
      new NetlinkSocket(script((sent) => message(NLMSG.NLMSG_DONE, 2, last(sent).seq))).dump(small),
    ).toEqual([])
  })

  test('skips parts of another dump', () => {
    const stale = (sent: readonly Message[]) => message(16, 2, last(sent).seq + 5, byte(9))
    const transport = script(
      (sent) => join(stale(sent), part(sent, 1)),
      (sent) => done(last(sent)),
    )
    expect(values(new NetlinkSocket(transport).dump(small))).toEqual([1])
  })

  test.each([
    ['an error', (sent: readonly Message[]) => ack(last(sent), -95)],
    ['the errno of DONE', (sent: readonly Message[]) => done(last(sent), -95)],
  ])('throws %s', (_, step) => {
    expect(() => new NetlinkSocket(script(step)).dump(small)).toThrow('RTM_GETLINK: EOPNOTSUPP')
  })

  test.each([
    ['a part', (sent: readonly Message[]) => join(part(sent, 1, NLM_F.NLM_F_DUMP_INTR), done(last(sent)))],
    [
      'the end',
      (sent: readonly Message[]) => join(part(sent, 1), done(last(sent), 0, NLM_F.NLM_F_DUMP_INTR)),
    ],
    [
      'an overrun',
      (sent: readonly Message[]) => join(part(sent, 1), message(NLMSG.NLMSG_OVERRUN, 0, last(sent).seq)),
    ],
  ])('starts again when %s says that it is inconsistent', (_, step) => {
    const transport = script(step, step, (sent) => join(part(sent, 2), done(last(sent))))
    expect(values(new NetlinkSocket(transport).dump(small))).toEqual([2])
    expect(new Set(transport.sent.map(({ seq }) => seq)).size).toBe(3)
  })

  test('starts again after ENOBUFS, and skips what is left of the first attempt', () => {
    const transport = script(
      () => {
        throw errno(105)
      },
      (sent) => join(message(16, 2, (sent[0] as Message).seq, byte(9)), done(sent[0] as Message)),
      (sent) => join(part(sent, 1), done(last(sent))),
    )
    expect(values(new NetlinkSocket(transport).dump(small))).toEqual([1])
  })

  test.each([
    [
      'RTM_GETLINK: EINTR: changes interrupted the dump',
      (sent: readonly Message[]) => done(last(sent), 0, NLM_F.NLM_F_DUMP_INTR),
    ],
    [
      'RTM_GETLINK: ENOBUFS: the receive buffer overran',
      () => {
        throw errno(105)
      },
    ],
  ])('gives up with %s after eight attempts', (text, step) => {
    const transport = script(...Array.from({ length: 20 }, () => step))
    expect(() => new NetlinkSocket(transport).dump(small)).toThrow(text)
    expect(transport.datagrams()).toBe(8)
  })

  test('does not repeat a dump that the kernel refuses', () => {
    const transport = script(
      (sent) => ack(last(sent), -105),
      (sent) => done(last(sent)),
    )
    expect(() => new NetlinkSocket(transport).dump(small)).toThrow('RTM_GETLINK: ENOBUFS')
    expect(transport.datagrams()).toBe(1)
  })

  test('passes other failures of the transport on', () => {
    const socket = new NetlinkSocket(
      script(() => {
        throw new Error('defect')
      }),
    )
    expect(() => socket.dump(small)).toThrow('defect')
    expect(() =>
      new NetlinkSocket(
        script(() => {
          throw errno(11)
        }),
      ).dump(small),
    ).toThrow('RTM_GETLINK: EAGAIN: no answer from the kernel')
  })
})

describe('NetlinkSocket.batch()', () => {
  const text = (results: readonly (Reply | NetlinkError)[]) =>
    results.map((result) => (result instanceof NetlinkError ? result.message : 'ok'))

  test('sends one datagram and keeps the error of the middle', () => {
    const transport = script(
      (sent) => ack(sent[0] as Message),
      (sent) => join(ack(sent[1] as Message, -17), ack(sent[2] as Message)),
    )
    const results = new NetlinkSocket(transport).batch([small, setMtu, { ...small, name: 'RTM_X' }])
    expect(text(results)).toEqual(['ok', 'RTM_NEWLINK: EEXIST', 'ok'])
    expect(transport.datagrams()).toBe(1)
  })

  test('gives each request its own echo and warning', () => {
    const warning = extack.encode({ NLMSGERR_ATTR_MSG: 'w' })
    const step: Step = (sent) => {
      const [first, second] = sent as [Message, Message]
      return join(
        message(16, 0, second.seq, byte(2)),
        message(16, 0, first.seq, byte(1)),
        ack(second, 0, warning),
        ack(first),
      )
    }
    const [first, second] = new NetlinkSocket(script(step)).batch([small, small]) as [Reply, Reply]
    expect([first.echo?.payload[0], first.warning]).toEqual([1, undefined])
    expect([second.echo?.payload[0], second.warning]).toEqual([2, 'w'])
  })

  test('cuts long lists, large messages and echoes into datagrams that their answers fit', () => {
    const answerAll: Step = (sent) => join(...sent.map((request) => ack(request)))
    const counts = (requests: Request[]) => {
      const transport = script(...Array.from({ length: 20 }, () => answerAll))
      expect(new NetlinkSocket(transport).batch(requests)).toHaveLength(requests.length)
      expect(transport.sent).toHaveLength(requests.length)
      return transport.datagrams()
    }
    expect(counts(Array.from({ length: 130 }, () => small))).toBe(3)
    expect(counts(Array.from({ length: 32 }, () => ({ ...small, flags: NLM_F.NLM_F_ECHO })))).toBe(2)
    expect(counts(Array.from({ length: 5 }, () => ({ ...small, payload: new Uint8Array(20000) })))).toBe(5)
    expect(counts([{ ...small, payload: new Uint8Array(50000) }])).toBe(1)
    expect(counts([])).toBe(0)
  })

  test('asks for one ACK behind all echoes, and an echo proves its request even if the ACK is lost', () => {
    const echoed = { ...small, flags: NLM_F.NLM_F_ECHO }
    const echo = (sent: readonly Message[], at: number) => message(16, 0, sent[at]?.seq ?? 0, byte(at))
    const whole = script((sent) =>
      join(echo(sent, 0), ack(sent[1] as Message, -17), echo(sent, 2), ack(last(sent))),
    )
    const results = new NetlinkSocket(whole).batch([echoed, echoed, echoed])
    expect(text(results)).toEqual(['ok', 'RTM_GETLINK: EEXIST', 'ok'])
    expect(results.map((one) => (one instanceof NetlinkError ? -1 : one.echo?.payload[0]))).toEqual([
      0, -1, 2,
    ])
    expect(whole.sent.map(({ flags }) => flags & NLM_F.NLM_F_ACK)).toEqual([0, 0, NLM_F.NLM_F_ACK])
    const cut = script(
      (sent) => echo(sent, 0),
      () => {
        throw errno(105)
      },
    )
    expect(text(new NetlinkSocket(cut).batch([echoed, echoed]))).toEqual([
      'ok',
      'RTM_GETLINK: ENOBUFS: the receive buffer overran, answers are lost',
    ])
  })

  test('what is unanswered after a failure is an error, what was answered stays', () => {
    const transport = script(
      (sent) => ack(sent[0] as Message),
      () => {
        throw errno(105)
      },
    )
    const lost = ': ENOBUFS: the receive buffer overran, answers are lost'
    expect(text(new NetlinkSocket(transport).batch([small, setMtu, small]))).toEqual([
      'ok',
      `RTM_NEWLINK${lost}`,
      `RTM_GETLINK${lost}`,
    ])
  })
})
