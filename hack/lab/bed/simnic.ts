// The simulated NIC in the lab's guest. In: a Lab. Out: cards, with the two ends of each wire for buildTopology(); the modes, knobs
// and hardware table of a card. The module is built on the host when its sources have changed.
import { execa } from 'execa'
import { kernelHeaders } from '../kernel.ts'
import type { ExecOptions, Lab } from '../lab.ts'
import type { WireEnds } from './topology.ts'

/** Parameters of the module; an absent one has the module's default. */
export interface SimnicOptions {
  /** Number of cards, 1-8, default 1. */
  readonly cards?: number
  /** 0-255 per card, default 8. */
  readonly totalVfs?: number
  /** Ports with a cable per card, 1 or 2, default 1. The second has the netdevs `simpf0p1` and `simwire0p1`. */
  readonly ports?: number
  /** The driver's name in `ethtool -i` and sysfs, default `simnic`. */
  readonly driverName?: string
  readonly profile?: 'full' | 'mlx5' | 'ice' | 'nfp' | 'sfc' | 'bnxt'
}

/** One card. Netdev names are those without udev: `simpf0`, `simwire0`, `simpf0vf3`, `simpf0rep3`. */
export interface Card extends WireEnds {
  /** e.g. `0051:00:00.0`. */
  readonly pci: string
  /** e.g. `pci/0051:00:00.0`. */
  readonly devlink: string
  /** Folder of its knobs. */
  readonly debugfs: string
}

export type EswitchMode = 'legacy' | 'switchdev'

/** Path of the module for the kernel of the lab, built when needed (under a minute). */
export async function simnicModule(lab: Lab): Promise<string> {
  const { stdout } = await execa('sh', ['hack/simnic/build.sh', await kernelHeaders(lab.kernel)])
  return stdout.trim()
}

/** Loads the module, with VFs off and in legacy mode. First removes the leftovers of a failed test. */
export async function loadSimnic(lab: Lab, options: SimnicOptions = {}): Promise<Card[]> {
  const { cards = 1, totalVfs = 8, ports = 1, driverName, profile } = options
  const parameters = [
    `num_pfs=${cards}`,
    `total_vfs=${totalVfs}`,
    `ports=${ports}`,
    ...(driverName === undefined ? [] : [`driver_name=${driverName}`]),
    ...(profile === undefined ? [] : [`profile=${profile}`]),
  ]
  const out = await lab.must(`
    modprobe sch_ingress; modprobe cls_flower; modprobe 8021q
    mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
    if [ -e /sys/module/simnic ]; then echo 'simnic was left loaded' >&2; rmmod simnic || exit; fi
    insmod '${await simnicModule(lab)}' ${parameters.join(' ')} || exit
    for card in $(seq 0 ${cards - 1}); do basename "$(readlink /sys/class/net/simpf$card/device)"; done`)
  return out
    .trim()
    .split('\n')
    .map((pci, index) => ({
      pf: `simpf${index}`,
      wire: `simwire${index}`,
      pci,
      devlink: `pci/${pci}`,
      debugfs: `/sys/kernel/debug/simnic/${pci}`,
    }))
}

/** Removes the module with all its devices; does nothing when it is not loaded. */
export async function unloadSimnic(lab: Lab): Promise<void> {
  await lab.must('[ ! -e /sys/module/simnic ] || rmmod simnic')
}

/** Changes the eswitch mode. */
export async function setMode(lab: Lab, card: Card, mode: EswitchMode): Promise<void> {
  await lab.must(`devlink dev eswitch set ${card.devlink} mode ${mode}`)
}

/**
 * Tells the PF the MAC of each VF that has an interface on the host, as an operator does so that the NIC can translate addresses: the
 * PF knows no MAC by itself.
 */
export async function setVfMacs(lab: Lab, card: Card): Promise<void> {
  await lab.must(`set -e
    for path in /sys/class/net/${card.pf}/device/virtfn*/net/*; do
      [ -e "$path" ] || continue
      vf=\${path#*virtfn}
      ip link set ${card.pf} vf "\${vf%%/*}" mac "$(cat "$path/address")"
    done`)
}

