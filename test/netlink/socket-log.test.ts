// Requests that the kernel refuses are lines of the log.
import { expect, test } from 'vitest'
import { cstr, u16 } from '../../src/netlink/codec/wire.ts'
import { NetlinkSocket } from '../../src/netlink/socket.ts'
import { logged } from '../support/log.ts'
import { ack, join, script } from './script.ts'

const EBUSY = 16
const request = { name: 'RTM_SETLINK', type: 19, flags: 0, payload: new Uint8Array() }

/** NLMSGERR_ATTR_MSG with a text of 7 bytes. */
const words = join(u16.encode(12), u16.encode(1), cstr(16).encode('in use!'))

const refused = () => {
  const socket = new NetlinkSocket(script((requests) => ack(requests[0] as never, -EBUSY, words)))
  expect(() => socket.request(request)).toThrow('EBUSY')
}

test('every refusal is a line at debug, with the words of the kernel', () => {
  expect(logged('debug', refused)).toMatchObject([
    {
      level: 'debug',
      operation: 'RTM_SETLINK',
      errno: 'EBUSY',
      extack: 'in use!',
      msg: expect.stringContaining('in use!'),
    },
  ])
  expect(logged('info', refused)).toEqual([])
})
