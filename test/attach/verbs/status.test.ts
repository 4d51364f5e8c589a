// STATUS of vf-attach fails with code 50 where an ADD of the config would fail.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { attachPlugin } from '../../../src/attach/plugin.ts'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { Machine } from '../../../src/kernel/api/machine.ts'
import { refusalOf, requestOf } from '../../support/request.ts'
import { factsOf } from '../model.ts'

let stateDir: string
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'attach-'))
})
afterEach(() => rmSync(stateDir, { recursive: true }))

const veth = (name: string, mac: string): LinkFacts => ({
  ...factsOf({ name, altnames: [], mac, mtu: 1500, up: false }),
  ...{ parent: undefined, parentBus: undefined, kind: 'veth' },
})
const links = [
  veth('dev0', '02:00:00:00:00:05'),
  veth('twin0', '02:00:00:00:00:06'),
  veth('twin1', '02:00:00:00:00:06'),
]

function status(config: Record<string, unknown>): void {
  const kernel: Partial<Kernel> = {
    probe: () => undefined,
    link: (_, name) => links.find((link) => link.name === name),
    links: () => links,
    close: () => undefined,
  }
  const machine: Partial<Machine> = { openKernel: () => kernel as Kernel }
  const request = requestOf({ stateDir, ...config }, { CNI_COMMAND: 'STATUS' })
  attachPlugin(machine as Machine).status(request)
}

test.each<[Record<string, unknown>]>([
  [{}],
  [{ vlan: 9, spoofchk: 'on', mac: '02:00:00:00:00:42' }],
  [{ device: 'dev0' }],
  [{ hwaddr: '02:00:00:00:00:05' }],
  [{ device: 'dev0', hwaddr: '02:00:00:00:00:05', mtu: 1400 }],
])('nothing to say of %j', (config) => {
  expect(() => status(config)).not.toThrow()
})

test.each<[Record<string, unknown>, string]>([
  [{ device: 'none0' }, 'Cannot use device "none0": no interface of the host is that'],
  [
    { hwaddr: '02:00:00:00:00:99' },
    'Cannot use hwaddr "02:00:00:00:00:99": no interface of the host is that',
  ],
  [{ hwaddr: '02:00:00:00:00:06' }, 'it means several interfaces: twin0, twin1'],
  [{ device: 'dev0', hwaddr: '02:00:00:00:00:06' }, 'it means several interfaces'],
  [{ device: 'dev0', deviceID: 'mlx5_core.sf.99' }, 'no such device on the auxiliary bus'],
  [{ kernelpath: '/sys/devices/none' }, 'Cannot use kernelpath "/sys/devices/none"'],
  [{ deviceID: 'ffff:ff:1f.7' }, 'no such PCI device'],
  [{ deviceID: '../x' }, 'Cannot use deviceID "../x": must be a PCI address'],
  [{ device: 'dev0', pf: 'pf0' }, 'pf "pf0" must stand alone'],
  [{ vlan: 5000 }, 'Cannot use vlan 5000: must be an integer from 0 to 4094'],
  [{ spoofchk: 'yes' }, 'Cannot use spoofchk "yes": must be "on" or "off"'],
  [{ mac: '01:00:5e:00:00:01' }, 'Cannot use mac "01:00:5e:00:00:01": must be a unicast MAC address'],
  [{ vlanQoS: 3 }, 'Cannot use vlanQoS 3: must be absent when vlan is absent'],
  [{ min_tx_rate: 9, max_tx_rate: 8 }, 'Cannot use min_tx_rate 9'],
  [{ stateDir: 'state' }, 'Cannot use stateDir "state": must be an absolute path'],
])('code 50, as an ADD would fail: %j', (config, words) => {
  const { code, message } = refusalOf(() => status(config))
  expect(message).toContain(`Cannot serve an ADD: `)
  expect(message).toContain(words)
  expect(code).toBe(50)
})
