/** The wishes that a kind of port can fulfil: `offload` and `nat` by kind of port, one function per row. Pure. */
import { CniError, code } from '../../cni/error.ts'
import type { PortKey } from '../../ops/op.ts'
import type { OffloadConfig } from '../config/config.ts'
import { type PortKind, traitsOf } from '../port/kinds.ts'
import { unknownNeighbours } from '../port/neighbours.ts'
import type { Port } from '../port/port.ts'
import { eswitchWords } from '../port/uplink.ts'
import { unaskedWhy } from './hairpin/words.ts'

/** The place where addresses and ports are translated: in the pod, in the eSwitch, or on the host (veth). */
export type Translator = 'pod' | 'nic' | 'host'

/** Translators that may serve, best first, and what an operator should know about the choice. */
export interface Choice {
  readonly nat: readonly Translator[]
  readonly notes: readonly string[]
}

/**
 * The places where a port's mappings may be translated. `driver` is the uplink's, where the port has no representor.
 * @throws CniError 7 for a combination that this kind of port can't give, 2 for a protocol that the NIC can't translate
 */
export function translators(
  config: OffloadConfig,
  port: Port,
  keys: readonly PortKey[],
  driver?: string,
): Choice {
  if (config.masqAll && !traitsOf(port.kind).isPair) {
    throw new CniError(
      code.unsupportedField,
      `Cannot use masqAll true on "${port.name}": clients keep their address on the way into a VF or NIC`,
    )
  }
  return choices[port.kind](config, port, keys, driver)
}

const choices: Readonly<
  Record<PortKind, (config: OffloadConfig, port: Port, keys: readonly PortKey[], driver?: string) => Choice>
> = {
  veth: vethChoice,
  legacy: wireChoice,
  nic: wireChoice,
  macvlan: macvlanChoice,
  userspace: userspaceChoice,
  representor: representorChoice,
  other: (_, { name }) => {
    throw invalid(`Cannot map ports to "${name}": it is no VF, no NIC and no end of a veth pair`)
  },
}

function vethChoice(config: OffloadConfig, port: Port): Choice {
  if (config.offload === 'require') {
    throw invalid(
      `Cannot use offload "require" on "${port.name}": it is a veth, whose frames no NIC forwards`,
    )
  }
  const notes =
    config.nat === 'auto' ? [] : [`nat "${config.nat}" has no meaning for a veth: the host translates`]
  return { nat: ['host'], notes }
}

/** The kernel takes the frames from the uplink to the pod, whatever the NIC does. */
function macvlanChoice({ offload, nat }: OffloadConfig, { name, wire }: Port): Choice {
  const why = `it is a macvlan of "${wire?.uplink.name}", whose frames the kernel takes to the pod`
  if (nat === 'nic') throw invalid(`Cannot use nat "nic" on "${name}": ${why}`)
  if (offload === 'require') throw invalid(`Cannot use offload "require" on "${name}": ${why}`)
  return { nat: ['pod'], notes: [] }
}

/** With no representor there is nothing that a rule could redirect to but the port that the frame came by. */
function wireChoice(config: OffloadConfig, port: Port, _: readonly PortKey[], driver?: string): Choice {
  refuseNicInSoftware(config)
  const { kind, name, wire } = port
  const { isWholeNic } = traitsOf(kind)
  if (config.nat === 'nic') {
    throw invalid(
      isWholeNic
        ? `Cannot use nat "nic" on "${name}": it is a NIC of its own, not a VF of "${wire?.uplink.name}" with its eSwitch in switchdev mode`
        : `Cannot use nat "nic" on "${wire?.uplink.name}": ${lacking(port)}`,
    )
  }
  const reason = config.offload === 'require' ? unaskedWhy(config, port, driver) : undefined
  if (reason !== undefined) throw new CniError(code.offloadRefused, `Cannot use offload "require": ${reason}`)
  return { nat: ['pod'], notes: [] }
}

/** That a port has no representor, and why. */
function lacking({ wire }: Port): string {
  return wire?.managedElsewhere === undefined
    ? 'its eSwitch is in legacy mode, which has no representors'
    : `${eswitchWords(wire.uplink.name, wire.managedElsewhere)} and has no representors`
}

