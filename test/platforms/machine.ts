// A machine of arm64 with a kernel of its own, under QEMU, for all that qemu-user does not know: calls of both plugins, with traffic. All
// of it is Debian's packages for arm64, unpacked. In: the folder of the programs. Out: the lines of machine-init.sh.
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { execaSync } from 'execa'
import { kernel } from '../../hack/lab/kernel.ts'
import { unpackedPackage } from '../../hack/lab/packages.ts'

const libraries = [
  ...[
    'libc6',
    'libnftables1',
    'libnftnl11',
    'libmnl0',
    'libjansson4',
    'libedit2',
    'libbsd0',
    'libmd0',
    'libtinfo6',
  ],
  ...['libxtables12', 'libgmp10', 'libelf1t64', 'libbpf1', 'libcap2', 'zlib1g', 'libzstd1', 'libselinux1'],
  ...['libpcre2-8-0', 'libtirpc3t64'],
]
const programs = [
  ['iproute2', 'usr/bin/ip'],
  ['iproute2', 'usr/sbin/tc'],
  ['nftables', 'usr/sbin/nft'],
] as const
/** Folders of modules, below kernel/net, that are not wanted: they are most of it. */
const wanted = [
  '802',
  '8021q',
  'bridge',
  'core',
  'ipv4',
  'ipv6',
  'llc',
  'netfilter',
  'netlink',
  'packet',
  'sched',
  'unix',
]
const drivers = ['veth', 'dummy', 'ifb']
/** Milliseconds for all of it on a busy machine. */
const longest = 1_200_000

const folderOf = (name: string) => unpackedPackage(`${name}:arm64`).folder
const copy = (from: string, to: string) => cpSync(from, to, { recursive: true, verbatimSymlinks: true })

/** Boots the machine in the folder `work` with the programs of `dist`, and waits for its end. @throws AptError */
export async function runMachine(dist: string, work: string): Promise<readonly string[]> {
  const release = (await kernel()).release.replace(/-amd64$/, '-arm64')
  const image = folderOf(`linux-image-${release}`)
  const root = join(work, 'root')
  const library = join(root, 'usr/lib/aarch64-linux-gnu')
  for (const one of ['bin', 'sbin', 'proc', 'sys', 'dev', 'run', 'tmp', 'etc', 'var', 'opt/cni/bin'])
    mkdirSync(join(root, one), { recursive: true })
  copyFileSync(join(folderOf('busybox-static'), 'usr/bin/busybox'), join(root, 'bin/busybox'))
  for (const [name, file] of programs)
    copyFileSync(join(folderOf(name), file), join(root, 'sbin', basename(file)))
  for (const name of libraries) copy(join(folderOf(name), 'usr/lib/aarch64-linux-gnu'), library)
  symlinkSync('usr/lib', join(root, 'lib'))
  symlinkSync('aarch64-linux-gnu/ld-linux-aarch64.so.1', join(root, 'usr/lib/ld-linux-aarch64.so.1'))
  // The kernel asks for modules by this name.
  symlinkSync('/bin/busybox', join(root, 'sbin/modprobe'))
  const plugins = join(root, 'opt/cni/bin')
  for (const name of ['vf-flower', 'vf-attach', 'vf-offload', 'vfctl', 'vf-agent', 'vf-device-plugin'])
    copy(join(dist, name), join(plugins, name))
  for (const name of ['bridge', 'host-local'])
    copyFileSync(join(folderOf('containernetworking-plugins'), 'usr/lib/cni', name), join(plugins, name))
  copyModules(join(image, 'usr/lib/modules', release), join(root, 'usr'), release)
  copyFileSync(join(import.meta.dirname, 'machine-init.sh'), join(root, 'init'))
  chmodSync(join(root, 'init'), 0o755)
  const initrd = join(work, 'initrd')
  execaSync('sh', ['-c', `find . | busybox cpio -o -H newc -R 0:0 >'${initrd}'`], { cwd: root })
  rmSync(root, { recursive: true })
  return boot(join(image, 'boot', `vmlinuz-${release}`), initrd, join(work, 'console'))
}

function copyModules(from: string, usr: string, release: string): void {
  const to = join(usr, 'lib/modules', release)
  for (const part of [...wanted.map((one) => `net/${one}`), 'lib', 'crypto'].map((one) => `kernel/${one}`))
    if (existsSync(join(from, part))) copy(join(from, part), join(to, part))
  mkdirSync(join(to, 'kernel/drivers/net'), { recursive: true })
  for (const name of readdirSync(join(from, 'kernel/drivers/net')))
    if (drivers.some((driver) => name.startsWith(`${driver}.ko`)))
      copyFileSync(join(from, 'kernel/drivers/net', name), join(to, 'kernel/drivers/net', name))
  for (const name of ['modules.builtin', 'modules.order', 'modules.builtin.modinfo'])
    copyFileSync(join(from, name), join(to, name))
  // busybox unpacks none.
  execaSync('sh', ['-c', "find . -name '*.ko.xz' | xargs xz -d"], { cwd: to })
  execaSync('depmod', ['-b', usr, release])
}

function boot(image: string, initrd: string, console: string): readonly string[] {
  const qemu = join(unpackedPackage('qemu-system-arm').folder, 'usr/bin/qemu-system-aarch64')
  writeFileSync(console, '')
  const { stderr } = execaSync(
    'setpriv',
    [
      ...[
        '--pdeathsig',
        'KILL',
        qemu,
        '-nodefaults',
        '-no-user-config',
        '-no-reboot',
        '-display',
        'none',
        '-nic',
        'none',
      ],
      // Pointer authentication as the architecture has it takes longer than all the rest.
      ...[
        '-machine',
        'virt',
        '-cpu',
        'max,pauth-impdef=on',
        '-accel',
        'tcg,thread=multi',
        '-smp',
        '2',
        '-m',
        '2048',
      ],
      ...['-kernel', image, '-initrd', initrd, '-serial', `file:${console}`],
      ...['-append', 'console=ttyAMA0 quiet panic=-1 oops=panic mitigations=off nokaslr'],
    ],
    { reject: false, timeout: longest },
  )
  const lines = readFileSync(console, 'utf8').split(/\r?\n/)
  if (lines.includes('end')) return lines
  return [...lines, `not ok the machine: it ended early. ${stderr} ${lines.slice(-20).join('\n')}`]
}
