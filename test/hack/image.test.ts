// The archive of the container image: the same inputs give the same bytes; times, owners and order depend on nothing else; digests and
// sizes are those of the blobs; names are those that runtimes look for; what the format has no room for is refused.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { ElfError, elfFacts } from '../../hack/image/elf.ts'
import { type ImageFacts, imageArchive, type Layer, sha256 } from '../../hack/image/layout.ts'
import { type Entry, TarError, tar } from '../../hack/image/tar.ts'
import { untar } from '../support/untar.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const file = (path: string, text = path): Entry => ({ path, kind: 'file', bytes: bytes(text) })
const facts: ImageFacts = {
  ...{ name: 'localhost/one', tag: '1.2.3', architecture: 'arm64', time: 0 },
  ...{ entrypoint: ['/opt/one/enter'], labels: { 'org.opencontainers.image.title': 'one' } },
}

describe('tar', () => {
  const entries: readonly Entry[] = [
    { path: 'b/z', kind: 'name', target: 'b/other/program' },
    file('b/other/program'),
    { path: 'a', kind: 'link', target: 'b/other' },
    { path: 'tmp', kind: 'folder', mode: 0o1777 },
    file('ä.txt', ''),
  ]

  test('does not depend on the order of its entries', () => {
    expect(tar(entries, 7)).toEqual(tar([...entries].reverse(), 7))
  })

  test('has folders before files, further names last, one time, and root as owner', () => {
    const unpacked = untar(tar(entries, 7))
    expect(unpacked.map(({ path, type, mode, target }) => [path, type, mode, target])).toEqual([
      ['a', '2', 0o777, 'b/other'],
      ['b/', '5', 0o755, ''],
      ['b/other/', '5', 0o755, ''],
      ['b/other/program', '0', 0o644, ''],
      ['tmp/', '5', 0o1777, ''],
      ['ä.txt', '0', 0o644, ''],
      ['b/z', '1', 0o755, 'b/other/program'],
    ])
    for (const { time, owner } of unpacked) expect([time, owner]).toEqual([7, [0, 0]])
    expect(Buffer.from(unpacked[3]?.bytes ?? []).toString()).toBe('b/other/program')
  })

  test('cuts a long path at a slash', () => {
    const path = `${'x'.repeat(90)}/${'y'.repeat(60)}/${'z'.repeat(99)}`
    expect(untar(tar([file(path)], 0)).at(-1)?.path).toBe(path)
  })

  test.each([
    ['twice', [file('a'), file('a')], 'twice'],
    ['below a file', [file('a'), file('a/b')], '"a" is no folder'],
    ['with a root', [file('/a')], 'plain path'],
    ['a way out', [file('../a')], 'plain path'],
    ['too long', [file('x'.repeat(101))], 'too long'],
    ['a name of nothing', [{ path: 'a', kind: 'name', target: 'b' }], 'no such file'],
    ['a long target', [{ path: 'a', kind: 'link', target: 'x'.repeat(101) }], '100 bytes'],
  ] as const)('refuses %s', (_, wrong, words) => {
    expect(() => tar(wrong, 0)).toThrow(TarError)
    expect(() => tar(wrong, 0)).toThrow(words)
  })
})

describe('the layout', () => {
  const layerOf = (compression: Layer['compression']): Layer => {
    const archive = tar([file('opt/one/enter')], 0)
    return { compression, sum: sha256(archive), packed: gzipSync(archive) }
  }
  const read = (archive: Uint8Array) => {
    const files = new Map(untar(archive).map((one) => [one.path, one.bytes]))
    const json = (path: string) => JSON.parse(Buffer.from(files.get(path) ?? []).toString())
    /** The blob of a descriptor, which must have its size and its digest. */
    const blob = ({ digest, size }: { digest: string; size: number }) => {
      const path = `blobs/${digest.replace(':', '/')}`
      const found = files.get(path) ?? new Uint8Array(0)
      expect(found).toHaveLength(size)
      expect(`sha256:${createHash('sha256').update(found).digest('hex')}`).toBe(digest)
      return path
    }
    return { json, blob }
  }

  test('is the same for the same inputs, and another one for another time', () => {
    expect(imageArchive(layerOf('zstd'), facts)).toEqual(imageArchive(layerOf('zstd'), facts))
    expect(imageArchive(layerOf('zstd'), facts)).not.toEqual(
      imageArchive(layerOf('zstd'), { ...facts, time: 1 }),
    )
  })

  test.each(['zstd', 'gzip'] as const)('leads from the index to the layer: %s', (compression) => {
    const layer = layerOf(compression)
    const { json, blob } = read(imageArchive(layer, facts))
    expect(json('oci-layout')).toEqual({ imageLayoutVersion: '1.0.0' })
    const [entry] = json('index.json').manifests
    expect(entry).toMatchObject({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      platform: { architecture: 'arm64', os: 'linux' },
      annotations: {
        'io.containerd.image.name': 'localhost/one:1.2.3',
        'org.opencontainers.image.ref.name': '1.2.3',
      },
    })
    const manifest = json(blob(entry))
    expect(manifest.layers[0].mediaType).toBe(`application/vnd.oci.image.layer.v1.tar+${compression}`)
    expect(blob(manifest.layers[0])).toBe(`blobs/sha256/${sha256(layer.packed)}`)
    const config = json(blob(manifest.config))
    expect(config).toMatchObject({
      ...{ created: '1970-01-01T00:00:00Z', architecture: 'arm64', os: 'linux' },
      config: { Entrypoint: ['/opt/one/enter'] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${layer.sum}`] },
    })
    expect(json('manifest.json')).toEqual([
      {
        Config: blob(manifest.config),
        RepoTags: ['localhost/one:1.2.3'],
        Layers: [blob(manifest.layers[0])],
      },
    ])
  })
})

describe('programs', () => {
  test('tell which libraries they need', () => {
    const { architecture, interpreter, needed } = elfFacts('node', readFileSync(process.execPath))
    expect(architecture).toBe(process.arch === 'x64' ? 'amd64' : process.arch)
    expect(interpreter).toMatch(/^\/lib(64)?\/ld-linux-/)
    expect(needed).toContain('libc.so.6')
  })

  test('without libraries need none', () => {
    const { interpreter, needed } = elfFacts('busybox', readFileSync('/bin/busybox'))
    expect({ interpreter, needed }).toEqual({ interpreter: undefined, needed: [] })
  })

  test.each([
    ['a script', bytes('#!/bin/sh\nexit 0\n'), 'no little-endian ELF file'],
    ['a part of a file', readFileSync(process.execPath).subarray(0, 100), 'Cannot read "it" as a program'],
    ['nothing', new Uint8Array(0), 'Cannot read "it" as a program'],
  ])('are not %s', (_, data, words) => {
    expect(() => elfFacts('it', data)).toThrow(ElfError)
    expect(() => elfFacts('it', data)).toThrow(words)
  })
})
