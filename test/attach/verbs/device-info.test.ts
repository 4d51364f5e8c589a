// The file of device information: written by ADD in Multus's folder under a name with the container ID alone, and no reason to fail.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { tellDeviceInfo } from '../../../src/attach/verbs/device-info.ts'
import type { PciFunction } from '../../../src/nic/pci.ts'
import { logged } from '../../support/log.ts'

const containerID = 'c0ffee'
const pci: PciFunction = {
  address: '0000:3b:02.1',
  driver: 'iavf',
  userspace: false,
  netdevs: ['eth1'],
  parents: ['0000:3b:02.1'],
  vf: { pf: '0000:3b:00.0', index: 1 },
}
const text =
  '{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:3b:02.1","pf-pci-address":"0000:3b:00.0"}}'

let top: string
let folder: string
let file: string
beforeEach(() => {
  top = mkdtempSync(`${tmpdir()}/device-info-`)
  folder = `${top}/cni`
  file = `${folder}/blue-${containerID}_net1`
  mkdirSync(folder)
})
afterEach(() => rmSync(top, { recursive: true }))

/** Lines that the call tells the operator. */
function told(path: string | undefined, function_: PciFunction | undefined = pci): string[] {
  const device = { id: 'x', pci: function_, parents: [], netdevs: [] }
  const config = path === undefined ? {} : { deviceInfoFile: path }
  const lines = logged('warning', () =>
    tellDeviceInfo({ containerID }, config, { device, vf: undefined }, folder),
  )
  return lines.map(({ msg }) => String(msg))
}

test('is written whole, for reading only', () => {
  expect(told(file)).toEqual([])
  expect(readFileSync(file, 'utf8')).toBe(text)
  expect(statSync(file).mode & 0o777).toBe(0o444)
  expect(readdirSync(folder)).toHaveLength(1)
})

test('replaces the device plugin’s, and is not touched when it says the same', () => {
  writeFileSync(file, `{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:3b:02.1"}}`, {
    mode: 0o444,
  })
  expect(told(file)).toEqual([])
  expect(readFileSync(file, 'utf8')).toBe(text)
  const { ino } = statSync(file)
  told(file)
  expect(statSync(file).ino).toBe(ino)
})

test('nothing is written without the key, and for a device that is on no PCI bus', () => {
  expect(told(undefined)).toEqual([])
  tellDeviceInfo({ containerID }, { deviceInfoFile: file }, noPci, folder)
  expect(readdirSync(folder)).toEqual([])
})
const noPci = { device: { id: 'netdev:eth0', pci: undefined, parents: [], netdevs: [] }, vf: undefined }

test('another place and another container’s file are named, and not written', () => {
  const outside = `${top}/passwd-${containerID}`
  writeFileSync(outside, 'root')
  symlinkSync(outside, `${folder}/link-${containerID}`)
  const other = `${folder}/blue-another_net1`
  for (const path of [
    outside,
    `${folder}/link-${containerID}`,
    `${folder}/../x-${containerID}`,
    'x',
    '7',
    other,
  ])
    expect(told(path)).toEqual([expect.stringMatching(/^vf-attach: device information ".*": not written: /)])
  expect(readFileSync(outside, 'utf8')).toBe('root')
  expect(lstatSync(`${folder}/link-${containerID}`).isSymbolicLink()).toBe(true)
  expect(existsSync(other)).toBe(false)
})

test('a file that others may have written, or that is no small file, is not read, and written anew', () => {
  writeFileSync(file, '{"type":"pci","pci":{"pci-address":"0000:3b:02.1","vhost-net":"/dev/sda"}}')
  chmodSync(file, 0o666)
  expect(told(file).join()).toContain('not read: others may write it')
  expect(readFileSync(file, 'utf8')).toBe(text)
  rmSync(file)
  execFileSync('mkfifo', [file])
  expect(told(file).join()).toContain('not read: it is a FIFO')
  expect(readFileSync(file, 'utf8')).toBe(text)
  rmSync(file)
  writeFileSync(file, ' '.repeat(17 << 10))
  expect(told(file).join()).toContain('not read: it has 17408 bytes; must have at most 16384')
  expect(readFileSync(file, 'utf8')).toBe(text)
})

test('a folder in its place is named', () => {
  mkdirSync(file)
  expect(told(file).join('\n')).toMatch(/not read: it is a folder[^\n]*\n.*not written: .*EISDIR/)
})

test('a doubt is told', () => {
  writeFileSync(file, '{"type":"pci","pci":{"pci-address":"0000:3b:02.7"}}')
  expect(told(file)).toEqual([
    `vf-attach: device information "${file}": pci-address is "0000:3b:02.7", and the device is "0000:3b:02.1"; it is written anew`,
  ])
})
