/** The PF-side attributes that a config asks for. */
import type { Values } from '../../cni/config-keys.ts'
import { invalid } from '../../cni/value-kinds.ts'
import type { VfAttributes } from '../../ops/op.ts'
import { type attachKeys, unicastMac } from './keys.ts'

/** The values of a config. */
export type AttachValues = Values<typeof attachKeys>

/** Rates in Mbit/s as the kernel's `ip link set vf` takes them; undefined = unchanged. */
export interface RateWish {
  readonly min: number | undefined
  readonly max: number | undefined
}

/** Attributes of a VF as a config asks for them: of a rate each half by itself. */
export interface VfWishes extends Omit<VfAttributes, 'rate'> {
  readonly rate?: RateWish | undefined
}

/** Each attribute from the values of a config; `mac` is the address that counts. */
const wishes: {
  readonly [key in keyof Required<VfWishes>]: (values: AttachValues, mac: string | undefined) => VfWishes[key]
} = {
  mac: (_, mac) => mac,
  vlan: (values) => (values.bridge === undefined ? vlanWish(values) : undefined),
  rate: ({ min_tx_rate: min, max_tx_rate: max }) => rateWish(min, max),
  spoofchk: ({ spoofchk }) => spoofchk,
  trust: ({ trust }) => trust,
  linkState: ({ link_state }) => link_state,
}

/**
 * Reads the attributes that a config asks for; the others are absent.
 * @throws CniError 7 for keys that contradict each other
 */
export function vfWishes(values: AttachValues, mac: string | undefined): VfWishes {
  const all = Object.entries(wishes).map(([key, wish]) => [key, wish(values, mac)] as const)
  return Object.fromEntries(all.filter(([, wish]) => wish !== undefined))
}

/**
 * The MAC address that counts, with sriov-cni's precedence: runtimeConfig.mac, then MAC in CNI_ARGS, then mac. The others are not
 * looked at.
 * @throws CniError 7 for one that no interface can have
 */
export function chosenMac(
  { runtimeConfig, mac }: AttachValues,
  args: ReadonlyMap<string, string>,
): string | undefined {
  const wishes: readonly (readonly [string, string | undefined])[] = [
    ['runtimeConfig.mac', runtimeConfig?.mac],
    ['CNI_ARGS MAC', args.get('MAC')],
    ['mac', mac],
  ]
  const [key, value] = wishes.find(([, one]) => one !== undefined && one !== '') ?? []
  return key === undefined || value === undefined ? undefined : unicastMac.read(value, key)
}

/**
 * The bridge that a representor joins; `vlan` is that of its port, untagged towards the pod.
 * @throws CniError 7 for keys that only a VF has
 */
export function bridgeWish({
  bridge,
  vlan,
  vlanQoS,
  vlanProto,
}: AttachValues): { readonly name: string; readonly vlan: number | undefined } | undefined {
  if (bridge === undefined) return undefined
  if (vlanQoS !== undefined) throw invalid('vlanQoS', vlanQoS, 'absent with bridge')
  if (vlanProto !== undefined) throw invalid('vlanProto', vlanProto, 'absent with bridge')
  return { name: bridge, vlan: vlan === 0 ? undefined : vlan }
}

/** Ethertypes of tags. */
const ethertypes = { '802.1q': 0x8100, '802.1ad': 0x88a8 } as const

function vlanWish({ vlan: id, vlanQoS: qos, vlanProto: proto }: AttachValues): VfAttributes['vlan'] {
  if (id === undefined) {
    if (qos !== undefined) throw invalid('vlanQoS', qos, 'absent when vlan is absent')
    if (proto !== undefined) throw invalid('vlanProto', proto, 'absent when vlan is absent')
    return undefined
  }
  if (id === 0 && (qos ?? 0) !== 0) throw invalid('vlanQoS', qos ?? 0, '0 when vlan is 0')
  if (id === 0 && proto === '802.1ad') throw invalid('vlanProto', proto, '"802.1q" when vlan is 0')
  return { id, qos: qos ?? 0, proto: ethertypes[proto ?? '802.1q'] }
}

function rateWish(min: number | undefined, max: number | undefined): RateWish | undefined {
  if (min === undefined && max === undefined) return undefined
  if (min !== undefined && max !== undefined && max !== 0 && min > max)
    throw invalid('min_tx_rate', min, `at most max_tx_rate (${max})`)
  return { min, max }
}
