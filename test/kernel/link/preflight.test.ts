// The test move before a move: its request, and the meaning of the answers. test/native shows that the kernel answers so.
import { expect, test } from 'vitest'
import { lookBeforeMove } from '../../../src/kernel/link/preflight.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { linkMessage } from '../../../src/netlink/rtnl/link.ts'
import { factsOf } from '../../attach/model.ts'
import { type Answer, answering } from '../answers.ts'

const [EBUSY, EEXIST, ENODEV, EINVAL] = [16, 17, 19, 22]
const pod = { fd: 7, id: '4:1', path: '/run/netns/pod', close: () => undefined }
const facts = factsOf({ name: 'nic0', altnames: ['uplink'], mac: '02:00:00:00:00:05', mtu: 1500, up: false })
const link = { ...facts, ifindex: 4, qdisc: 'noop' }

/** The result on a node whose kernel answers the test move with `errno`, for a pod whose interfaces have these names. */
function looked(errno: number, names: readonly string[] = []) {
  const host = answering(({ type }) =>
    type === RTM.RTM_NEWLINK ? { errno } : type === RTM.RTM_GETADDR ? {} : { errno: ENODEV },
  )
  const inside = answering(({ payload }): Answer => {
    const { IFLA_IFNAME: name = '' } = linkMessage.decode(payload)
    if (!names.includes(name)) return { errno: ENODEV }
    return { messages: [{ type: RTM.RTM_NEWLINK, payload: linkMessage.encode({ IFLA_IFNAME: name }) }] }
  })
  const found = lookBeforeMove(host.socket, () => inside.socket, pod, link)
  return { found, asked: host.asked, inside: inside.asked }
}

test('requests a taken ifindex and no name, because older kernels would rename the interface at once', () => {
  const { found, asked, inside } = looked(EBUSY)
  expect(found.refusal).toBeUndefined()
  const [move] = asked
  expect(move === undefined ? undefined : linkMessage.decode(move.payload)).toMatchObject({
    ifi_index: 4,
    IFLA_NET_NS_FD: 7,
    IFLA_NEW_IFINDEX: 1,
  })
  expect(move === undefined ? undefined : linkMessage.decode(move.payload)).not.toHaveProperty('IFLA_IFNAME')
  expect(inside).toEqual([])
})

test.each([
  ["the pod has the interface's name, which the move does not bring", EEXIST, ['nic0'], undefined],
  ['the pod has an altname', EEXIST, ['uplink'], 'EEXIST'],
  ['the pod has both', EEXIST, ['nic0', 'uplink'], 'EEXIST'],
  ['the interface belongs to its namespace', EINVAL, ['nic0'], 'EINVAL'],
])('%s', (_, errno, names, refusal) => {
  const { refusal: error } = looked(errno, names).found
  expect(error !== undefined && 'code' in error ? error.code : undefined).toBe(refusal)
})
