import type { Mutation } from './mutation.ts'

/** Mistakes in the inventory of the device plugin, and in what it asks of the kernel. */
export const inventory: readonly Mutation[] = [
  {
    id: 'inventory-guard-upper',
    file: 'device-plugin/inventory/host-uses.ts',
    mistake: 'A default route by a bridge, bond or VLAN on an interface is no use of that interface.',
    old: 'queue.push(upper)',
    now: '',
    test: ['device-plugin/inventory/host-uses.test.ts', 'by a VLAN on a bridge'],
    tier: 'quick',
  },
  {
    id: 'kernel-default-route-tables',
    file: 'src/kernel/ip/default-routes.ts',
    mistake: 'Default routes of tables other than main are not seen.',
    old: 'if (table === RT_TABLE.RT_TABLE_LOCAL) return []',
    now: 'if (table !== RT_TABLE.RT_TABLE_MAIN) return []',
    test: ['native/device-plugin/network-facts.test.ts', 'default routes are those of both families'],
    tier: 'quick',
  },
  {
    id: 'inventory-representor-is-pf',
    file: 'device-plugin/inventory/devices.ts',
    mistake: 'Representors count as interfaces of the PF that carries the eSwitch.',
    old: 'interfaces.filter(({ physPortName }) => placeOfPort(physPortName) === undefined)',
    now: 'interfaces',
    test: ['device-plugin/inventory/devices.test.ts', 'shows uplink and representors'],
    tier: 'quick',
  },
  {
    id: 'inventory-uio-open',
    file: 'device-plugin/inventory/devices.ts',
    mistake: 'A function on a UIO driver, which keeps it enabled, counts as open.',
    old: 'isOpen: vfio === undefined ?',
    now: 'isOpen: vfio === undefined && uioOf(one) === undefined ?',
    test: ['device-plugin/inventory/devices.test.ts', 'UIO keeps a function enabled'],
    tier: 'quick',
  },
  {
    id: 'inventory-refusal-fails',
    file: 'device-plugin/inventory/unanswered.ts',
    mistake: 'A refusal of the kernel ends the scan.',
    old: 'isThrown(error)) throw',
    now: 'error) throw',
    test: ['device-plugin/inventory/scan.test.ts', 'are named once each'],
    tier: 'quick',
  },
]
