// CNI folders from the configs of containerd, CRI-O, k3s and RKE2, in the forms that these have; and from odd configs, which are named or
// read, and never throw anything else.
import { mkdirSync, rmSync, symlinkSync } from 'node:fs'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findFolders } from '../../../src/install/runtimes/find.ts'
import { layoutFor } from '../../../src/install/wanted-layout.ts'
import { type InstallBed, makeInstallBed } from '../bed.ts'

let bed: InstallBed
beforeEach(() => {
  bed = makeInstallBed()
})
afterEach(() => bed.end())

const containerd = '/etc/containerd/config.toml'
const found = () => findFolders(bed.root)
const bins = () => found().binDirs.map(({ path }) => path)
const confs = () => found().confDirs.map(({ path }) => path)

describe('containerd', () => {
  test.each([
    ['1', '[plugins.cri.cni]\nbin_dir = "/one"\nconf_dir = "/conf"'],
    ['2', 'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/one"\nconf_dir = "/conf"'],
    [
      '3',
      "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/one']\nconf_dir = '/conf'",
    ],
    [
      '3, with an empty older key',
      "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dir = ''\nbin_dirs = ['/one']\nconf_dir = '/conf'",
    ],
  ])('format %s', (_, text) => {
    bed.write(containerd, text)
    expect(found()).toEqual({
      binDirs: [{ path: '/one', by: `containerd, ${containerd}` }],
      confDirs: [{ path: '/conf', by: `containerd, ${containerd}` }],
      ...{ problems: [], notes: [] },
    })
  })

  test('several folders', () => {
    bed.write(
      containerd,
      "[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/one', '/two/', '/one']",
    )
    expect(bins()).toEqual(['/one', '/two'])
  })

  test('its defaults, where the config says nothing', () => {
    bed.write(containerd, 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "pause"')
    mkdirSync(`${bed.root}/usr/lib/cni`, { recursive: true })
    expect([bins(), confs()]).toEqual([['/opt/cni/bin'], ['/etc/cni/net.d']])
  })

  test('the last of the imported sections', () => {
    bed.write(
      containerd,
      'version = 2\nimports = ["conf.d/*.toml", "/etc/more-[a-c]?.toml"]\n[plugins.cri.cni]\nbin_dir = "/one"',
    )
    bed.write('/etc/containerd/conf.d/1.toml', '[plugins.cri.cni]\nbin_dir = "/two"')
    bed.write('/etc/containerd/conf.d/2.txt', '[plugins.cri.cni]\nbin_dir = "/text"')
    expect(bins()).toEqual(['/two'])
    bed.write('/etc/more-b1.toml', '[plugins.cri.cni]\nbin_dir = "/three"')
    bed.write('/etc/more-d1.toml', '[plugins.cri.cni]\nbin_dir = "/four"')
    expect(bins()).toEqual(['/three'])
  })

  test('imports that lead in a circle end', () => {
    bed.write(containerd, 'imports = ["/etc/containerd/*.toml"]\n[plugins.cri.cni]\nbin_dir = "/one"')
    expect(bins()).toEqual(['/one'])
  })

  test.each(['cri', 'io.containerd.grpc.v1.cri'])('without its part for Kubernetes: %s', (name) => {
    bed.write(containerd, `disabled_plugins = ["${name}"]`)
    mkdirSync(`${bed.root}/opt/cni/bin`, { recursive: true })
    expect(found().notes.join()).toContain('switched off (disabled_plugins)')
    expect(found().binDirs).toEqual([{ path: '/opt/cni/bin', by: 'it is there' }])
  })
})

describe('others', () => {
  test('CRI-O: later files win, an older key adds its folder', () => {
    bed.write('/etc/crio/crio.conf', '[crio.network]\nplugin_dirs = ["/one", "/two"]\nnetwork_dir = "/conf"')
    expect([bins(), confs()]).toEqual([['/one', '/two'], ['/conf']])
    bed.write(
      '/etc/crio/crio.conf.d/10-more.conf',
      '[crio.network]\nplugin_dirs = ["/three"]\nplugin_dir = "/four"',
    )
    bed.write('/etc/crio/crio.conf.d/05-less.conf', '[crio.network]\nplugin_dirs = ["/five"]')
    expect([bins(), confs()]).toEqual([['/three', '/four'], ['/conf']])
  })

  test('CRI-O: its default', () => {
    bed.write('/etc/crio/crio.conf.d/00-default.conf', '[crio.runtime]\nlog_level = "info"')
    expect(bins()).toEqual(['/opt/cni/bin'])
  })

  test('k3s and RKE2, beside containerd, and two runtimes with one folder', () => {
    bed.write(containerd, '[plugins.cri.cni]\nbin_dir = "/opt/cni/bin"')
    bed.write(
      '/var/lib/rancher/k3s/agent/etc/containerd/config.toml',
      '[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/var/lib/rancher/k3s/data/cni"\nconf_dir = "/var/lib/rancher/k3s/agent/etc/cni/net.d"',
    )
    bed.write('/etc/crio/crio.conf', '')
    expect(bins()).toEqual(['/opt/cni/bin', '/var/lib/rancher/k3s/data/cni'])
    expect(confs()).toEqual(['/etc/cni/net.d', '/var/lib/rancher/k3s/agent/etc/cni/net.d'])
  })

  test('k3s before its first config', () => {
    mkdirSync(`${bed.root}/var/lib/rancher/k3s/data/abc/bin`, { recursive: true })
    symlinkSync('abc', `${bed.root}/var/lib/rancher/k3s/data/current`)
    expect(bins()).toEqual(['/var/lib/rancher/k3s/data/current/bin'])
  })

  test('no config: the usual folders that are there', () => {
    expect(bins()).toEqual([])
    for (const folder of ['/usr/lib/cni', '/opt/cni/bin']) mkdirSync(bed.root + folder, { recursive: true })
    expect(bins()).toEqual(['/opt/cni/bin', '/usr/lib/cni'])
  })
})

describe('a broken config', () => {
  const around = () => ({
    sources: { build: 'x', version: 'x', program: file, shim: file },
    unit: '',
    isEnabled: false,
    found: found(),
    former: undefined,
  })
  const file = { file: '/x', content: { kind: 'file', size: 0, sha256: '', mode: 0o755 } } as const
  const wish = { root: '', aliases: [], network: undefined, libexecDir: undefined, service: true }

  test.each([
    ['[plugins', /Cannot use "\/etc\/containerd\/config.toml": Invalid TOML document/],
    ['plugins = 5', /"plugins" is no table/],
    ['[plugins.cri]\ncni = []', /"cni" is no table/],
    ['[plugins.cri.cni]\nbin_dir = 5', /bin_dir has 5; must be an absolute path/],
    ['[plugins.cri.cni]\nbin_dir = "opt"', /bin_dir has "opt"; must be an absolute path/],
    ['[plugins.cri.cni]\nbin_dir = "/opt/../.."', /must be an absolute path/],
    ['[plugins.cri.cni]\nbin_dirs = "/opt"', /bin_dirs is "\/opt"; must be a list of paths/],
    ['imports = [1]', /imports is \[1\]; must be a list of texts/],
  ])('is named: %j', (text, words) => {
    bed.write(containerd, text)
    bed.write('/etc/crio/crio.conf', '[crio.network]\nplugin_dirs = ["/two"]')
    expect(found().problems.join()).toMatch(words)
    expect(() => layoutFor({ ...wish, root: bed.root, binDirs: [] }, around())).toThrow(words)
    const { layout } = layoutFor({ ...wish, root: bed.root, binDirs: ['/one'] }, around())
    expect(layout.binDirs).toEqual(['/one'])
  })

  test('so is one that is no file', () => {
    mkdirSync(bed.root + containerd, { recursive: true })
    expect(found().problems.join()).toContain('is no regular file')
    rmSync(bed.root + containerd, { recursive: true })
  })
})

describe('odd inputs', () => {
  const value = fc.oneof(
    fc.constantFrom(
      '"/opt/cni/bin"',
      '""',
      '5',
      'true',
      '1979-05-27',
      '[]',
      '{}',
      '["/a", 5]',
      '["/a"]',
      '"\\u0000"',
      'inf',
      '9007199254740993',
    ),
    fc.string().map((text) => JSON.stringify(text)),
  )
  const key = fc.constantFrom(
    'version',
    'imports',
    'disabled_plugins',
    'bin_dir',
    'bin_dirs',
    'conf_dir',
    'cni',
    '__proto__',
    'constructor',
  )
  const head = fc.constantFrom(
    '',
    '[plugins]',
    '[plugins.cri]',
    '[plugins.cri.cni]',
    '[[plugins.cri]]',
    '[plugins."io.containerd.grpc.v1.cri".cni]',
    "[plugins.'io.containerd.cri.v1.runtime'.cni]",
    '[__proto__]',
    '[crio.network]',
  )
  const section = fc
    .tuple(head, fc.array(fc.tuple(key, value), { maxLength: 3 }))
    .map(([top, lines]) => [top, ...lines.map((pair) => pair.join(' = '))].join('\n'))
  const text = fc.oneof(
    fc.array(section, { maxLength: 4 }).map((all) => all.join('\n')),
    fc.string({ unit: 'binary' }),
  )

  test('give folders or a problem, and nothing else', () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        bed.write(containerd, one)
        bed.write('/etc/crio/crio.conf', other)
        const { binDirs, confDirs, problems } = found()
        for (const { path } of [...binDirs, ...confDirs]) expect(path).toMatch(/^\/[^/\0\n]/)
        for (const problem of problems)
          expect(problem).toMatch(/^Cannot use "\/etc\/(containerd|crio)\/.+": ./)
        const isSafe = (path: string) => !path.split('/').includes('..')
        expect(binDirs.every(({ path }) => isSafe(path))).toBe(true)
      }),
      { numRuns: 400 },
    )
  })
})
