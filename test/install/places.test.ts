// Installs with the programs of services in a folder that the operator names, without a service, and with labels of files, below a root folder
// with real files.
import { readlinkSync, statSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { placesOf } from '../../src/install/files/layout.ts'
import { namesLink, readManifest } from '../../src/install/files/manifest.ts'
import { Labels } from '../../src/install/labels.ts'
import { type InstallBed, makeInstallBed, UNIT } from './bed.ts'

const cni = '/opt/cni/bin'
const dir = '/var/lib/programs'
const unit = '/etc/systemd/system/vf-agent.service'
const names = ['vfctl', 'vf-agent', 'vf-device-plugin', 'vf-flower']
const { libexec } = placesOf(undefined)
let bed: InstallBed
beforeEach(() => {
  bed = makeInstallBed(cni)
})
afterEach(() => bed.end())
const inode = (path: string) => statSync(bed.root + path).ino

describe('--libexec-dir', () => {
  test('has programs and names, and nothing is in /usr/local', () => {
    const before = bed.tree()
    bed.install('a', { libexecDir: dir })
    for (const name of names) {
      expect(readlinkSync(`${bed.root}${dir}/${name}`)).toBe(`vf-flower-${bed.id('a')}`)
      expect(bed.read(`${dir}/${name}`)).toContain(bed.id('a'))
    }
    expect(Object.keys(bed.tree()).filter((path) => path.startsWith('usr'))).toEqual([])
    expect(bed.read(unit)).toBe(`[Unit]\nExecStart=${dir}/vf-agent\n`)
    bed.uninstall()
    expect(bed.tree()).toEqual(before)
  })

  test('is found by one link, which follows it', () => {
    bed.install('a')
    expect(readlinkSync(bed.root + namesLink)).toBe('/usr/local/bin')
    bed.install('b', { libexecDir: dir })
    expect(readlinkSync(bed.root + namesLink)).toBe(dir)
  })

  test('may not be that link', () => {
    for (const path of [namesLink, `${namesLink}/deeper`])
      expect(() => bed.install('a', { libexecDir: path })).toThrow(
        `Cannot use --libexec-dir "${path}": the installer keeps "${namesLink}" as a link to the folder that is named; must be another one`,
      )
  })

  test('stays for the next install, which finds the shim there', () => {
    bed.install('a', { libexecDir: dir })
    bed.install('b')
    expect(readlinkSync(`${bed.root}${dir}/vfctl`)).toBe(`vf-flower-${bed.id('b')}`)
    expect(readManifest(bed.root)?.libexecDir).toBe(dir)
    expect(Object.keys(bed.tree()).filter((path) => path.startsWith('usr'))).toEqual([])
  })

  test('moves the names, brings back what they had replaced, and leaves one that somebody has changed', () => {
    bed.write('/usr/local/bin/vfctl', 'of somebody')
    const before = bed.tree()
    bed.install('a')
    bed.install('b', { libexecDir: dir })
    expect(bed.read('/usr/local/bin/vfctl')).toBe('of somebody')
    expect(Object.keys(bed.tree()).filter((path) => path.startsWith('usr/local/bin/'))).toEqual([
      'usr/local/bin/vfctl',
    ])
    bed.uninstall()
    expect(bed.tree()).toEqual(before)
  })

  test('may be no CNI folder, by any path', () => {
    for (const path of [cni, '/opt/./cni/bin'])
      expect(() => bed.install('a', { libexecDir: path.replace('/./', '/') })).toThrow(
        `Cannot use --libexec-dir "${cni}": it is a CNI folder; must be another one`,
      )
  })
})

describe('--no-service', () => {
  test('writes no unit', () => {
    bed.install('a', { service: false })
    expect(() => bed.read(unit)).toThrow('ENOENT')
    expect(bed.read(`${cni}/vf-attach`)).toContain('shim')
  })

  test('leaves the unit of an install before, and the name that it executes; uninstall takes both', () => {
    const before = bed.tree()
    bed.install('a')
    bed.install('b', { service: false, libexecDir: dir })
    expect(bed.read(unit)).toBe(UNIT)
    expect(bed.read('/usr/local/bin/vf-agent')).toContain(bed.id('a'))
    bed.uninstall()
    expect(bed.tree()).toEqual(before)
  })
})

describe('labels', () => {
  test('come to folders and files of a part before the next part is written', () => {
    const seen: [path: string, isThere: boolean, plugins: number][] = []
    const plugins = () => Object.keys(bed.tree()).filter((path) => path.endsWith('vf-attach')).length
    bed.install('a', {}, undefined, (paths) =>
      seen.push(
        ...paths.map((path): [string, boolean, number] => [
          path.slice(bed.root.length),
          statSync(path, { throwIfNoEntry: false }) !== undefined,
          plugins(),
        ]),
      ),
    )
    expect(seen.filter(([, isThere]) => !isThere)).toEqual([])
    const place = (path: string) => seen.findIndex(([one]) => one === path)
    expect(place('/usr/local/libexec')).toBeLessThan(place(`${libexec}/vf-flower-${bed.id('a')}`))
    expect(place(libexec)).toBeGreaterThanOrEqual(0)
    const [, , atUnit] = seen[place(unit)] ?? []
    expect(atUnit).toBe(0)
    expect(place(`${cni}/vf-attach`)).toBeGreaterThan(place(unit))
  })

  test('belong to files, so that no two folders share one', () => {
    bed.install('a', {}, undefined, () => undefined)
    const program = `vf-flower-${bed.id('a')}`
    expect(inode(`${cni}/${program}`)).toBe(inode(`${cni}/vf-flower`))
    expect(inode(`${cni}/${program}`)).not.toBe(inode(`${libexec}/${program}`))
  })

  test('that fail are told with the command', () => {
    const notesOf = (...refusals: readonly (string | undefined)[]) => {
      const left = [...refusals]
      const labels = new Labels(() => left.shift())
      labels.give(['/a'])
      labels.give(['/b', '/c'])
      return labels.notes()
    }
    expect(notesOf(undefined, undefined)).toEqual([])
    expect(notesOf('none', 'neither')).toEqual([
      expect.stringMatching(
        /^SELinux is active, and restorecon \(package policycoreutils\) failed: none\. .*"restorecon -v \/a \/b \/c"/,
      ),
    ])
    expect(notesOf(undefined, 'none').join()).toContain('"restorecon -v /b /c"')
  })
})
