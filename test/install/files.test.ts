// Installs and uninstalls below a root folder, with real files: everything is where it belongs, comes whole or not at all, and goes
// again without a trace. Upgrades keep two former builds, and files of others are put aside and come back.
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { InstallError } from '../../src/install/errors.ts'
import { placesOf } from '../../src/install/files/layout.ts'
import { manifestFile, readManifest } from '../../src/install/files/manifest.ts'
import { type InstallBed, makeInstallBed, UNIT } from './bed.ts'

const cni = '/opt/cni/bin'
const { libexec } = placesOf(undefined)
let bed: InstallBed
beforeEach(() => {
  bed = makeInstallBed(cni)
})
afterEach(() => bed.end())

const program = (build: string, folder = cni) => `${folder}/vf-flower-${bed.id(build)}`
const inode = (path: string) => statSync(bed.root + path).ino

describe('install', () => {
  test('writes program, shims, names and unit, as regular files in the CNI folder', () => {
    bed.install('a')
    for (const name of ['vf-attach', 'vf-offload'])
      expect(bed.tree()[`opt/cni/bin/${name}`]).toMatch(/^file 755 shim/)
    for (const path of [program('a'), `${cni}/vf-flower`, program('a', libexec)])
      expect(bed.read(path)).toBe(`program ${bed.id('a')}`)
    for (const name of ['vfctl', 'vf-agent', 'vf-device-plugin', 'vf-flower']) {
      expect(readlinkSync(`${bed.root}/usr/local/bin/${name}`)).toBe(
        `../libexec/vf-flower/vf-flower-${bed.id('a')}`,
      )
      expect(bed.read(`/usr/local/bin/${name}`)).toContain('program')
    }
    expect(bed.read('/etc/systemd/system/vf-agent.service')).toBe(UNIT)
  })

  test('gives one file several names where it can', () => {
    bed.install('a')
    expect(new Set([program('a'), `${cni}/vf-flower`, program('a', libexec)].map(inode)).size).toBe(1)
  })

  test('into several CNI folders, and into one of two paths once', () => {
    mkdirSync(`${bed.root}/usr/lib/cni`, { recursive: true })
    symlinkSync('lib', `${bed.root}/usr/lib64`)
    bed.install('a', { binDirs: [cni, '/usr/lib/cni', '/usr/lib64/cni'] })
    expect(bed.read('/usr/lib/cni/vf-attach')).toContain('shim')
    expect(readManifest(bed.root)?.binDirs).toEqual([cni, '/usr/lib/cni'])
  })

  test('a build without shims gives the program the names of the plugins, and brings it back', () => {
    const withoutShim = { hasShim: false }
    bed.install('a', withoutShim)
    expect(bed.read(`${cni}/vf-attach`)).toBe(`program ${bed.id('a')}`)
    bed.install('b')
    expect(bed.read(`${cni}/vf-attach`)).toContain('shim')
  })

  test('a shim of another build is refused', () => {
    expect(() => bed.install('a', { shimOf: 'b' })).toThrow(
      /Cannot install ".*vf-attach": it is not of the build a+/,
    )
  })

  test('changes no file a second time', () => {
    bed.install('a')
    const before = bed.tree()
    const plan = bed.install('a')
    expect(new Set(plan.steps.map(({ does }) => does))).toEqual(new Set(['keep']))
    expect(bed.tree()).toEqual(before)
  })

  test('leaves the plan alone to look at: nothing changes', () => {
    const before = bed.tree()
    expect(bed.plan('a').steps.length).toBeGreaterThan(8)
    expect(bed.tree()).toEqual(before)
  })

  test('clears away what an installer left that was killed', () => {
    bed.write(`${cni}/.vf-attach.123.tmp`, 'half')
    bed.write(`${cni}/.bridge.123.tmp`, "somebody else's")
    bed.install('a')
    expect(readdirSync(bed.root + cni).filter((name) => name.endsWith('.tmp'))).toEqual(['.bridge.123.tmp'])
  })
})

