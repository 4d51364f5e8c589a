// A VF that a user space driver holds: on simnic with uio_pci_generic, and on igb with vfio-pci in a machine of its own, which
// has an IOMMU. Out: the VF, its drivers, and a program that has it open.

import { json } from '../../hack/lab/bed/plugins.ts'
import { type Card, loadSimnic, setVfs, unloadSimnic } from '../../hack/lab/bed/simnic.ts'
import { startedWhen } from '../../hack/lab/bed/traffic.ts'
import { bootLab, type Lab, type LabProcess } from '../../hack/lab/lab.ts'
import { lab as sharedLab } from './lab.ts'
import { makeVfs } from './vfs.ts'

/** A PF and its first VF. */
export interface Nic {
  readonly lab: Lab
  readonly pf: string
  /** VF 0. */
  readonly vf: string
  /** Its driver in the kernel. */
  readonly kernel: string
  /** The driver that hands it to user space. */
  readonly user: string
  /** The simulated card; undefined on igb. */
  readonly card?: Card
  readonly remove: () => Promise<unknown>
}

/** simnic, with `uio_pci_generic`, in the shared machine. */
export async function simulated(): Promise<Nic> {
  const lab = await sharedLab()
  const [card] = (await loadSimnic(lab, { totalVfs: 1 })) as [Card]
  await setVfs(lab, card, 1)
  // IPv6 is off: its addresses would come some time after the first snapshot of the host.
  await lab.must(`for name in ${card.wire} ${card.pf}; do
      echo 1 >/proc/sys/net/ipv6/conf/$name/disable_ipv6; ip link set $name up
    done`)
  const vf = `${card.pci.slice(0, -1)}1`
  const drivers = { kernel: 'simnic', user: 'uio_pci_generic' }
  return { lab, card, pf: card.pf, vf, ...drivers, remove: () => unloadSimnic(lab) }
}

/** igb with `vfs` VFs, with `vfio-pci`, in a machine of its own. */
export async function emulated(vfs = 1): Promise<Nic> {
  const lab = await bootLab({ iommu: true, memory: 1536, processors: 1 })
  const topology = await makeVfs(lab, vfs)
  const vf = topology.vfs[0]?.pci ?? ''
  return { lab, pf: topology.pf, vf, kernel: 'igbvf', user: 'vfio-pci', remove: () => lab.close() }
}

/** Gives a VF, by default the NIC's first, to a driver. With the kernel's driver its network interface appears. */
export async function bindTo({ lab, kernel, vf }: Nic, driver: string, pci = vf): Promise<void> {
  await lab.must(
    `cd /sys/bus/pci/devices/$VF
    if [ $DRIVER = ${kernel} ]; then echo >driver_override; else echo $DRIVER >driver_override; fi
    [ ! -e driver ] || echo $VF >driver/unbind
    echo $VF >/sys/bus/pci/drivers_probe
    [ "$(basename "$(readlink driver)")" = $DRIVER ] || { echo "no $DRIVER on $VF" >&2; exit 1; }
    tries=0
    while [ $DRIVER = ${kernel} ] && ! ls net/* >/dev/null 2>&1; do
      tries=$((tries + 1)); [ $tries -lt 600 ] || exit 1; sleep 0.05
    done`,
    { env: { VF: pci, DRIVER: driver } },
  )
}

/** The attributes that the PF holds for VF `index`, as `ip -d -j link show PF` has it. */
export async function vfInfo({ lab, pf }: Nic, index = 0): Promise<Record<string, unknown>> {
  const [link] = await json(lab, `ip -d -j link show dev ${pf}`)
  const list = (link?.vfinfo_list ?? []) as Record<string, unknown>[]
  return list.find(({ vf }) => vf === index) ?? {}
}

/**
 * The file that a program has open: the device, by way of its group; the group alone, with which it can open the device at any time;
 * `/dev/uioN`; or a BAR of the function, which it has in its memory only.
 */
export type Opened = 'device' | 'group' | 'uio' | 'bar'

// VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU (type 1), VFIO_GROUP_GET_DEVICE_FD of linux/vfio.h; mmap(2), to read and write, shared.
const OPEN = `
my ($vf, $what) = @ARGV;
my $folder = "/sys/bus/pci/devices/$vf";
sub opened { open(my $file, '+<', $_[0]) or die "$_[0]: $!\\n"; $file }
my ($group) = (readlink("$folder/iommu_group") // '') =~ m{([^/]+)$};
my ($uio) = map { m{([^/]+)$} } glob("$folder/uio/*");
my @files = ($what eq 'uio' ? opened("/dev/$uio") : $what eq 'bar' ? opened("$folder/resource0") : opened("/dev/vfio/$group"));
if ($what eq 'device') {
  my $container = opened('/dev/vfio/vfio');
  ioctl($files[0], 0x3b68, pack('i', fileno $container)) or die "container: $!\\n";
  ioctl($container, 0x3b66, 1) or die "IOMMU: $!\\n";
  ioctl($files[0], 0x3b6a, my $name = "$vf\\0") or die "device: $!\\n";
  push @files, $container;
}
if ($what eq 'bar') {
  syscall(9, 0, 4096, 3, 1, fileno $files[0], 0) > 0 or die "mmap: $!\n";
  @files = ();
}
$| = 1; print "open\\n"; sleep;`

/** A program in `pod` that opens the VF and keeps it open until it is closed. */
export async function openedBy(
  { lab, vf }: Nic,
  what: Opened,
  { pod, pci = vf }: { readonly pod?: string; readonly pci?: string } = {},
): Promise<{ readonly pid: number; close(): Promise<void> }> {
  const inPod = pod === undefined ? [] : ['ip', 'netns', 'exec', pod]
  const argv = [...inPod, 'perl', '-e', OPEN, pci, what]
  const program: LabProcess = await startedWhen(lab, argv, (one) => one.stdout().includes('open'))
  return {
    pid: program.pid,
    close: async () => {
      program.kill('SIGKILL')
      await program.wait()
    },
  }
}
