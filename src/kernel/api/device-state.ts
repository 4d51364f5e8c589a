/** State of a device that a pod can change, or that a move takes from it: read before a pod gets the device, given back after. */
import type { Op } from '../../ops/op.ts'
import type { CarriedFacts, LinkFacts, LinkSettings, LinkTuning, Residue } from './facts.ts'

/** Questions about the state of a device on the host, and the operations that lead back to it. */
export interface DeviceStateKernel {
  /** Addresses, routes and other things that the host's interface `link` carries. */
  carried(link: LinkFacts): CarriedFacts
  /** Settings below net/ipv4/conf and net/ipv6/conf, as a look at `link` found them. */
  settings(link: LinkFacts): LinkSettings
  /** Operations that lead the host's interface `link`, as a look found it, to the settings that it had. */
  settingOps(link: LinkFacts, was: LinkSettings): readonly Op[]
  /** Programs and other things that a pod may have left on the host's interface `link`. */
  residue(link: LinkFacts): Residue
  /** Settings of ethtool and sysfs of the host's interface `name`: of sysfs these files, or all that it has. */
  tuning(name: string, files: readonly string[] | 'all'): LinkTuning
  /** Operations that lead the host's interface `name` from one state of those to another. */
  tuningOps(name: string, was: LinkTuning, now: LinkTuning): readonly Op[]
}
