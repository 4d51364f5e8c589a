/** Every key of a selector. */
import * as z from 'zod/mini'
import { parsePciAddress } from '../../../src/lib/pci-address.ts'
import { allowedPfSelector, parsePfSelector } from '../pf-ranges.ts'
import { choice, flag, type KeyRow, type KeyRows, key, listOf, must, objectOf, textOf } from './key-rows.ts'

const pciWords = 'a PCI address such as 0000:3b:02.1'
const isPci = (text: string) => parsePciAddress(text) !== undefined
/** For editors alone; {@link parsePciAddress} judges. */
const pciForm = '([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\\.[0-7]'
const pciAddress = {
  schema: z
    .string(must(pciWords))
    .check(z.refine(isPci, must(pciWords)), z.meta({ pattern: `^${pciForm}$` })),
  allowed: pciWords,
}

const hexId = textOf(/^(?:0[xX])?[0-9A-Fa-f]{4}$/, 'four hexadecimal digits such as "15b3"')
const name = textOf(/^\S(?:.*\S)?$/, 'a text without spaces around it')
const pKey = textOf(/^0[xX][0-9A-Fa-f]{1,4}$/, 'a partition key such as "0x7fff"')

/** For editors alone; {@link parsePfSelector} judges. */
const indexForm = '[ \\t]*\\d+[ \\t]*(-[ \\t]*\\d+[ \\t]*)?'
const pf = (form: string, allowed: string, isName: (text: string) => boolean) => ({
  schema: z.string(must(allowed)).check(
    z.refine((text) => {
      const parsed = parsePfSelector(text)
      return parsed !== undefined && isName(parsed.pf)
    }, must(allowed)),
    z.meta({ pattern: `^\\s*${form}\\s*(#${indexForm}(,${indexForm})*)?$` }),
  ),
  allowed,
})
/** Longest name by which the kernel knows an interface, ALTIFNAMSIZ without the final zero (linux/if.h). */
const longestName = 127
const pfName = pf(
  '[^#/\\s]+',
  `${allowedPfSelector}, PF the name of an interface`,
  (text) => Buffer.byteLength(text) <= longestName && !/[\s/]/.test(text),
)
const rootDevice = pf(
  pciForm,
  `${allowedPfSelector.replaceAll('p0#', '0000:3b:00.0#')}, PF a PCI address`,
  isPci,
)

const net = ['netDevice'] as const
const netOrAux = ['netDevice', 'auxNetDevice'] as const
const pci = ['netDevice', 'accelerator'] as const
const anyDevice = 'all'

/** The keys that are conditions: those that `exclude` may have, too. */
export const conditionKeys = {
  vendors: key(listOf(hexId), {
    without: anyDevice,
    effect: 'PCI vendor',
    differs: '0x in front and upper case are taken with a warning; there such an entry never matches',
  }),
  devices: key(listOf(hexId), {
    without: anyDevice,
    effect: "PCI device; for a VF the VF's own and not its PF's, for a subfunction that of its PCI function",
    differs: 'as `vendors`',
  }),
  drivers: key(listOf(name), {
    without: anyDevice,
    effect: 'driver that the device, or the PCI function of a subfunction, is bound to',
  }),
  pciAddresses: key(listOf(pciAddress), {
    types: pci,
    without: anyDevice,
    effect: 'PCI address',
    differs: 'upper case and a missing domain are taken with a warning; there such an entry never matches',
  }),
  acpiIndexes: key(listOf(name), {
    types: pci,
    without: anyDevice,
    effect: '`acpi_index` of sysfs',
    differs: 'works for accelerators, as it is documented there and not done',
  }),
  auxTypes: key(listOf(choice('sf')), {
    types: ['auxNetDevice'],
    without: 'refused in `auxNetDevice` pools',
    effect: 'kind of the device on the auxiliary bus: subfunctions',
  }),
  pfNames: key(listOf(pfName), {
    types: netOrAux,
    without: anyDevice,
    effect:
      'the PF by the name of an interface, any case, or by an altname, and perhaps indexes of its VFs or subfunctions',
    differs:
      'altnames match. All entries of a PF count; there the first alone. A mistake in the text refuses the config; there it cuts the list short without a word',
  }),
  rootDevices: key(listOf(rootDevice), {
    types: netOrAux,
    without: anyDevice,
    effect: 'the PF by its PCI address, with the same grammar',
    differs: 'as `pfNames` and `pciAddresses`',
  }),
  linkTypes: key(listOf(choice('ether', 'infiniband')), {
    types: netOrAux,
    without: anyDevice,
    effect: 'kind of the link: of the device, or of its PF while the device has no interface on the host',
  }),
  ddpProfiles: key(listOf(name), {
    types: net,
    without: anyDevice,
    effect: 'DDP profile of an Intel NIC (`fw.app.name` of `devlink dev info`)',
    differs: 'no `ddptool` is run; its devlink query can not work there',
  }),
  pKeys: key(listOf(pKey), {
    types: net,
    without: anyDevice,
    effect: 'first InfiniBand partition key of the device',
    differs: '"0x1" and "0xABCD" match, as it is documented there; the text is compared there',
  }),
  isRdma: key(flag, {
    types: netOrAux,
    without: 'false',
    effect: 'devices with RDMA alone, and the container gets their RDMA files; not together with `vdpaType`',
  }),
  vdpaType: key(choice('vhost', 'virtio'), {
    types: net,
    without: anyDevice,
    effect: 'devices with a vDPA device on the driver vhost-vdpa or virtio-vdpa',
  }),
  eswitchModes: key(listOf(choice('legacy', 'switchdev')), {
    isOwn: true,
    types: netOrAux,
    without: anyDevice,
    effect: "mode of the PF's eSwitch; one that another system manages (BlueField in DPU mode) has neither",
  }),
  hasRepresentor: key(flag, {
    isOwn: true,
    types: netOrAux,
    without: anyDevice,
    effect: 'true: devices with a representor on the host; false: devices without one',
  }),
} satisfies KeyRows

const exclusion = objectOf(conditionKeys, 'an object with the keys of a selector')

const excludeRow: KeyRow<z.ZodMiniArray<typeof exclusion>> = {
  schema: z.array(exclusion, must('an object or a list of objects')),
  allowed: 'an object, or a list of objects, with conditions of a selector',
  isOwn: true,
  without: 'none',
  effect:
    'devices that match one of these are not selected; each object has the keys above, and one of them at least',
  members: conditionKeys,
  isOneOrMany: true,
}

/** All keys. */
export const selectorKeys = {
  ...conditionKeys,
  needVhostNet: key(flag, {
    types: netOrAux,
    without: 'false',
    effect: 'no condition: the container gets /dev/vhost-net and /dev/net/tun',
  }),
  exclude: excludeRow,
} satisfies KeyRows

/** A selector whose keys are in official spelling. */
export const selectorSchema = objectOf(selectorKeys, 'an object')
/** The values of a selector, not yet brought into the form of the inventory. */
export type SelectorValues = z.infer<typeof selectorSchema>
