// Announcements of addresses are the frames that RFC 5227 and RFC 4861 describe, in the words of tcpdump too.
import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { announcements } from '../../../src/kernel/ip/announce.ts'

const mac = '02:00:00:00:00:05'
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex')

/** A capture file (pcap-savefile(5)) of Ethernet frames. */
function pcap(frames: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(24)
  header.writeUInt32LE(0xa1b2c3d4, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(65535, 16)
  header.writeUInt32LE(1, 20)
  return Buffer.concat([
    header,
    ...frames.flatMap((frame) => {
      const record = Buffer.alloc(16)
      record.writeUInt32LE(frame.length, 8)
      record.writeUInt32LE(frame.length, 12)
      return [record, frame]
    }),
  ])
}

/** The Internet checksum of bytes that contain their checksum: 0 when that is right. */
function checksum(bytes: Uint8Array): number {
  let sum = 0
  for (const [at, byte] of bytes.entries()) sum += at % 2 === 0 ? byte << 8 : byte
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

test('an IPv4 address gets an ARP announcement (RFC 5227, 1.1) and an ARP reply, padded to 60 bytes', () => {
  const [frame, reply] = announcements(mac, ['10.1.0.5'])
  expect(hex(frame)).toBe(
    [
      'ffffffffffff',
      '020000000005',
      '0806',
      '0001080006040001',
      '020000000005',
      '0a010005',
      '000000000000',
      '0a010005',
      '00'.repeat(18),
    ].join(''),
  )
  expect(hex(reply)).toBe(
    hex(frame)
      .replace('0001080006040001', '0001080006040002')
      .replace('000000000000' + '0a010005', '020000000005' + '0a010005'),
  )
})

test('an IPv6 address gets an unsolicited neighbour advertisement (RFC 4861, 4.4 and 7.2.6)', () => {
  const [frame = new Uint8Array()] = announcements(mac, ['2001:db8::5'])
  const address = '20010db8000000000000000000000005'
  const all = 'ff020000000000000000000000000001'
  expect(hex(frame.slice(0, 14))).toBe('333300000001' + '020000000005' + '86dd')
  expect(hex(frame.slice(14, 54))).toBe(`6000000000203aff${address}${all}`)
  expect(hex(frame.slice(54, 56))).toBe('8800')
  expect(hex(frame.slice(58))).toBe(`20000000${address}0201020000000005`)
  const pseudo = Buffer.from(`${address}${all}000000200000003a`, 'hex')
  expect(checksum(Buffer.concat([pseudo, frame.slice(54)]))).toBe(0)
})

test('checksums are right for any address', () => {
  for (const tail of ['0', '1', 'ffff', 'ffff:ffff', '8000:1', 'fffe:ffff:ffff']) {
    const [frame = new Uint8Array()] = announcements('fe:ff:ff:ff:ff:ff', [`fd00::${tail}`])
    const pseudo = Buffer.concat([frame.slice(22, 54), Buffer.from('000000200000003a', 'hex')])
    expect(checksum(Buffer.concat([pseudo, frame.slice(54)]))).toBe(0)
  }
})

test('frames are in the order of the addresses, two for IPv4 and one for IPv6', () => {
  const frames = announcements(mac, ['10.1.0.5', '2001:db8::5', '10.1.0.6'])
  expect(frames.map((frame) => hex(frame.slice(12, 14)))).toEqual(['0806', '0806', '86dd', '0806', '0806'])
  expect(announcements(mac, [])).toEqual([])
})

test.each([
  [mac, '10.1.0'],
  [mac, '10.1.0.5/24'],
  ['02:00', '10.1.0.5'],
])('%s %s is refused', (from, address) => {
  expect(() => announcements(from, [address])).toThrow(RangeError)
})

const hasTcpdump = spawnSync('tcpdump', ['--version']).status === 0

describe.each(hasTcpdump ? [['tcpdump']] : [])('in the words of %s', (program) => {
  const input = pcap(announcements(mac, ['10.1.0.5', '2001:db8::5']))
  const { stdout } = spawnSync(program, ['-vv', '-e', '-n', '-t', '-r', '-'], { input, encoding: 'utf8' })

  test('IPv4', () => {
    expect(stdout).toMatch(
      /Ethernet \(len 6\), IPv4 \(len 4\), (Announcement 10\.1\.0\.5|Request who-has 10\.1\.0\.5 tell 10\.1\.0\.5), length 46/,
    )
    expect(stdout).toMatch(/IPv4 \(len 4\), Reply 10\.1\.0\.5 is-at 02:00:00:00:00:05, length 46/)
  })

  test('IPv6', () => {
    expect(stdout).toMatch(
      /\[icmp6 sum ok\] ICMP6, neighbor advertisement, length 32, tgt is 2001:db8::5, Flags \[override\]/,
    )
    expect(stdout).toMatch(/destination link-address option \(2\), length 8 \(1\): 02:00:00:00:00:05/)
  })
})
