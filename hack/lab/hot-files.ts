// The files that nearly every command of a test opens in the virtual machine. Opening a file of the host asks several questions over
// 9p, which cost more than the opening itself: guest.sh copies these files into the guest's memory once. Imports node: modules and
// execa.
import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'

const PROGRAMS = [
  ...[
    'sh',
    'cat',
    'cut',
    'env',
    'find',
    'grep',
    'head',
    'ls',
    'mkdir',
    'mktemp',
    'perl',
    'ping',
    'rm',
    'sed',
    'seq',
  ],
  ...['sha256sum', 'sleep', 'sort', 'tail', 'touch', 'tr', 'wc'],
  ...['bridge', 'devlink', 'ethtool', 'ip', 'nft', 'tc', 'tcpdump'],
]
/** Named for its libraries only: the program itself may be built anew while a machine runs. */
const OURS = fileURLToPath(new URL('../../dist/vf-flower', import.meta.url))
/** Files that those programs read themselves. */
const FOLDERS = ['/etc/iproute2', '/usr/share/iproute2']
const FILES = [
  '/etc/ld.so.cache',
  '/etc/nsswitch.conf',
  '/etc/passwd',
  '/etc/group',
  '/etc/protocols',
  '/etc/services',
]

/** Absolute paths, without links, of the existing programs, the libraries that they are linked with, and their settings. */
export async function hotFiles(): Promise<string[]> {
  const programs = PROGRAMS.flatMap((name) => pathOf(name) ?? [])
  // The exit code is 1 where a program is missing or statically linked.
  const { stdout } = await execa('ldd', [...programs, OURS], { reject: false })
  const libraries = [...stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(/gm)].map(([, path = '']) => path)
  const settings = FOLDERS.filter(existsSync).flatMap((folder) =>
    readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
      entry.isFile() ? [join(folder, entry.name)] : [],
    ),
  )
  const all = [...programs, ...libraries, ...settings, ...FILES]
  return [...new Set(all.filter(existsSync).map((path) => realpathSync(path)))].sort()
}

function pathOf(program: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path))
}