describe('upgrade', () => {
  test('keeps the builds of two upgrades, then they go', () => {
    for (const build of ['a', 'b', 'c']) bed.install(build)
    for (const build of ['a', 'b', 'c']) expect(bed.read(program(build))).toContain(bed.id(build))
    bed.install('d')
    expect(() => bed.read(program('a'))).toThrow('ENOENT')
    expect(() => bed.read(program('a', libexec))).toThrow('ENOENT')
    expect(() => bed.read(`${libexec}/vf-shim-${bed.id('a')}`)).toThrow('ENOENT')
    expect(bed.read(program('b'))).toContain(bed.id('b'))
    expect(bed.read(`${cni}/vf-attach`)).toContain(bed.id('d'))
  })

  test('puts programs there before services, and plugins last', () => {
    bed.install('a')
    let seen: Record<string, string> = {}
    bed.install('b', {}, () => {
      seen = {
        program: bed.read(program('b')),
        agent: bed.read('/usr/local/bin/vf-agent'),
        plugin: bed.read(`${cni}/vf-attach`),
      }
      return {}
    })
    expect(seen).toEqual({
      program: expect.stringContaining(bed.id('b')),
      agent: expect.stringContaining(bed.id('b')),
      plugin: expect.stringContaining(bed.id('a')),
    })
  })

  test('goes on where somebody has removed a file of a build whose time is over', () => {
    for (const build of ['a', 'b', 'c']) bed.install(build)
    rmSync(bed.root + program('a', libexec))
    bed.install('d')
    expect(readManifest(bed.root)?.builds.map(({ version }) => version)).toEqual(['b', 'c', 'd'])
  })

  test('a build that comes back is the newest again', () => {
    for (const build of ['a', 'b', 'a']) bed.install(build)
    expect(readManifest(bed.root)?.builds.map(({ version }) => version)).toEqual(['b', 'a'])
    expect(bed.read(`${cni}/vf-attach`)).toContain(bed.id('a'))
    expect(bed.read(`${cni}/vf-flower`)).toContain(bed.id('a'))
  })

  test('never writes into a file: who has the old one open keeps it', () => {
    bed.install('a')
    linkSync(`${bed.root}${cni}/vf-attach`, `${bed.root}/held`)
    bed.install('b')
    expect(bed.read('/held')).toContain(bed.id('a'))
    rmSync(`${bed.root}/held`)
  })

  test('keeps the CNI folder of an install before, and its aliases', () => {
    mkdirSync(`${bed.root}/usr/lib/cni`, { recursive: true })
    bed.install('a', { binDirs: [cni], aliases: ['portmap'] })
    bed.install('b', { binDirs: ['/usr/lib/cni'] })
    for (const path of [`${cni}/vf-attach`, `${cni}/portmap`, '/usr/lib/cni/vf-attach'])
      expect(bed.read(path)).toContain(bed.id('b'))
    expect(readdirSync(`${bed.root}/usr/lib/cni`)).not.toContain('portmap')
  })
})

