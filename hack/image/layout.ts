// An image with one layer as an archive that runtimes import. In: the layer, the image's config. Out: bytes.
// Formats: OCI image specification 1.1 (image-layout.md, index.md, manifest.md, config.md, layer.md); beside it the index of
// `docker save`, for `docker load` before version 25.
import { createHash } from 'node:crypto'
import { type Entry, tar } from './tar.ts'

/** Processors, by their names in Go, Debian and OCI. */
export type Architecture = 'amd64' | 'arm64'

/** The processor of this machine. */
export const ownArchitecture: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'

/** A packed layer. */
export interface Layer {
  readonly compression: 'zstd' | 'gzip'
  /** SHA-256 of the archive before it was packed, in hexadecimal. */
  readonly sum: string
  readonly packed: Uint8Array
}

/** The rest of an image. */
export interface ImageFacts {
  /** Without the tag, such as `localhost/vf-flower`. */
  readonly name: string
  readonly tag: string
  readonly architecture: Architecture
  /** Seconds since 1970. */
  readonly time: number
  readonly entrypoint: readonly string[]
  readonly labels: Readonly<Record<string, string>>
}

const OCI = 'application/vnd.oci.image'

/** The archive. Its bytes depend on nothing else. */
export function imageArchive(layer: Layer, facts: ImageFacts): Uint8Array {
  const created = timeText(facts.time)
  const config = jsonBytes({
    created,
    ...{ architecture: facts.architecture, os: 'linux' },
    config: {
      ...{ Entrypoint: facts.entrypoint, WorkingDir: '/', Labels: facts.labels },
      Env: ['PATH=/opt/vf-flower'],
    },
    rootfs: { type: 'layers', diff_ids: [`sha256:${layer.sum}`] },
    history: [{ created, created_by: 'hack/image' }],
  })
  const manifest = jsonBytes({
    ...{ schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json` },
    config: descriptor(`${OCI}.config.v1+json`, config),
    layers: [descriptor(`${OCI}.layer.v1.tar+${layer.compression}`, layer.packed)],
    annotations: facts.labels,
  })
  const full = `${facts.name}:${facts.tag}`
  const index = {
    ...{ schemaVersion: 2, mediaType: `${OCI}.index.v1+json` },
    manifests: [
      {
        ...descriptor(`${OCI}.manifest.v1+json`, manifest),
        platform: { architecture: facts.architecture, os: 'linux' },
        annotations: { 'io.containerd.image.name': full, 'org.opencontainers.image.ref.name': facts.tag },
      },
    ],
  }
  const blobs: readonly Entry[] = [config, manifest, layer.packed].map((bytes) =>
    file(blobPath(bytes), bytes),
  )
  const forDocker = [{ Config: blobPath(config), RepoTags: [full], Layers: [blobPath(layer.packed)] }]
  return tar(
    [
      ...blobs,
      file('oci-layout', jsonBytes({ imageLayoutVersion: '1.0.0' })),
      file('index.json', jsonBytes(index)),
      file('manifest.json', jsonBytes(forDocker)),
    ],
    facts.time,
  )
}

/** The time in the form of RFC 3339, in UTC. `time`: seconds since 1970. */
export function timeText(time: number): string {
  return new Date(time * 1000).toISOString().replace('.000Z', 'Z')
}

/** The SHA-256 of bytes in hexadecimal. */
export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function descriptor(mediaType: string, bytes: Uint8Array): Record<string, unknown> {
  return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length }
}

function blobPath(bytes: Uint8Array): string {
  return `blobs/sha256/${sha256(bytes)}`
}

function file(path: string, bytes: Uint8Array): Entry {
  return { path, kind: 'file', bytes }
}

function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}
