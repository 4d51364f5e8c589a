/**
 * The differences between sriov-network-device-plugin (main of mid-2026) and vf-device-plugin that are meant, each with its reason. Everything else that
 * differs fails `npm run test:peer`.
 */
import type { Difference } from './compare.ts'

/** One difference that is meant. */
export interface Documented {
  readonly id: string
  readonly reason: string
  /** Names of cases; undefined: any. */
  readonly cases?: readonly string[]
  readonly path: RegExp
  /** What the values must be; any when absent. */
  readonly holds?: (difference: Difference) => boolean
}

const isNew = ({ peer, ours }: Difference) => peer === undefined && ours !== undefined

/** All of them. */
export const documented: readonly Documented[] = [
  {
    id: 'place-of-vf',
    reason: 'a variable more, NAME_VF, with the PF, the index and the representor of each VF',
    path: /\/env\/PCIDEVICE_[^/]*_VF$/,
    holds: isNew,
  },
  {
    id: 'names-for-shells',
    reason: 'each variable with a hyphen in its name has a twin whose name a shell can read',
    path: /\/env\/PCIDEVICE_[A-Z0-9_]+$/,
    cases: ['names, prefixes and topology'],
    holds: isNew,
  },
  {
    id: 'pf-in-device-info',
    reason: 'device information names the PF; the peer leaves the field out',
    path: /^device-info\/.*\/pf-pci-address$/,
    holds: isNew,
  },
  {
    id: 'empty-pools',
    reason:
      'a pool without devices is registered; the peer gives it no server, and it never comes without a restart',
    path: /^resources\/[^/]+\/[^/]+\/way$/,
    cases: [
      'selectors of PCI',
      'several selectors, in their order',
      'a pool without devices',
      'accelerators',
      'subfunctions',
    ],
    holds: isNew,
  },
  {
    id: 'vhost-in-device-info',
    reason: 'device information names vhost-net, which the specification has a field for',
    path: /^device-info\/.*\/vhost-net$/,
    holds: isNew,
  },
  {
    id: 'vhost-missing',
    reason:
      'a pool that needs vhost-net on a node without it: Allocate is refused with a sentence; the peer logs, and the container starts without',
    path: /^(resources\/intel\.com\/vhost|device-info)\//,
    cases: ['vhost without its device files'],
  },
  {
    id: 'uio-drivers',
    reason: 'uio_pci_generic is a driver for programs like igb_uio; the peer knows igb_uio alone',
    path: /\/(device\/\/dev\/uio\d|env\/PCIDEVICE_INTEL_COM_USER_INFO)$/,
    cases: ['UIO'],
  },
  {
    id: 'uio-at-first',
    reason:
      'the variable has the UIO file from the first Allocate on; the peer puts it there from the second on',
    path: /\/env\/PCIDEVICE_INTEL_COM_USER_INFO$/,
    cases: ['UIO by igb_uio'],
  },
  {
    id: 'cdi-field',
    reason:
      'CDI names come in the field cdi_devices; the peer has annotations, of which two pools of one prefix share a key',
    path: /\/cdi names are$/,
    cases: ['CDI', 'CDI of RDMA and accelerators'],
    holds: ({ ours }) => ours === 'cdi_devices',
  },
  {
    id: 'cdi-without-files',
    reason:
      'with CDI, VFs with a network driver are offered, too; the peer writes no valid spec for them and offers none',
    path: /^(resources\/intel\.com\/kernel|device-info\/intel\.com-kernel-)/,
    cases: ['CDI'],
    holds: isNew,
  },
  {
    id: 'pf-twice',
    reason: 'all entries of one PF count; the peer reads the first one alone',
    path: /0000:3a:1[01]\.[02]/,
    cases: ['a PF that is named twice'],
  },
  {
    id: 'blanks-in-ranges',
    reason: 'blanks in a range are passed over; the peer leaves out everything behind them',
    path: /0000:3a:10\.[46]/,
    cases: ['blanks in a range'],
    holds: isNew,
  },
  {
    id: 'guard',
    reason:
      'devices that the host uses are left out; the peer’s test for the default route finds none, and it has no other',
    path: /0000:3c:10\.[46]/,
    cases: ['a device with the default route', 'a device in a bridge'],
  },
  {
    id: 'idle',
    reason:
      'without a pool it goes on and waits for the next config; the peer ends with code 0, and kubelet starts it again for ever',
    path: /^ends by itself$/,
    cases: ['no pool at all'],
  },
  {
    id: 'exit-code',
    reason: 'a config that can not be used is exit code 3; the peer has 0, or the trace of a crash and 2',
    path: /^exit code$/,
    cases: [
      'text that is no JSON',
      'a name that is used twice',
      'a type of device that there is not',
      'a pool without selectors',
    ],
    holds: ({ ours }) => ours === 3,
  },
  {
    id: 'whole-file',
    reason:
      'a file with a mistake is refused whole, with code 3 at the start and without effect later; the peer leaves the pool out, or its devices, and goes on',
    path: /./,
    cases: ['a pool whose selectors are no list, beside a good one', 'a reversed range'],
    holds: ({ path, ours }) => ours === undefined || path === 'ends by itself' || ours === 3,
  },
  {
    id: 'forms-of-texts',
    reason:
      '0x8086 and addresses in capitals are taken, with a warning; the peer compares texts, and they never match',
    path: /./,
    cases: ['texts in forms that sysfs has not'],
    holds: isNew,
  },
  {
    id: 'acpi-of-accelerators',
    reason: 'acpiIndexes of accelerators is a condition, as documented there; the peer passes over it',
    path: /0000:5a:00\.0/,
    cases: ['acpiIndexes of accelerators'],
    holds: ({ ours }) => ours === undefined,
  },
]

/** The reason of a difference; undefined: it is a surprise. */
export function reasonFor(name: string, difference: Difference): Documented | undefined {
  return documented.find(
    ({ cases, path, holds }) =>
      (cases === undefined || cases.includes(name)) &&
      path.test(difference.path) &&
      (holds === undefined || holds(difference)),
  )
}

/** Ids of documented differences that were not seen: they are stale. */
export function unused(used: ReadonlySet<string>): readonly string[] {
  return documented.map(({ id }) => id).filter((id) => !used.has(id))
}
