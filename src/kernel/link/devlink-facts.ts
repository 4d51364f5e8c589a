/** Facts of devlink about many devices at once. Sockets are of generic netlink. */
import { decodeEswitchMode, devlinkFamily, getEswitch } from '../../netlink/genl/devlink.ts'
import {
  decodeDevice,
  decodeFlag,
  decodeVersion,
  dumpDevices,
  dumpReporters,
  getInfo,
  getParam,
  stateError,
} from '../../netlink/genl/devlink-facts.ts'
import { ctrlMessage, getFamily } from '../../netlink/genl/genl.ts'
import type { Message, Request } from '../../netlink/message.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { EswitchMode } from '../api/network-facts.ts'
import { modeOf } from './eswitch-mode.ts'

/** Errors of a device that has no such thing: the device is gone, no such operation, no such parameter. */
const nothing: ReadonlySet<string> = new Set(['ENODEV', 'EOPNOTSUPP', 'EINVAL', 'ENOENT'])

/** The kernel is built without devlink, or no driver has loaded it. */
export class NoDevlink extends Error {
  readonly code = 'ENOENT'

  constructor() {
    super('the kernel has none')
    this.name = 'NoDevlink'
  }
}

/** The number of the family `devlink`. @throws NoDevlink */
export function devlinkId(socket: NetlinkSocket): number {
  try {
    const [answer] = socket.request(getFamily(devlinkFamily)).messages
    const id = answer === undefined ? undefined : ctrlMessage.decode(answer.payload).CTRL_ATTR_FAMILY_ID
    if (id !== undefined) return id
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== 'ENOENT') throw error
  }
  throw new NoDevlink()
}

/**
 * The modes of the eSwitches of functions; `unsupported` where the driver refuses the question (EOPNOTSUPP). Functions without an
 * eSwitch are missing.
 * @throws NetlinkError
 */
export function eswitchModes(
  socket: NetlinkSocket,
  id: number,
  functions: readonly string[],
): ReadonlyMap<string, EswitchMode | 'unsupported'> {
  return asked(
    socket,
    functions,
    (pci) => getEswitch(id, pci),
    (answer) => modeOf(decodeEswitchMode(answer)),
    (code) => (code === 'EOPNOTSUPP' ? ('unsupported' as const) : undefined),
  )
}

/** The DDP profiles of functions, `fw.app.name` of drivers/net/ethernet/intel/ice/devlink. @throws NetlinkError */
export function ddpProfiles(
  socket: NetlinkSocket,
  id: number,
  functions: readonly string[],
): ReadonlyMap<string, string> {
  return asked(
    socket,
    functions,
    (pci) => getInfo(id, pci),
    (answer) => decodeVersion(answer, 'fw.app.name'),
  )
}

/** The functions whose parameter `enable_rdma` is on. @throws NetlinkError */
export function rdmaEnabled(
  socket: NetlinkSocket,
  id: number,
  functions: readonly string[],
): ReadonlySet<string> {
  const flags = asked(socket, functions, (pci) => getParam(id, pci, 'enable_rdma'), decodeFlag)
  return new Set(functions.filter((pci) => flags.get(pci) === true))
}

/** PCI functions that devlink knows. */
export interface DevlinkDevices {
  readonly all: ReadonlySet<string>
  /** Those whose last reload failed. */
  readonly failed: readonly string[]
}

/** All PCI functions that devlink knows: questions about others would be refused one by one. @throws NetlinkError */
export function devlinkDevices(socket: NetlinkSocket, id: number): DevlinkDevices {
  const devices = socket.dump(dumpDevices(id)).flatMap((message) => decodeDevice(message) ?? [])
  return {
    all: new Set(devices.map(({ pci }) => pci)),
    failed: devices.filter(({ reloadFailed }) => reloadFailed).map(({ pci }) => pci),
  }
}

/** Sentences about the functions that do not work. Messages about reporters in good state are not decoded. @throws NetlinkError */
export function troublesOf(
  socket: NetlinkSocket,
  id: number,
  { failed }: DevlinkDevices,
): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  const add = (pci: string, sentence: string) =>
    found.set(pci, [...new Set([...(found.get(pci) ?? []), sentence])])
  for (const message of socket.scan(dumpReporters(id), [stateError]).found) {
    const { pci, reporter } = decodeDevice(message) ?? {}
    if (pci !== undefined) add(pci, `the devlink health reporter ${reporter ?? ''} is in state error`)
  }
  for (const pci of failed) add(pci, 'its last devlink reload failed')
  return found
}

/**
 * The answers of functions to one question, asked in few datagrams. Functions that have nothing to say are missing. `refused` reads
 * the error of a function that has no such thing.
 */
function asked<T>(
  socket: NetlinkSocket,
  functions: readonly string[],
  request: (pci: string) => Request,
  read: (answer: Message) => T | undefined,
  refused: (code: string) => T | undefined = () => undefined,
): ReadonlyMap<string, T> {
  const found = new Map<string, T>()
  for (const [index, reply] of socket.batch(functions.map(request)).entries()) {
    if (reply instanceof NetlinkError) {
      if (!nothing.has(reply.code)) throw reply
      const told = refused(reply.code)
      if (told !== undefined) found.set(functions[index] ?? '', told)
      continue
    }
    const [answer] = reply.messages
    const value = answer === undefined ? undefined : read(answer)
    if (value !== undefined) found.set(functions[index] ?? '', value)
  }
  return found
}
