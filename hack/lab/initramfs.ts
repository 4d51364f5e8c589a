// The initramfs of the virtual machine: busybox, init.sh and the modules that reach the host's files, as an
// uncompressed cpio archive in the cache, named by the hash of its content. Imports node: modules and execa.
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { cacheFolder, type Kernel, madeOnce } from './kernel.ts'

const MODULES = ['9p', '9pnet_virtio', 'overlay']
const BUSYBOX = '/usr/bin/busybox'
const INIT = fileURLToPath(new URL('init.sh', import.meta.url))

/** Path of the archive for `kernel`; makes it when it is not in the cache. Needs busybox-static and xz. */
export async function initramfs(kernel: Kernel): Promise<string> {
  const [busybox, init] = [await readFile(BUSYBOX), await readFile(INIT)]
  const hash = createHash('sha256').update(busybox).update(init).update(MODULES.join()).digest('hex')
  const folder = join(cacheFolder(), `initramfs-${kernel.version}-${hash.slice(0, 16)}`)
  await madeOnce(folder, async (temporary) => {
    const entries: Entry[] = [
      directory('bin'),
      file('bin/busybox', busybox),
      file('init', init),
      directory('modules'),
      directory('dev'),
    ]
    let number = 10
    for (const path of await withDependencies(kernel.modules, MODULES)) {
      entries.push(file(`modules/${number++}.ko`, await uncompressed(join(kernel.modules, path))))
    }
    await writeFile(join(temporary, 'initramfs.cpio'), cpio(entries))
  })
  return join(folder, 'initramfs.cpio')
}

/** The module files below `folder` that `names` need, each after its dependencies, by `modules.dep`. */
async function withDependencies(folder: string, names: readonly string[]): Promise<string[]> {
  const needs = new Map<string, string[]>()
  for (const line of (await readFile(join(folder, 'modules.dep'), 'utf8')).split('\n')) {
    const [path, rest = ''] = line.split(':')
    if (path !== undefined && path !== '') needs.set(path, rest.split(' ').filter(Boolean))
  }
  const ordered: string[] = []
  for (const name of names) {
    const path = [...needs.keys()].find((one) => new RegExp(`/${name}\\.ko(\\.xz)?$`).test(one))
    if (path === undefined) throw new Error(`Cannot find module '${name}' below ${folder}`)
    // modules.dep lists the nearest dependency first.
    for (const one of [path, ...(needs.get(path) ?? [])].reverse()) {
      if (!ordered.includes(one)) ordered.push(one)
    }
  }
  return ordered
}

async function uncompressed(path: string): Promise<Uint8Array> {
  if (!path.endsWith('.xz')) return readFile(path)
  return (await execa('xz', ['-dc', path], { encoding: 'buffer' })).stdout
}

interface Entry {
  readonly name: string
  readonly mode: number
  readonly data: Uint8Array
}

function directory(name: string): Entry {
  return { name, mode: 0o040755, data: new Uint8Array(0) }
}

function file(name: string, data: Uint8Array): Entry {
  return { name, mode: 0o100755, data }
}

// The "newc" layout of Documentation/driver-api/early-userspace/buffer-format.rst: 13 hexadecimal fields after
// the magic, name and data each padded to 4 bytes.
function cpio(entries: readonly Entry[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (const [index, { name, mode, data }] of [
    ...entries,
    { ...file('TRAILER!!!', new Uint8Array(0)) },
  ].entries()) {
    const fields = [index + 1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0]
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`
    parts.push(padded(new TextEncoder().encode(header)), padded(data))
  }
  return Buffer.concat(parts)
}

function padded(data: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(data.length / 4) * 4)
  whole.set(data)
  return whole
}
