/** Selectors: the conditions that each key stands for. */
import type { Selector } from '../config/plugin-config.ts'
import type { Device, DeviceType, Snapshot } from '../inventory/snapshot.ts'
import { anyOf, type Condition } from './condition.ts'
import { pfConditions } from './pf-condition.ts'

/** A list of texts: the device's own text must be one of them. */
function oneOf(
  key: string,
  wanted: readonly string[] | undefined,
  read: (device: Device) => string | undefined,
): Condition[] {
  if (wanted === undefined || wanted.length === 0) return []
  const set = new Set(wanted)
  const end = `, wanted ${anyOf(wanted)}`
  return [
    {
      key,
      holds: (device) => {
        const value = read(device)
        return value !== undefined && set.has(value)
      },
      reason: (device) => `${key}: has ${read(device) ?? 'none'}${end}`,
    },
  ]
}

function rdma(wanted: boolean | undefined): Condition[] {
  if (wanted !== true) return []
  return [
    {
      key: 'isRdma',
      holds: (device) => device.rdma !== undefined,
      reason: () => 'isRdma: has no RDMA device, wanted one',
    },
  ]
}

function representor(wanted: boolean | undefined): Condition[] {
  if (wanted === undefined) return []
  return [
    {
      key: 'hasRepresentor',
      holds: (device) => (device.representor !== undefined) === wanted,
      reason: ({ representor }) =>
        wanted
          ? 'hasRepresentor: has no representor, wanted one'
          : `hasRepresentor: has ${representor?.name}, wanted none`,
    },
  ]
}

/** The mode of the PF that a device belongs to, or of the device itself when it is a PF. */
function eswitchModes(wanted: readonly string[] | undefined): Condition[] {
  if (wanted === undefined || wanted.length === 0) return []
  const modeOf = (device: Device, snapshot: Snapshot) => {
    const pf = snapshot.pfs.get(device.pf?.address ?? device.pci)
    // devlink names no mode for a driver that knows legacy mode alone.
    if (pf?.managedElsewhere !== undefined) return `none that this host manages (${pf.managedElsewhere})`
    return pf === undefined ? undefined : (pf.eswitchMode ?? 'legacy')
  }
  return [
    {
      key: 'eswitchModes',
      holds: (device, snapshot) => {
        const mode = modeOf(device, snapshot)
        return mode !== undefined && wanted.includes(mode)
      },
      reason: (device, snapshot) =>
        `eswitchModes: has ${modeOf(device, snapshot) ?? 'none'}, wanted ${anyOf(wanted)}`,
    },
  ]
}

/** One selector below `exclude`: turns away the devices on which all of its conditions hold. One without conditions excludes nothing. */
function exclusion(type: DeviceType, selector: Selector, at: number): Condition[] {
  const inner = conditionsOf(type, selector)
  if (inner.length === 0) return []
  const keys = inner.map(({ key }) => key).join(' and ')
  return [
    {
      key: 'exclude',
      holds: (device, snapshot) => inner.some((one) => !one.holds(device, snapshot)),
      reason: () => `exclude: has the ${keys} of exclude[${at}], wanted others`,
    },
  ]
}

/**
 * The conditions of a selector for devices of a type, in the order in which they are asked. Keys that have no meaning for the type
 * are no conditions: configs that other programs wrote carry them. `needVhostNet` never is one.
 */
export function conditionsOf(type: DeviceType, selector: Selector): readonly Condition[] {
  const isNet = type === 'netDevice'
  const isAux = type === 'auxNetDevice'
  const onPci = <T>(value: T | undefined) => (isAux ? undefined : value)
  const onNetwork = <T>(value: T | undefined) => (isNet || isAux ? value : undefined)
  const onNet = <T>(value: T | undefined) => (isNet ? value : undefined)
  const vdpaType = onNet(selector.vdpaType)
  return [
    ...oneOf('vendors', selector.vendors, ({ vendor }) => vendor),
    ...oneOf('devices', selector.devices, ({ product }) => product),
    ...oneOf('drivers', selector.drivers, ({ driver }) => driver),
    ...oneOf('pciAddresses', onPci(selector.pciAddresses), ({ pci }) => pci),
    ...oneOf('acpiIndexes', onPci(selector.acpiIndexes), ({ acpiIndex }) => acpiIndex),
    ...oneOf('auxTypes', isAux ? selector.auxTypes : undefined, ({ aux }) => aux?.kind),
    ...pfConditions('pfNames', onNetwork(selector.pfNames)),
    ...pfConditions('rootDevices', onNetwork(selector.rootDevices)),
    ...oneOf('linkTypes', onNetwork(selector.linkTypes), ({ linkType }) => linkType),
    ...oneOf('ddpProfiles', onNet(selector.ddpProfiles), ({ ddpProfile }) => ddpProfile),
    // Ethernet devices with RDMA have P_Keys too, which nobody configures.
    ...oneOf('pKeys', onNet(selector.pKeys), (device) =>
      device.linkType === 'infiniband' ? device.rdma?.pKey : undefined,
    ),
    ...rdma(onNetwork(selector.isRdma)),
    ...oneOf('vdpaType', vdpaType && [vdpaType], ({ vdpa }) => vdpa?.type),
    ...eswitchModes(onNetwork(selector.eswitchModes)),
    ...representor(onNetwork(selector.hasRepresentor)),
    ...(selector.exclude ?? []).flatMap((one, at) => exclusion(type, one, at)),
  ]
}
