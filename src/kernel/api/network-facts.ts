/**
 * Facts of the network that an inventory of a node's devices needs beside sysfs. Each question costs one dump, or one datagram
 * for many devices. Every method throws the kernel's refusal, an Error with the errno's name as `code`.
 */
import type { VfAttributes } from '../../ops/op.ts'
import type { LinkFacts } from './facts.ts'

/** An interface, as far as an inventory reads it. */
export type NetworkLink = Pick<
  LinkFacts,
  | 'ifindex'
  | 'name'
  | 'altnames'
  | 'mac'
  | 'up'
  | 'carrier'
  | 'type'
  | 'master'
  | 'lower'
  | 'lowerNetns'
  | 'kind'
  | 'slaveKind'
  | 'parent'
  | 'physSwitchId'
  | 'physPortId'
  | 'physPortName'
>

/** A unicast route to everywhere (`0.0.0.0/0`, `::/0`), in any routing table: one entry for each interface that it leaves by. */
export interface DefaultRoute {
  readonly family: 4 | 6
  readonly ifindex: number
  readonly table: number
}

/** An address of an interface with global scope, without its prefix length. */
export interface InterfaceAddress {
  readonly ifindex: number
  readonly address: string
}

/** The modes of an eSwitch. */
export type EswitchMode = 'legacy' | 'switchdev'

/** Questions about the network namespace of this process. PCI addresses are full: `0000:3b:00.0`. */
export interface NetworkFacts {
  links(): readonly NetworkLink[]
  defaultRoutes(): readonly DefaultRoute[]
  addresses(): readonly InterfaceAddress[]
  /** The PF's attributes of its VFs, by index; `pf` is the number of one of its interfaces. One request for all. */
  vfs(pf: number): ReadonlyMap<number, VfAttributes>
  /**
   * Functions without an eSwitch that devlink knows are missing from the answer. `unsupported`: the driver refuses the question. Needs
   * CAP_NET_ADMIN.
   */
  eswitchModes(functions: readonly string[]): ReadonlyMap<string, EswitchMode | 'unsupported'>
  /** Sentences about PCI functions that do not work, such as `the devlink health reporter fw_fatal is in state error`. */
  troubles(): ReadonlyMap<string, readonly string[]>
  /** DDP profiles: the version `fw.app.name` of devlink. Functions without one are missing. */
  ddpProfiles(functions: readonly string[]): ReadonlyMap<string, string>
  /** Those of the functions whose devlink parameter `enable_rdma` is on. */
  rdmaEnabled(functions: readonly string[]): ReadonlySet<string>
  /** The feature `hw-tc-offload` of interfaces, by number: true where it is on. Interfaces that are gone are false. */
  tcOffloads(links: readonly number[]): ReadonlyMap<number, boolean>
  close(): void
}
