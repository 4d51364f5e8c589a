// The kind of a port is told from the pod's interface.
import { expect, test, vi } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import { readOffloadConfig } from '../../../src/offload/config/config.ts'
import { readPort } from '../../../src/offload/port/port.ts'
import { refusalOf, requestOf } from '../../support/request.ts'

const address = '0000:3b:02.1'
vi.mock('../../../src/nic/pci.ts', () => ({
  readPciFunction: () => ({
    address: '0000:3b:02.1',
    vf: { pf: '0000:3b:00.0', index: 3 },
    userspace: false,
  }),
  uplinkOf: () => 'pf0',
}))

/** A VF in a VLAN of some protocol, in legacy mode. */
function read(proto: number, runtimeConfig: object) {
  const link = { name: 'net1', ifindex: 3, mac: '02:00:00:00:00:05', parent: address, parentBus: 'pci' }
  const vfs = new Map([[3, { vlan: { id: 7, qos: 0, proto } }]])
  const kernel = {
    link: (side: string) => (side === 'pod' ? link : { name: 'pf0', ifindex: 2, up: true, vfs }) as LinkFacts,
    isSwitchdev: () => false,
    hasIngress: () => false,
  } as unknown as Kernel
  const request = requestOf({ runtimeConfig })
  return readPort(kernel, request, readOffloadConfig(request))
}
const portMappings = [{ hostPort: 8080, containerPort: 80 }]

test('a VF in a VLAN', () => {
  expect(read(0x8100, { portMappings })).toMatchObject({ kind: 'legacy', device: address, wire: { vlan: 7 } })
})

test('a VF whose tag is a service tag (802.1ad) can be limited, and not steered to', () => {
  const { code, message } = refusalOf(() => read(0x88a8, { portMappings }))
  expect(message).toBe(
    'Cannot map ports to "net1": VF 3 of "pf0" is in VLAN 7 with tags of 802.1ad; must be 802.1Q',
  )
  expect(code).toBe(7)
  const bandwidth = { ingressRate: 8_000_000, ingressBurst: 80_000 }
  expect(read(0x88a8, { bandwidth })).toMatchObject({ kind: 'legacy' })
})
