// The eswitch mode is read from devlink, and a refusal that says nothing about it is an error.
import { describe, expect, test } from 'vitest'
import { eswitchOf } from '../../../src/kernel/link/eswitch-mode.ts'
import { devlinkMessage } from '../../../src/netlink/genl/devlink.ts'
import { ctrlMessage, GENL_ID_CTRL } from '../../../src/netlink/genl/genl.ts'
import { type Answer, answering } from '../answers.ts'

const family = 21
const pci = '0000:3b:00.0'

function devlink(eswitch: Answer, controller?: Answer) {
  return answering(({ type }) => {
    const payload = ctrlMessage.encode({
      cmd: 1,
      CTRL_ATTR_FAMILY_ID: family,
      CTRL_ATTR_FAMILY_NAME: 'devlink',
    })
    if (type === GENL_ID_CTRL) return controller ?? { messages: [{ type: GENL_ID_CTRL, payload }] }
    expect(type).toBe(family)
    return eswitch
  })
}

const mode = (value: number): Answer => ({
  messages: [{ type: family, payload: devlinkMessage.encode({ cmd: 29, DEVLINK_ATTR_ESWITCH_MODE: value }) }],
})

describe('the mode', () => {
  test.each([
    ['in legacy mode', 0, 'legacy'],
    ['in switchdev mode', 1, 'switchdev'],
    ['in an unknown mode', 2, 'untold'],
  ])('of an eSwitch %s is told from its number', (_, value, is) => {
    const { socket, asked } = devlink(mode(value))
    expect(eswitchOf(socket, pci)).toBe(is)
    expect(devlinkMessage.decode(asked[1]?.payload ?? new Uint8Array())).toMatchObject({
      DEVLINK_ATTR_BUS_NAME: 'pci',
      DEVLINK_ATTR_DEV_NAME: pci,
    })
  })

  test.each([
    ['a kernel without devlink', devlink({}, { errno: 2 })],
    ['a NIC without devlink', devlink({ errno: 19 })],
    [
      'an answer without a mode',
      devlink({ messages: [{ type: family, payload: devlinkMessage.encode({ cmd: 29 }) }] }),
    ],
  ])('is not told for %s', (_, { socket }) => {
    expect(eswitchOf(socket, pci)).toBe('untold')
  })

  test('is told apart where the driver refuses the question', () => {
    expect(eswitchOf(devlink({ errno: 95 }).socket, pci)).toBe('unsupported')
  })

  test('is an error, never a guess, when the kernel refuses for another reason', () => {
    expect(() => eswitchOf(devlink({ errno: 1 }).socket, pci)).toThrow('EPERM')
    expect(() => eswitchOf(devlink({ errno: 16 }).socket, pci)).toThrow('EBUSY')
  })
})
