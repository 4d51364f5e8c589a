/**
 * The attributes of a VF: one entry for each says all that does not depend on netlink. An attribute without an entry does not
 * compile, neither here nor where attributes are read and set (kernel/link/vfs.ts), asked for (attach/config/vf-wishes.ts), taken
 * over from sriov-cni (attach/foreign/sriov-cache.ts) and written down (records).
 */
import type { VfAttributes } from './op.ts'

/** An attribute that a config can ask for. */
export interface VfAttribute<T> {
  /** The key of the config, as an error names it. */
  readonly key: string
  /** The words of `ip link set dev PF vf NUMBER`. */
  readonly words: (value: T) => string
  /** The value alone, for messages. Equal texts are equal values. */
  readonly text: (value: T) => string
  /** The attribute belongs to the PF also in switchdev mode; else the reason for the operator, in which words to ask instead. */
  readonly inSwitchdev: 'kept' | { readonly instead: string; readonly isRefused: boolean }
}

/** All attributes, in the order in which `ip` prints them. */
export const vfAttributes: {
  readonly [K in keyof VfAttributes]-?: VfAttribute<NonNullable<VfAttributes[K]>>
} = {
  mac: { key: 'mac', words: (mac) => `mac ${mac}`, text: (mac) => mac, inSwitchdev: 'kept' },
  vlan: {
    key: 'vlan',
    words: ({ id, qos, proto }) =>
      `vlan ${id}${qos === 0 ? '' : ` qos ${qos}`}${proto === 0x88a8 ? ' proto 802.1ad' : ''}`,
    text: ({ id, qos, proto }) => `${id} with priority ${qos}, 0x${proto.toString(16)}`,
    inSwitchdev: {
      instead: 'VLANs belong to what the representor is attached to: set "bridge"',
      isRefused: true,
    },
  },
  rate: {
    key: 'max_tx_rate/min_tx_rate',
    words: ({ min, max }) => `max_tx_rate ${max} min_tx_rate ${min}`,
    text: ({ min, max }) => `${min} to ${max} Mbit/s`,
    inSwitchdev: {
      instead: 'limits belong to devlink (devlink port function rate set)',
      isRefused: false,
    },
  },
  spoofchk: {
    key: 'spoofchk',
    words: (isOn) => `spoofchk ${isOn ? 'on' : 'off'}`,
    text: String,
    inSwitchdev: { instead: 'a rule on the representor decides what a VF may send', isRefused: true },
  },
  trust: {
    key: 'trust',
    words: (isOn) => `trust ${isOn ? 'on' : 'off'}`,
    text: String,
    inSwitchdev: {
      instead: 'the representor sees all frames; promiscuous VFs need a rule on the uplink',
      isRefused: true,
    },
  },
  linkState: {
    key: 'link_state',
    words: (state) => `state ${state}`,
    text: (state) => state,
    inSwitchdev: {
      instead: "the VF's carrier follows its representor: set that up or down",
      isRefused: false,
    },
  },
}

/** The names of all attributes. */
export const vfAttributeNames = Object.keys(vfAttributes) as (keyof VfAttributes)[]

/** The words of `ip` for some attributes. */
export function vfWords(set: VfAttributes): string {
  return vfAttributeNames.flatMap((name) => inWords(set, name, 'words') ?? []).join(' ')
}

/** The value of one attribute as a text; undefined for one that is absent. */
export function vfText(attributes: VfAttributes, name: keyof VfAttributes): string | undefined {
  return inWords(attributes, name, 'text')
}

/** Of the attributes in `wanted`, those that `now` has with another value or not at all. */
export function differingVf(wanted: VfAttributes, now: VfAttributes): VfAttributes {
  const names = vfAttributeNames.filter((name) => {
    const text = vfText(wanted, name)
    return text !== undefined && text !== vfText(now, name)
  })
  return Object.fromEntries(names.map((name) => [name, wanted[name]]))
}

/** The entry of an attribute takes the values of that attribute, which the compiler does not see in a union. */
function inWords(
  attributes: VfAttributes,
  name: keyof VfAttributes,
  by: 'words' | 'text',
): string | undefined {
  const value = attributes[name]
  return value === undefined ? undefined : (vfAttributes[name][by] as (value: unknown) => string)(value)
}
