// The files of the container image: libraries of libraries, programs of one build and one processor, and a refusal with the reason for
// everything else. Programs here are the smallest ELF files that name what they need.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ElfError } from '../../hack/image/elf.ts'
import type { Architecture } from '../../hack/image/layout.ts'
import { ImageError, type Parts, rootfs } from '../../hack/image/rootfs.ts'
import { tar } from '../../hack/image/tar.ts'
import { smallElf } from '../support/small-elf.ts'
import { readSpdx } from '../support/spdx.ts'

const BUILD = '0123456789abcdef0123456789abcdef'
const LIBRARIES = 'usr/lib/aarch64-linux-gnu'
const LOADER = '/lib/ld-linux-aarch64.so.1'
let root: string

const put = (path: string, bytes: Uint8Array | string) => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), bytes)
}

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'rootfs-'))
  put(`${LIBRARIES}/ld-linux-aarch64.so.1`, smallElf('arm64'))
  symlinkSync('aarch64-linux-gnu/ld-linux-aarch64.so.1', join(root, `usr${LOADER}`))
  put(`${LIBRARIES}/libc.so.6`, smallElf('arm64', { needed: ['ld-linux-aarch64.so.1'] }))
  put(`${LIBRARIES}/libm.so.6`, smallElf('arm64', { needed: ['libc.so.6'] }))
  put(`${LIBRARIES}/libunused.so.1`, smallElf('arm64'))
  put('usr/share/doc/libc6/copyright', 'the licence of the library')
  put('node_modules/one/LICENSE', 'the licence of one')
})
afterAll(() => rmSync(root, { recursive: true }))

const shim = (build = BUILD, architecture: Architecture = 'arm64') =>
  Buffer.concat([smallElf(architecture), Buffer.from(`vf-flower-${build}\0`)])
const program = (needed: readonly string[] = ['libm.so.6'], text = `build ${BUILD}`) =>
  Buffer.concat([smallElf('arm64', { interpreter: LOADER, needed }), Buffer.from(text)])

function parts(programs: Partial<Parts['programs']> = {}): Parts {
  const npm = { version: '1.0.0', licence: 'MIT', sum: 'ab'.repeat(64) }
  return {
    ...{ version: '0.1.0', architecture: 'arm64', time: 0, root },
    licence: Buffer.from('ours'),
    bun: { ...npm, name: 'bun', folder: 'none' },
    npm: [{ ...npm, name: 'one', folder: 'node_modules/one' }],
    debian: [{ name: 'libc6', version: '2', architecture: 'arm64', folder: root }],
    programs: { program: program(), shim: shim(), enter: smallElf('arm64'), ...programs },
  }
}

test('has the libraries of libraries, and no others', () => {
  const paths = rootfs(parts()).entries.map(({ path }) => path)
  expect(paths.filter((path) => path.includes('.so')).sort()).toEqual([
    `${LIBRARIES}/ld-linux-aarch64.so.1`,
    `${LIBRARIES}/libc.so.6`,
    `${LIBRARIES}/libm.so.6`,
    `usr${LOADER}`,
  ])
})

test('is the same for the same inputs, byte for byte', () => {
  const [one, other] = [rootfs(parts()), rootfs(parts())]
  expect(tar(one.entries, 0)).toEqual(tar(other.entries, 0))
  expect(one.bill).toBe(other.bill)
})

test('has each licence, and the bill', () => {
  const { entries, bill } = rootfs(parts())
  const text = (path: string) => {
    const entry = entries.find((one) => one.path === path)
    return entry?.kind === 'file' ? Buffer.from(entry.bytes).toString() : undefined
  }
  expect(text('usr/share/doc/libc6/copyright')).toBe('the licence of the library')
  expect(text('usr/share/doc/vf-flower/npm/one-1.0.0/LICENSE')).toBe('the licence of one')
  expect(text('usr/share/doc/vf-flower/LICENSE')).toBe('ours')
  expect(text('usr/share/doc/vf-flower/sbom.spdx.json')).toBe(bill)
  expect(readSpdx(bill).files.map(({ fileName }) => fileName)).toContain('./opt/vf-flower/vf-flower')
})

test('has one file for both names of the small program', () => {
  expect(rootfs(parts()).entries).toContainEqual({
    ...{ path: 'opt/vf-flower/vf-offload', kind: 'name', target: 'opt/vf-flower/vf-attach' },
  })
})

test.each([
  ['a library that the package lacks', { program: program(['libgone.so.1']) }, '/libgone.so.1", which opt/'],
  ['a shim of another build', { shim: shim('f'.repeat(32)) }, `of the build ${'f'.repeat(32)}`],
  ['a link to the program in the place of the shim', { shim: program() }, 'install a C compiler'],
  ['a program for another processor', { enter: smallElf('amd64') }, 'the enter: it is for amd64, not arm64'],
])('refuses %s', (_, programs, words) => {
  expect(() => rootfs(parts(programs))).toThrow(ImageError)
  expect(() => rootfs(parts(programs))).toThrow(words)
})

test('refuses a program that is no program', () => {
  expect(() => rootfs(parts({ enter: Buffer.from('#!/bin/sh') }))).toThrow(ElfError)
})
