// An interface is deleted by another thread where there is one: the caller goes on as soon as nobody sees the interface, and no sooner.
import { expect, test } from 'vitest'
import { deleteInterface } from '../../../src/kernel/tc/delete-link.ts'
import type { BackgroundSocket } from '../../../src/netlink/background.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { linkMessage } from '../../../src/netlink/rtnl/link.ts'
import { NetlinkError } from '../../../src/netlink/socket.ts'
import { answering } from '../answers.ts'

const shown = { messages: [{ type: RTM.RTM_NEWLINK, payload: linkMessage.encode({ ifi_index: 7 }) }] }

/** A kernel that shows the interface so many times more. */
const showing = (times: number) => {
  let left = times
  return answering(({ type }) =>
    type === RTM.RTM_DELLINK ? {} : left-- > 0 ? shown : { errno: 19, text: 'no such device' },
  )
}
const background = (isFree: boolean, isDone: () => boolean = () => false) => {
  const begun: string[] = []
  const socket = {
    begin: ({ name }: { name: string }) => {
      if (isFree) begun.push(name)
      return isFree
    },
    isDone,
  }
  return { socket: socket as unknown as BackgroundSocket, begun }
}
const types = ({ asked }: ReturnType<typeof answering>) => asked.map(({ type }) => type)

test('waits until the interface is gone, and not for the answer', () => {
  const kernel = showing(2)
  const other = background(true)
  deleteInterface(kernel.socket, 7, other.socket)
  expect(other.begun).toEqual(['RTM_DELLINK'])
  expect(types(kernel)).toEqual([RTM.RTM_GETLINK, RTM.RTM_GETLINK, RTM.RTM_GETLINK])
})

test('ends with an answer, too', () => {
  const kernel = showing(9)
  deleteInterface(kernel.socket, 7, background(true, () => true).socket)
  expect(types(kernel)).toEqual([RTM.RTM_GETLINK])
})

test('throws the refusal', () => {
  const refused = background(true, () => {
    throw new NetlinkError({ operation: 'RTM_DELLINK', errno: 1 })
  })
  expect(() => deleteInterface(showing(9).socket, 7, refused.socket)).toThrow('EPERM')
})

test('deletes by itself where nobody else can', () => {
  for (const other of [undefined, background(false).socket]) {
    const kernel = showing(0)
    deleteInterface(kernel.socket, 7, other)
    expect(types(kernel)).toEqual([RTM.RTM_DELLINK])
  }
})
