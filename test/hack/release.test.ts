// The files of a release: a tree that is not clean, and a version without a section in the changelog, are refused with the way out; the
// archive has what the installer wants beside it, the same bytes for the same inputs, and its commands run; two builds are compared.
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execaSync } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ownArchitecture } from '../../hack/image/layout.ts'
import { bundledPackages, bunPackage } from '../../hack/image/npm.ts'
import { ImageError } from '../../hack/image/rootfs.ts'
import { tar } from '../../hack/image/tar.ts'
import { archiveEntries } from '../../hack/release/archive.ts'
import { differences, writeSums } from '../../hack/release/compare.ts'
import { ReleaseError } from '../../hack/release/errors.ts'
import { planRelease, releaseNotes, sectionOf } from '../../hack/release/plan.ts'
import { compilerFor, platforms, platformsOf } from '../../hack/release/platforms.ts'
import { copyTree, treeFacts } from '../../hack/release/tree.ts'
import { executable } from '../support/executable.ts'
import { buildIdOf } from '../support/shim/bed.ts'
import { readSpdx } from '../support/spdx.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))
const lock = readFileSync(`${top}package-lock.json`, 'utf8')
const bytesOf = (name: string) => readFileSync(executable(name))
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'release-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const changelog = `# Changelog

## [Unreleased]

### Added

- What comes next.

## [1.2.0] - 2026-11-29

### Added

- One thing.

## [1.1.0] - 2026-10-01

## [1.0.0]

- The first.

