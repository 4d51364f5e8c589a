// Facts of devlink about many functions: asked in few datagrams, and read from what the kernel's messages look like.
import { describe, expect, test } from 'vitest'
import {
  ddpProfiles,
  devlinkDevices,
  devlinkId,
  eswitchModes,
  NoDevlink,
  rdmaEnabled,
  troublesOf,
} from '../../../src/kernel/link/devlink-facts.ts'
import { devlinkMessage } from '../../../src/netlink/genl/devlink.ts'
import { devlinkFactsMessage, info } from '../../../src/netlink/genl/devlink-facts.ts'
import { ctrlMessage, genlmsghdr } from '../../../src/netlink/genl/genl.ts'
import type { Message } from '../../../src/netlink/message.ts'
import { type Answer, answering } from '../answers.ts'

const id = 22
const [one, two, three] = ['0000:3b:00.0', '0000:3b:00.1', '0000:5e:00.0'] as const
const head = { cmd: 0, version: 1 }
const at = (pci: string, bus = 'pci') => ({ DEVLINK_ATTR_BUS_NAME: bus, DEVLINK_ATTR_DEV_NAME: pci })
const said = (...payloads: readonly Uint8Array[]): Answer => ({
  messages: payloads.map((payload) => ({ type: id, payload })),
})
const askedOf = (request: Message) => devlinkFactsMessage.decode(request.payload)

test('the number of the family is asked for', () => {
  const { socket } = answering(() =>
    said(ctrlMessage.encode({ ...head, CTRL_ATTR_FAMILY_ID: id, CTRL_ATTR_FAMILY_NAME: 'devlink' })),
  )
  expect(devlinkId(socket)).toBe(id)
  expect(() => devlinkId(answering(() => ({ errno: 2 })).socket)).toThrow(NoDevlink)
})

describe('questions about functions', () => {
  test('the mode of an eSwitch, all in one datagram; one whose driver refuses is told apart, one without devlink is missing', () => {
    const modes: Readonly<Record<string, number>> = { [one]: 1, [two]: 0 }
    const { socket, datagrams } = answering((request) => {
      const pci = askedOf(request).DEVLINK_ATTR_DEV_NAME ?? ''
      const mode = modes[pci]
      return mode === undefined
        ? { errno: pci === three ? 95 : 19 }
        : said(devlinkMessage.encode({ ...head, ...at(pci), DEVLINK_ATTR_ESWITCH_MODE: mode }))
    })
    expect(eswitchModes(socket, id, [one, three, two, '0000:5e:00.7'])).toEqual(
      new Map([
        [one, 'switchdev'],
        [two, 'legacy'],
        [three, 'unsupported'],
      ]),
    )
    expect(datagrams()).toBe(1)
  })

  test('a refusal that is no "there is none" is thrown', () => {
    const { socket } = answering(() => ({ errno: 1 }))
    expect(() => eswitchModes(socket, id, [one])).toThrow('EPERM')
  })

  test('the DDP profile is one of several running versions', () => {
    const version = (name: string, value: string) => ({
      DEVLINK_ATTR_INFO_VERSION_NAME: name,
      DEVLINK_ATTR_INFO_VERSION_VALUE: value,
    })
    const versions = info.encode([
      ['DEVLINK_ATTR_INFO_VERSION_FIXED', version('board.id', 'K58132-000')],
      ['DEVLINK_ATTR_INFO_VERSION_RUNNING', version('fw.mgmt', '5.1.7')],
      ['DEVLINK_ATTR_INFO_VERSION_RUNNING', version('fw.app.name', 'ICE OS Default Package')],
      ['DEVLINK_ATTR_INFO_VERSION_STORED', version('fw.app.name', 'another')],
    ])
    const { socket } = answering((request) => {
      const pci = askedOf(request).DEVLINK_ATTR_DEV_NAME ?? ''
      const bytes = Uint8Array.from([...devlinkFactsMessage.encode({ ...head, ...at(pci) }), ...versions])
      return said(pci === one ? bytes : bytes.subarray(0, genlmsghdr.size))
    })
    expect(ddpProfiles(socket, id, [one, two])).toEqual(new Map([[one, 'ICE OS Default Package']]))
  })

  test('enable_rdma is on where one of its values has data', () => {
    const { socket, asked } = answering((request) => {
      const pci = askedOf(request).DEVLINK_ATTR_DEV_NAME ?? ''
      if (pci === three) return { errno: 22 }
      const data = pci === one ? { DEVLINK_ATTR_PARAM_VALUE_DATA: new Uint8Array() } : {}
      const values = [{ DEVLINK_ATTR_PARAM_VALUE_CMODE: 1, ...data }]
      return said(
        devlinkFactsMessage.encode({
          ...{ ...head, ...at(pci) },
          DEVLINK_ATTR_PARAM: {
            DEVLINK_ATTR_PARAM_NAME: 'enable_rdma',
            DEVLINK_ATTR_PARAM_VALUES_LIST: values,
          },
        }),
      )
    })
    expect(rdmaEnabled(socket, id, [one, two, three])).toEqual(new Set([one]))
    expect(asked.map((request) => askedOf(request).DEVLINK_ATTR_PARAM_NAME)).toEqual([
      ...['enable_rdma', 'enable_rdma', 'enable_rdma'],
    ])
  })
})

test('troubles are reporters in state error, and reloads that failed', () => {
  const reporter = (name: string, state: number) => ({
    DEVLINK_ATTR_HEALTH_REPORTER: {
      DEVLINK_ATTR_HEALTH_REPORTER_NAME: name,
      DEVLINK_ATTR_HEALTH_REPORTER_STATE: state,
    },
  })
  const encode = devlinkFactsMessage.encode.bind(devlinkFactsMessage)
  const { socket } = answering((request) =>
    request.payload[0] === 1
      ? said(
          encode({ ...head, ...at(one), DEVLINK_ATTR_RELOAD_FAILED: 0 }),
          encode({ ...head, ...at(two), DEVLINK_ATTR_RELOAD_FAILED: 1 }),
          encode({ ...head, ...at('mlx5_core.sf.4', 'auxiliary'), DEVLINK_ATTR_RELOAD_FAILED: 1 }),
        )
      : said(
          encode({ ...head, ...at(one), ...reporter('fw', 0) }),
          encode({ ...head, ...at(one), ...reporter('fw_fatal', 1) }),
          // The same reporter of two ports.
          encode({ ...head, ...at(two), ...reporter('tx', 1) }),
          encode({ ...head, ...at(two), ...reporter('tx', 1) }),
        ),
  )
  const devices = devlinkDevices(socket, id)
  expect(devices).toEqual({ all: new Set([one, two]), failed: [two] })
  expect(troublesOf(socket, id, devices)).toEqual(
    new Map([
      [one, ['the devlink health reporter fw_fatal is in state error']],
      [two, ['the devlink health reporter tx is in state error', 'its last devlink reload failed']],
    ]),
  )
})
