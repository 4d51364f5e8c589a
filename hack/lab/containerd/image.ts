// An image without a registry: Debian's static busybox in one layer, as an archive that `ctr images import` reads. In: the program, names.
// Out: the bytes of the archive. The layout is that of `docker save`: https://github.com/moby/docker-image-spec.
import { sha256 } from '../../image/layout.ts'
import { tar } from '../../image/tar.ts'

/** Applets of busybox that pods use. */
const APPLETS = ['sh', 'httpd', 'sleep', 'hostname', 'cat', 'wget', 'ip'] as const

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
  const layer = tar(
    [
      ...['tmp', 'proc', 'sys', 'dev', 'run', 'root'].map((path) => ({ path, kind: 'folder' }) as const),
      file('bin/busybox', busybox, 0o755),
      ...APPLETS.map((applet) => ({ path: `bin/${applet}`, kind: 'link', target: 'busybox' }) as const),
      file('etc/passwd', text('root:x:0:0:root:/root:/bin/sh\n')),
      // A request tells which pod answers, and which address it sees.
      file('www/cgi-bin/who', text(WHO), 0o755),
      file('www/cgi-bin/self', text(SELF), 0o755),
    ],
    0,
  )
  const config = text(
    JSON.stringify({
      ...{ architecture, os: 'linux' },
      config: { Cmd: command, Env: ['PATH=/bin'] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
    }),
  )
  const configName = `${sha256(config)}.json`
  const manifest = [{ Config: configName, RepoTags: names, Layers: ['layer.tar'] }]
  return tar(
    [
      file(configName, config),
      file('layer.tar', layer),
      file('manifest.json', text(JSON.stringify(manifest))),
    ],
    0,
  )
}

const WHO = '#!/bin/sh\necho Content-Type: text/plain\necho\necho "$(hostname) to $REMOTE_ADDR"\n'
const SELF = '#!/bin/sh\necho Content-Type: application/octet-stream\necho\ncat /bin/busybox\n'

function file(path: string, bytes: Uint8Array, mode = 0o644) {
  return { path, kind: 'file', bytes, mode } as const
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}
