/** Wishes that an ADD refuses before it changes anything, and hints for those that a driver has refused. */
import { CniError, code } from '../../cni/error.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { filtersVlans } from '../../nic/netdev.ts'
import { ApplyError } from '../../ops/apply.ts'
import { vfAttributeNames, vfAttributes } from '../../ops/vf-attributes.ts'
import type { AttachConfig } from '../config/config.ts'
import type { AttachFacts } from '../device/facts.ts'

/** @throws CniError 7 naming the key and why this device can't have it */
export function refuseImpossible(kernel: Kernel, config: AttachConfig, facts: AttachFacts): void {
  refuseVfWishes(config, facts)
  refuseUserspaceWishes(config, facts)
  refuseBridge(kernel, config, facts)
  const { vf } = facts
  if (vf !== undefined && config.mtu !== undefined && config.mtu > vf.pfMtu) {
    throw refused('mtu', String(config.mtu), facts, `its PF "${vf.pfName}" has MTU ${vf.pfMtu}`)
  }
}

function refuseVfWishes(config: AttachConfig, facts: AttachFacts): void {
  if (facts.vf !== undefined) return
  const wishes = { ...config.vf, rate: config.rate }
  for (const wish of vfAttributeNames) {
    // Every interface has a MAC address.
    if (wish === 'mac' || wishes[wish] === undefined) continue
    const isVf = facts.device.pci?.vf !== undefined
    const reason = isVf ? 'its physical function is not visible' : 'it is no virtual function'
    const words = `Cannot use ${vfAttributes[wish].key} for "${facts.device.id}": ${reason}`
    throw new CniError(code.invalidConfig, words)
  }
}

function refuseUserspaceWishes(config: AttachConfig, facts: AttachFacts): void {
  if (facts.port !== undefined) return
  const reason = `it is bound to ${facts.device.pci?.driver ?? 'no driver'} and has no network interface`
  if (config.mtu !== undefined) throw refused('mtu', String(config.mtu), facts, reason)
  if (config.mac !== undefined && facts.vf === undefined)
    throw refused('mac', `"${config.mac}"`, facts, reason)
}

function refuseBridge(kernel: Kernel, { bridge }: AttachConfig, facts: AttachFacts): void {
  if (bridge === undefined) return
  const name = `"${bridge.name}"`
  const representor = facts.vf?.representor
  if (facts.vf?.switchdev !== true) {
    throw refused('bridge', name, facts, 'only a VF of a PF in switchdev mode has a representor to attach')
  }
  if (representor === undefined) throw refused('bridge', name, facts, 'its representor was not found')
  const link = kernel.link('host', bridge.name)
  if (link?.kind !== 'bridge') {
    throw refused(
      'bridge',
      name,
      facts,
      link === undefined ? 'there is no such interface' : 'it is no Linux bridge',
    )
  }
  if (representor.master !== undefined && representor.master !== bridge.name) {
    const words = `representor "${representor.link.name}" is attached to "${representor.master}"`
    throw refused('bridge', name, facts, words)
  }
  if (bridge.vlan !== undefined && !filtersVlans(bridge.name)) {
    const words = `bridge ${name} does not filter VLANs (ip link set ${bridge.name} type bridge vlan_filtering 1)`
    throw refused('vlan', String(bridge.vlan), facts, words)
  }
  if (bridge.vlan !== undefined && representor.master !== undefined) {
    // Its VLANs are those of whoever attached it: they are not ours to change, and DEL could not put them back.
    const vlans = kernel.bridgeVlans('host', representor.link.ifindex)
    const [only] = vlans
    if (vlans.length === 1 && only?.vid === bridge.vlan && only.pvid && only.untagged) return
    const words = `representor "${representor.link.name}" is a port of ${name} already, in other VLANs; take it out first`
    throw refused('vlan', String(bridge.vlan), facts, words)
  }
}

function refused(key: string, value: string, facts: AttachFacts, why: string): CniError {
  return new CniError(code.invalidConfig, `Cannot use ${key} ${value} for "${facts.device.id}": ${why}`)
}

/** The words for the operator where a PF in switchdev mode refused an attribute; `key` is the config's. */
function alternative(key: string): string | undefined {
  const name = vfAttributeNames.find((one) => vfAttributes[one].key === key)
  const { inSwitchdev = 'kept' } = name === undefined ? {} : vfAttributes[name]
  return inSwitchdev === 'kept' ? undefined : inSwitchdev.instead
}

/** The error of a refused ADD, with the alternative where a PF in switchdev mode refused a VF attribute. */
export function switchdevHint(error: CniError, thrown: unknown, facts: AttachFacts): CniError {
  const cause = thrown instanceof ApplyError ? thrown.cause : undefined
  const key =
    cause instanceof Error && 'key' in cause && typeof cause.key === 'string' ? cause.key : undefined
  const hint = key === undefined || facts.vf?.switchdev !== true ? undefined : alternative(key)
  if (hint === undefined) return error
  const message = `${error.message}; the PF is in switchdev mode: ${hint}`
  return new CniError(error.code, message, { details: error.details, cause: error })
}