[1.2.0]: https://example.org/1.2.0
`

describe('the plan', () => {
  const clean = { version: '1.2.0', commit: '0123456789abcdef0123', changes: [] }

  test('has the version of package.json and the section of the changelog', () => {
    expect(planRelease(clean, changelog, false)).toEqual({
      version: '1.2.0',
      notes: '### Added\n\n- One thing.\n',
      date: '2026-11-29',
    })
    expect(sectionOf(changelog, '1.0.0')).toBe('- The first.\n')
  })

  test('a tree that is not clean is refused with its files, and can be a snapshot', () => {
    const dirty = { ...clean, changes: ['?? one', ' M two', ...'abcdef'] }
    expect(() => planRelease(dirty, changelog, false)).toThrow(ReleaseError)
    expect(() => planRelease(dirty, changelog, false)).toThrow(
      '8 files are not as in the commit 0123456789ab (?? one,  M two, a, b, c and 3 more). Commit or remove them, or make a snapshot: --snapshot',
    )
    expect(planRelease(dirty, changelog, true)).toEqual({
      version: '1.2.0-snapshot.0123456789ab.dirty',
      notes: '### Added\n\n- What comes next.\n',
    })
    expect(planRelease(clean, '', true).version).toBe('1.2.0-snapshot.0123456789ab')
  })

  test.each([
    ['', '## [1.2.0]'],
    ['soon', '## [1.2.0] - soon'],
    ['2026-02-30', '## [1.2.0] - 2026-02-30'],
  ])('a section with the date "%s" is refused', (date, heading) => {
    const other = changelog.replace('## [1.2.0] - 2026-11-29', heading)
    expect(() => planRelease(clean, other, false)).toThrow(
      `the date of its section in CHANGELOG.md is "${date}"; must be the day of the release`,
    )
  })

  test('its notes are a page of their own: version, date, the commit that has the files named, the section', () => {
    const { version, notes, date = '' } = planRelease(clean, changelog, false)
    expect(releaseNotes({ version, notes, date, commit: clean.commit })).toMatch(
      /^# vf-flower 1\.2\.0 - 2026-11-29\n\n.* commit 0123456789abcdef0123\.\n\n### Added\n\n- One thing\.\n$/,
    )
    expect(releaseNotes({ version, notes, commit: '' })).toMatch(/^# vf-flower 1\.2\.0\n/)
  })

  test.each(['1.1.0', '1.3.0', '1.2.00'])('%s has no section with a text', (version) => {
    expect(() => planRelease({ ...clean, version }, changelog, false)).toThrow(/section|must be like/)
  })

  test('each platform has a name, and a compiler of the machine', () => {
    expect(platforms.map(({ name }) => name)).toEqual([
      ...['linux-amd64', 'linux-amd64-musl', 'linux-arm64', 'linux-arm64-musl'],
    ])
    expect(platformsOf(['linux-arm64']).map(({ folder }) => folder)).toEqual(['arm64'])
    expect(() => platformsOf(['linux-riscv64'])).toThrow(
      '--platform is "linux-riscv64"; must be linux-amd64,',
    )
    expect(compilerFor('arm64', 'amd64')).toBe('aarch64-linux-gnu-gcc')
    expect(compilerFor('amd64', 'arm64')).toBe('x86_64-linux-gnu-gcc')
  })
})

describe('the checkout', () => {
  const git = (cwd: string, ...words: string[]) =>
    execaSync('git', ['-c', 'user.name=one', '-c', 'user.email=one@example.org', ...words], { cwd })

  test('is copied with what git would take, and with a version of its own', () => {
    const from = join(folder, 'checkout')
    mkdirSync(join(from, 'node_modules/one'), { recursive: true })
    const files = { 'package.json': '{"version":"1.2.0"}', '.gitignore': 'node_modules\ndist\n', run: 'old' }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(from, name), text)
    chmodSync(join(from, 'run'), 0o755)
    writeFileSync(join(from, 'node_modules/one/index.js'), 'one')
    git(from, 'init', '-q')
    git(from, 'add', '.')
    const env = { GIT_COMMITTER_DATE: '2026-11-29T00:00:00Z' }
    execaSync('git', ['-c', 'user.name=one', '-c', 'user.email=one@example.org', 'commit', '-qm', 'one'], {
      cwd: from,
      env,
    })
    expect(treeFacts(from)).toMatchObject({ version: '1.2.0', changes: [], time: 1_795_910_400 })
    for (const [name, text] of [
      ['run', 'new'],
      ['ä new', 'x'],
      ['dist', 'y'],
    ] as const)
      writeFileSync(join(from, name), text)
    expect(treeFacts(from).changes).toEqual([' M run', '?? ä new'])
    const to = join(folder, 'other/copy')
    copyTree(from, to, '9.9.9')
    expect(
      execaSync('find', ['.', '-type', 'f', '-printf', '%P %m\n'], { cwd: to }).stdout.split('\n').sort(),
    ).toEqual([
      ...['.gitignore 644', 'node_modules/one/index.js 644', 'package.json 644', 'run 755', 'ä new 644'],
    ])
    expect(readFileSync(join(to, 'run'), 'utf8')).toBe('new')
    expect(JSON.parse(readFileSync(join(to, 'package.json'), 'utf8'))).toEqual({ version: '9.9.9' })
    expect(readFileSync(join(from, 'package.json'), 'utf8')).toContain('1.2.0')
  })
})

describe('the archive', () => {
  const parts = () => ({
    ...({
      name: 'vf-flower-1',
      version: '1.2.0',
      architecture: ownArchitecture,
      libc: 'glibc',
      time: 7,
    } as const),
    ...{ root: top, bun: bunPackage(lock, ownArchitecture), npm: bundledPackages(lock) },
    programs: { program: bytesOf('vf-flower'), shim: bytesOf('vf-attach') },
  })

  test('unpacks to a folder from which the installer runs, the same bytes for the same inputs', () => {
    const { entries, bill } = archiveEntries(parts())
    const bytes = tar(entries, 7)
    expect(Buffer.compare(tar(archiveEntries(parts()).entries, 7), bytes)).toBe(0)
    const target = join(folder, 'unpacked')
    mkdirSync(join(target, 'root/opt/cni/bin'), { recursive: true })
    execaSync('tar', ['-xf', '-', '-C', target], { input: bytes })
    const home = join(target, 'vf-flower-1')
    expect(statSync(join(home, 'vf-flower')).mtimeMs).toBe(7000)
    const words = ['install', '--root', join(target, 'root')]
    const { stdout } = execaSync(join(home, 'vf-flower'), words, { env: {}, extendEnv: false })
    expect(stdout).toContain('opt/cni/bin')
    const installed = (name: string) => readFileSync(join(target, 'root/opt/cni/bin', name))
    expect(installed('vf-offload').equals(bytesOf('vf-offload'))).toBe(true)
    for (const name of ['vfctl', 'vf-agent', 'vf-device-plugin'])
      expect(execaSync(join(home, name), ['--version']).exitCode).toBe(0)
    expect(readFileSync(join(home, 'README.md'), 'utf8')).toMatch(
      new RegExp(
        `^# vf-flower 1\\.2\\.0 for linux/${ownArchitecture} with glibc\n[^]*\\./vf-flower install\n`,
      ),
    )
    expect(readFileSync(join(home, 'LICENSE'), 'utf8')).toContain('Apache License')
    const page = readFileSync(join(home, 'LICENSES.md'), 'utf8')
    expect(page).toContain('JavaScriptCore')
    expect(page).not.toContain('Debian')
    for (const { name, version } of parts().npm)
      expect(statSync(join(home, 'npm', `${name}-${version}`)).isDirectory()).toBe(true)
    const spdx = readSpdx(bill)
    expect(readFileSync(join(home, 'sbom.spdx.json'), 'utf8')).toBe(bill)
    expect(spdx.name).toBe(`vf-flower-1.2.0-linux-${ownArchitecture}`)
    expect(spdx.packages.map(({ name }) => name)).toContain('vf-flower-archive')
  })

  test('programs of two builds are refused', () => {
    const id = buildIdOf(executable('vf-attach'))
    const shim = Buffer.from(
      bytesOf('vf-attach').toString('latin1').replaceAll(id, 'f0'.repeat(16)),
      'latin1',
    )
    const programs = { ...parts().programs, shim }
    expect(() => archiveEntries({ ...parts(), programs })).toThrow(ImageError)
  })
})

test('the program has no path of the folder that it was built in', () => {
  expect(bytesOf('vf-flower').includes(top)).toBe(false)
})

test('two folders are compared byte by byte, and sums are those of sha256sum', () => {
  const [one, other] = [join(folder, 'one'), join(folder, 'other')]
  mkdirSync(join(one, 'below'), { recursive: true })
  writeFileSync(join(one, 'below/a'), 'abc')
  writeFileSync(join(one, 'b'), 'b')
  rmSync(other, { recursive: true, force: true })
  cpSync(one, other, { recursive: true })
  expect(differences(one, other)).toEqual([])
  writeFileSync(join(other, 'below/a'), 'abx')
  rmSync(join(other, 'b'))
  expect(differences(one, other)).toEqual([
    `b is in ${one} alone`,
    'below/a differs from byte 2 on; 3 and 3 bytes',
  ])
  writeSums(one)
  const checked = execaSync('sha256sum', ['-c', 'SHA256SUMS'], { cwd: one })
  expect(checked.stdout).toBe('b: OK\nbelow/a: OK')
})
