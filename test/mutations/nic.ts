import type { Mutation } from './mutation.ts'

/** Mistakes in src/nic. */
export const nic: readonly Mutation[] = [
  {
    id: 'nic-renamed-once',
    file: 'src/nic/by-name.ts',
    mistake:
      'An interface that is renamed between the look at sysfs and the question to the kernel is not found.',
    old: 'const mostLooks = 20',
    now: 'const mostLooks = 1',
    test: ['nic/by-name.test.ts', 'one that is renamed once'],
    tier: 'quick',
  },
  {
    id: 'nic-vfio-by-name',
    file: 'src/nic/pci.ts',
    mistake: 'A function of a vfio driver that is not known by name counts as one of the kernel.',
    old: "entries.includes('vfio-dev') ||",
    now: '',
    test: ['nic/pci.test.ts', 'belongs to user space'],
    tier: 'quick',
  },
  {
    id: 'nic-vfio-by-process',
    file: 'src/nic/holders.ts',
    mistake: 'A function that is open counts as closed when its process is not to be seen.',
    old: 'if (isEnabled) return',
    now: 'if (isEnabled && holder() !== undefined) return',
    test: ['nic/holders.test.ts', 'is open also when no process is seen to have it'],
    tier: 'quick',
  },
  {
    id: 'nic-vfio-group',
    file: 'src/nic/holders.ts',
    mistake:
      'A function whose group a program has open, with which it can open the function, counts as closed.',
    old: 'if (busy !== undefined) return',
    now: 'if (busy !== undefined && isEnabled) return',
    test: ['lab/attach/open.test.ts', 'is refused while a program has'],
    tier: 'lab',
  },
  {
    id: 'nic-uio-mapped',
    file: 'src/nic/holders.ts',
    mistake: 'A function whose BARs a program has in its memory only counts as closed.',
    old: 'mapped: true, proc',
    now: 'mapped: false, proc',
    test: ['nic/holders.test.ts', 'is open when'],
    tier: 'quick',
  },
]