/** Writes `sriov_numvfs`, by way of 0, because the kernel changes no other number directly. */
export async function setVfs(lab: Lab, card: Card, count: number): Promise<void> {
  await lab.must(`cd /sys/class/net/${card.pf}/device; echo 0 >sriov_numvfs; echo ${count} >sriov_numvfs`)
}

/**
 * Puts the card in switchdev mode with one VF, and the PF in a new bridge `bridge` with the address 10.1.0.1/24. Returns the VF's
 * PCI address.
 */
export async function bridgedVf(lab: Lab, card: Card, bridge: string): Promise<string> {
  await setVfs(lab, card, 1)
  await setMode(lab, card, 'switchdev')
  const vf = await lab.must(`set -e
    ip link add ${bridge} up type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    ip link set ${card.pf} master ${bridge} up
    ip link set ${card.pf}rep0 up
    ip address add 10.1.0.1/24 dev ${bridge}
    basename $(readlink /sys/class/net/${card.pf}/device/virtfn0)`)
  return vf.trim()
}

/** Writes a knob: a file of the card's debugfs folder, e.g. `max_rules` or `profile`, or a switch like `no_eswitch` with 0 or 1 (see hack/simnic/README.md). */
export async function knob(lab: Lab, card: Card, name: string, value: string | number): Promise<void> {
  await lab.must(`echo '${value}' >${card.debugfs}/${name}`)
}

/** A filter of the hardware table. */
export interface HardwareRule {
  /** `uplink`, or `vf3` for the ingress of its representor. */
  readonly ingress: string
  readonly prio: number
  /** Match and actions in the dump's words. */
  readonly text: string
  readonly packets: number
  /** Whole frames, without the check sequence. */
  readonly bytes: number
  /** Packets that a policer dropped; a part of `packets`. */
  readonly drops: number
}

/** The hardware table, by ingress and priority. */
export async function hardwareRules(lab: Lab, card: Card): Promise<HardwareRule[]> {
  const dump = await lab.must(`cat ${card.debugfs}/rules`)
  return dump.split('\n').flatMap((line) => {
    const match = /^in (\S+) prio (\d+) (.*) \| packets (\d+) bytes (\d+) drops (\d+)$/.exec(line)
    if (match === null) return []
    const [, ingress = '', prio, text = '', ...counts] = match
    const [packets = 0, bytes = 0, drops = 0] = counts.map(Number)
    return [{ ingress, prio: Number(prio), text, packets, bytes, drops }]
  })
}

/** Counters of the card's ports, e.g. `counters.vf0.tx_spoof_mac`. */
export async function cardCounters(
  lab: Lab,
  card: Card,
): Promise<Record<string, Record<string, number> | undefined>> {
  const dump = await lab.must(`cat ${card.debugfs}/stats`)
  const ports = dump.split('\n').flatMap((line) => {
    const [port = '', ...words] = line.split(' ')
    if (port === '' || port === 'rules') return []
    const pairs = words.flatMap((word, at) => (at % 2 === 0 ? [[word, Number(words[at + 1])] as const] : []))
    return [[port, Object.fromEntries(pairs)] as const]
  })
  return Object.fromEntries(ports)
}

/** Runs a script that must fail; returns its error output without the program's own prefixes. */
export async function refusal(lab: Lab, script: string, options?: ExecOptions): Promise<string> {
  const { code, stderr } = await lab.sh(script, options)
  if (code === 0) throw new Error(`No refusal of: ${script}`)
  return stderr.replace(/^We have an error talking to the kernel\n?/m, '').trim()
}

/** Collects kernel messages that mean trouble, from now on; call the result at the end. */
export async function watchKernelLog(lab: Lab): Promise<() => Promise<string[]>> {
  const lines = async () => (await lab.must('dmesg')).split('\n')
  const before = (await lines()).length
  return async () => {
    const trouble =
      /WARNING|BUG|Oops|Call Trace|refcount|unregister_netdevice: waiting|leak|stall|hung task|general protection|truncated/i
    return (await lines()).slice(before - 1).filter((line) => trouble.test(line))
  }
}