/** Nothing in the pod can translate: the eSwitch must. */
function userspaceChoice(config: OffloadConfig, port: Port, keys: readonly PortKey[]): Choice {
  const what = `Cannot map ports of "${port.name}": VF "${port.device}" is driven by a program, so the NIC must translate`
  if (port.wire?.representor === undefined) {
    throw invalid(`${what}, and ${lacking(port)}`)
  }
  if (config.offload === 'off') throw invalid(`${what}, which offload "off" forbids`)
  if (config.nat === 'pod') throw invalid(`${what}, not the pod (nat "pod")`)
  refuseUntranslatable(keys, port, what)
  return { nat: ['nic'], notes: [] }
}

function representorChoice(config: OffloadConfig, port: Port, keys: readonly PortKey[]): Choice {
  refuseNicInSoftware(config)
  if (config.nat === 'nic') {
    refuseUntranslatable(keys, port, 'Cannot use nat "nic"')
    return { nat: ['nic'], notes: [] }
  }
  if (config.nat === 'pod' || config.offload === 'off' || config.directSubnets.length === 0)
    return { nat: ['pod'], notes: [] }
  const reason = ambiguousReplies(keys) ?? untranslatable(keys) ?? fragmented(keys) ?? strangers(port)
  return reason === undefined
    ? { nat: ['nic', 'pod'], notes: [] }
    : { nat: ['pod'], notes: [`not with nat "nic": ${reason}`] }
}

function refuseNicInSoftware(config: OffloadConfig): void {
  if (config.nat === 'nic' && config.offload === 'off') {
    throw invalid('Cannot use nat "nic" with offload "off": the NIC must take its rules')
  }
}

function refuseUntranslatable(keys: readonly PortKey[], port: Port, what: string): void {
  const clash = ambiguousReplies(keys) ?? strangers(port)
  if (clash !== undefined) throw invalid(`${what}: ${clash}`)
  const proto = untranslatable(keys)
  if (proto !== undefined) throw new CniError(code.unsupportedField, `${what}: ${proto}`)
}

/** NICs translate headers of TCP and UDP; SCTP's checksum covers its ports by a CRC that they do not recompute. */
function untranslatable(keys: readonly PortKey[]): string | undefined {
  const key = keys.find(({ proto }) => proto === 'sctp')
  return key === undefined
    ? undefined
    : `protocol "sctp" (hostPort ${key.port}) can't be translated by the NIC`
}

/** Only who has asked for the NIC by name does without. */
function fragmented(keys: readonly PortKey[]): string | undefined {
  const key = keys.find(({ proto }) => proto === 'udp')
  return key === undefined
    ? undefined
    : `answers of protocol "udp" (hostPort ${key.port}) that the pod sends in fragments can't be translated by the NIC`
}

/** The pod's answers to another VF must not be translated, nor leave by the wire. They are known by that VF's MAC. */
function strangers(port: Port): string | undefined {
  const [first, ...others] = unknownNeighbours(port)
  if (first === undefined) return undefined
  const uplink = port.wire?.uplink.name
  const more = others.length === 0 ? '' : ` and of ${others.length} more`
  return `the MAC of VF ${first} of "${uplink}"${more} is not set, so answers to it can't be told from those to the wire (ip link set dev ${uplink} vf ${first} mac ...)`
}

/** A reply carries the pod's port only: without connections one that stands for two host ports, or addresses, can't be told. */
function ambiguousReplies(keys: readonly PortKey[]): string | undefined {
  const seen = new Map<string, PortKey>()
  for (const key of keys) {
    const reply = `${key.proto} ${key.toAddress} port ${key.toPort}`
    const other = seen.get(reply)
    if (other !== undefined) {
      const hint = other.address === key.address ? '' : '; name one address of the node by hostIP'
      return `${other.address} port ${other.port} and ${key.address} port ${key.port} both lead to ${reply}, whose replies the NIC can't tell apart${hint}`
    }
    seen.set(reply, key)
  }
  return undefined
}

function invalid(message: string): CniError {
  return new CniError(code.invalidConfig, message)
}
