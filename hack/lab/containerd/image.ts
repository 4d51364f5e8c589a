// An image without a registry: Debian's static busybox in one layer, as an archive that `ctr images import` reads. In: the program, names.
// Out: the bytes of the archive. The layout is that of `docker save`: https://github.com/moby/docker-image-spec.
import { createHash } from 'node:crypto'

/** Applets of busybox that pods use. */
const APPLETS = ['sh', 'httpd', 'sleep', 'hostname', 'cat', 'wget', 'ip'] as const
const BLOCK = 512

/** An entry of a tar archive: a file with its bytes, a link with its target, or a folder. */
interface Entry {
  readonly path: string
  readonly mode?: number
  readonly bytes?: Uint8Array
  readonly link?: string
}

/**
 * The archive of an image of `busybox`, under each of `names`. A container of it runs `command`, unless it is told otherwise.
 * `architecture` is a name of Go, such as amd64.
 */
export function imageArchive(
  busybox: Uint8Array,
  architecture: string,
  names: readonly string[],
  command: readonly string[],
): Uint8Array {
  const layer = tar([
    ...['bin', 'etc', 'tmp', 'www', 'www/cgi-bin', 'proc', 'sys', 'dev', 'run', 'root'].map((path) => ({
      path,
    })),
    { path: 'bin/busybox', mode: 0o755, bytes: busybox },
    ...APPLETS.map((applet) => ({ path: `bin/${applet}`, link: 'busybox' })),
    { path: 'etc/passwd', bytes: text('root:x:0:0:root:/root:/bin/sh\n') },
    // A request tells which pod answers, and which address it sees.
    { path: 'www/cgi-bin/who', mode: 0o755, bytes: text(WHO) },
    { path: 'www/cgi-bin/self', mode: 0o755, bytes: text(SELF) },
  ])
  const config = text(
    JSON.stringify({
      ...{ architecture, os: 'linux' },
      config: { Cmd: command, Env: ['PATH=/bin'] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
    }),
  )
  const configName = `${sha256(config)}.json`
  const manifest = [{ Config: configName, RepoTags: names, Layers: ['layer.tar'] }]
  return tar([
    { path: configName, bytes: config },
    { path: 'layer.tar', bytes: layer },
    { path: 'manifest.json', bytes: text(JSON.stringify(manifest)) },
  ])
}

const WHO = '#!/bin/sh\necho Content-Type: text/plain\necho\necho "$(hostname) to $REMOTE_ADDR"\n'
const SELF = '#!/bin/sh\necho Content-Type: application/octet-stream\necho\ncat /bin/busybox\n'

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** POSIX.1-1988 (ustar): a header of 512 bytes an entry, bytes padded to 512, two empty blocks at the end. */
function tar(entries: readonly Entry[]): Uint8Array {
  const pieces = entries.flatMap((entry) => {
    const { bytes = new Uint8Array(0) } = entry
    const padding = new Uint8Array((BLOCK - (bytes.length % BLOCK)) % BLOCK)
    return [header(entry, bytes.length), bytes, padding]
  })
  return Buffer.concat([...pieces, new Uint8Array(2 * BLOCK)])
}

function header({ path, mode, bytes, link }: Entry, size: number): Uint8Array {
  const block = Buffer.alloc(BLOCK)
  const put = (at: number, value: string) => block.write(value, at, 'latin1')
  const octal = (at: number, length: number, value: number) =>
    put(at, `${value.toString(8).padStart(length - 1, '0')}\0`)
  const isFolder = bytes === undefined && link === undefined
  put(0, isFolder ? `${path}/` : path)
  octal(100, 8, mode ?? (isFolder ? 0o755 : 0o644))
  octal(108, 8, 0)
  octal(116, 8, 0)
  octal(124, 12, size)
  octal(136, 12, 0)
  put(156, isFolder ? '5' : link === undefined ? '0' : '2')
  put(157, link ?? '')
  put(257, 'ustar\x0000')
  // The sum counts its own field as spaces.
  put(148, '        ')
  octal(
    148,
    7,
    block.reduce((sum, byte) => sum + byte, 0),
  )
  return block
}