describe('a step that fails', () => {
  test('takes everything back, and the install before is as it was', () => {
    bed.install('a')
    const before = bed.tree()
    const events: string[] = []
    const failing = () =>
      bed.install('b', { aliases: ['portmap'] }, () => {
        mkdirSync(`${bed.root}${cni}/portmap/full`, { recursive: true })
        events.push('agent of b')
        const tell = (when: string) =>
          events.push(
            `${when}: agent of ${bed.read('/usr/local/bin/vf-agent').includes(bed.id('a')) ? 'a' : 'b'}`,
          )
        return { first: () => tell('first'), last: () => tell('last') }
      })
    expect(failing).toThrow(/Cannot .*portmap.*everything was taken back/)
    expect(events).toEqual(['agent of b', 'first: agent of b', 'last: agent of a'])
    rmSync(`${bed.root}${cni}/portmap`, { recursive: true })
    expect(bed.tree()).toEqual(before)
  })

  test('because of a file: a file that somebody has made since the plan stays', () => {
    const made = () => {
      bed.write(`${cni}/vf-offload`, 'of somebody')
      return {}
    }
    expect(() => bed.install('a', {}, made)).toThrow(/vf-offload": EEXIST.*everything was taken back/)
    expect(bed.read(`${cni}/vf-offload`)).toBe('of somebody')
    expect(readdirSync(bed.root + cni)).toEqual(['vf-offload'])
  })

  test('in the first install leaves nothing at all', () => {
    const before = bed.tree()
    const fail = () => {
      throw new InstallError('no')
    }
    expect(() => bed.install('a', {}, fail)).toThrow('no; everything was taken back')
    expect(bed.tree()).toEqual(before)
  })
})

describe('files of others', () => {
  test.each(['vf-attach', 'vf-flower', 'portmap'] as const)('%s is put aside and comes back', (name) => {
    bed.write(`${cni}/${name}`, 'of somebody', 0o711)
    const before = bed.tree()
    const born = inode(`${cni}/${name}`)
    const { notes } = bed.install('a', { aliases: ['portmap'] })
    expect(notes.join()).toContain(`${cni}/${name}" is not ours`)
    expect(bed.read(`${cni}/${name}.vf-flower-original`)).toBe('of somebody')
    bed.install('b')
    bed.uninstall()
    expect(bed.tree()).toEqual(before)
    expect(inode(`${cni}/${name}`)).toBe(born)
  })

  test('an alias that somebody has replaced since is theirs', () => {
    bed.write(`${cni}/portmap`, 'old portmap')
    bed.install('a', { aliases: ['portmap'] })
    rmSync(`${bed.root}${cni}/portmap`)
    bed.write(`${cni}/portmap`, 'new portmap')
    expect(bed.install('b').notes.join()).toContain('portmap" was changed by somebody')
    expect(bed.read(`${cni}/portmap`)).toBe('new portmap')
    expect(bed.uninstall().notes.join()).toContain('portmap" was changed by somebody')
    expect(bed.read(`${cni}/portmap`)).toBe('new portmap')
    expect(bed.read(`${cni}/portmap.vf-flower-original`)).toBe('old portmap')
  })

  test('are not lost where there is no room to put them aside', () => {
    bed.write(`${cni}/portmap`, 'one')
    bed.write(`${cni}/portmap.vf-flower-original`, 'two')
    const before = bed.tree()
    expect(() => bed.install('a', { aliases: ['portmap'] })).toThrow(
      'is there already; move one of them away',
    )
    expect(bed.tree()).toEqual(before)
  })

  test('a link out of the root is refused', () => {
    symlinkSync('/tmp', `${bed.root}/usr`)
    expect(() => bed.install('a')).toThrow('a symbolic link leads out of')
  })
})

describe('a network config', () => {
  const config = { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'vf-attach' }] }

  test('is written once, never over another one, and goes again', () => {
    const file = join(bed.root, '..', '20-net.conflist')
    writeFileSync(file, JSON.stringify(config))
    const before = bed.tree()
    bed.install('a', { network: file })
    expect(JSON.parse(bed.read('/etc/cni/net.d/20-net.conflist'))).toEqual(config)
    bed.install('b')
    bed.uninstall()
    expect(bed.tree()).toEqual(before)
    bed.write('/etc/cni/net.d/20-net.conflist', 'theirs')
    expect(() => bed.install('a', { network: file })).toThrow('there is one; remove it')
    expect(bed.read('/etc/cni/net.d/20-net.conflist')).toBe('theirs')
  })

  test('that was changed stays', () => {
    bed.install('a', { network: 'example' })
    bed.write('/etc/cni/net.d/10-vf-flower.conflist', 'changed')
    expect(bed.install('b', { network: 'example' }).notes.join()).toContain('stays as it is')
    bed.uninstall()
    expect(bed.read('/etc/cni/net.d/10-vf-flower.conflist')).toBe('changed')
  })
})

describe('uninstall', () => {
  test('leaves files and folders as they were', () => {
    bed.write('/etc/containerd/config.toml', 'version = 2\n')
    const before = bed.tree()
    for (const build of ['a', 'b', 'c', 'd'])
      bed.install(build, { aliases: ['sriov', 'bandwidth'], network: build === 'a' ? 'example' : undefined })
    bed.uninstall()
    expect(bed.tree()).toEqual(before)
  })

  test('after an install that was cut off at any place', () => {
    bed.write(`${cni}/portmap`, 'of somebody')
    const before = bed.tree()
    bed.install('a')
    const { steps, during } = bed.plan('b', { aliases: ['portmap'] })
    for (let cut = 0; cut < steps.length; cut++) {
      if (cut > 0) bed.install('a')
      const done = bed.tree()
      bed.install('b', { aliases: ['portmap'] })
      // Later steps are set back, as if they had not come.
      for (const { path, does } of steps.slice(cut)) {
        const old = done[path.slice(1)]
        if (does === 'make') rmSync(bed.root + path, { force: true })
        else if (does === 'replace' && old?.startsWith('file')) {
          rmSync(bed.root + path)
          bed.write(path, old.replace(/^file \d+ /, ''), 0o755)
        } else if (does === 'aside') {
          rmSync(bed.root + path)
          rmSync(`${bed.root}${path}.vf-flower-original`)
          bed.write(path, 'of somebody')
        }
      }
      writeFileSync(bed.root + manifestFile, JSON.stringify(during))
      bed.uninstall()
      expect(bed.tree()).toEqual(before)
    }
  })
})
