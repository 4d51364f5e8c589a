// What STATUS asks of the kernel. This machine has no PF with VFs.
import { expect, test, vi } from 'vitest'
import type { Kernel, Needs } from '../../src/kernel/kernel.ts'
import type { Machine } from '../../src/kernel/machine.ts'
import type { OffloadConfig } from '../../src/offload/config.ts'
import type { OffloadJournal } from '../../src/offload/record.ts'
import { requireReady, type Serves } from '../../src/offload/status.ts'
import type { RecordStore } from '../../src/ops/record-store.ts'

let pfs: readonly string[] = []
vi.mock('../../src/nic/pci.ts', () => ({
  pfsWithVfs: () => pfs,
  readPciFunction: () => ({ vf: { pf: '0000:3b:00.0', index: 0 } }),
  uplinkOf: () => 'pf0',
}))

const config = { offload: 'prefer', nat: 'auto', rates: { outside: false } } as OffloadConfig
const store = { probe: () => undefined } as RecordStore<OffloadJournal>

function asked(change: Partial<OffloadConfig>, serves: Serves): Needs | undefined {
  let needs: Needs | undefined
  const kernel = {
    probe: () => undefined,
    close: () => undefined,
    isSwitchdev: () => false,
    link: (_side: string, name: string) => ({ name, up: true }),
    missingNeeds: (wanted: Needs) => {
      needs = wanted
      return []
    },
  } as unknown as Kernel
  requireReady({ openKernel: () => kernel } as Machine, store, { ...config, ...change }, serves)
  return needs
}

const ports = { ports: true, rates: false }

test('filters are needed where pods can have more than a veth: VFs, an uplink, a device', () => {
  pfs = []
  expect(asked({}, ports)).toEqual({ ports: true, steering: false, rates: false, police: false })
  expect(asked({ uplink: 'eth1' }, ports)).toMatchObject({ steering: true })
  expect(asked({ device: '0000:3b:02.0' }, ports)).toMatchObject({ steering: true })
  pfs = ['0000:3b:00.0']
  expect(asked({}, ports)).toMatchObject({ ports: true, steering: true })
  expect(asked({}, { ports: false, rates: true })).toMatchObject({ ports: false, steering: false })
})
