// A snapshot of a host stays the same under traffic, and shows every setting that a plugin or a pod could change.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { diffSnapshot, parseSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import {
  buildTopology,
  deletePod,
  loadIgb,
  newPod,
  type Topology,
  tearDown,
} from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'

const STATE = '/var/lib/cni/state'

let vm: Lab
let net: Topology
/** The host without the topology, and with it: what every change is compared with, and comes back to. */
let bare: Snapshot
let clean: Snapshot

beforeAll(async () => {
  vm = await lab()
  const ends = await loadIgb(vm)
  bare = await snapshot(vm)
  net = await buildTopology(vm, ends, 2)
  await newPod(vm, 'snap')
  await vm.writeFile(`${STATE}/one`, 'first', 0o600)
  await vm.must(`head -c 100000 /dev/zero >${STATE}/large; ln -s here ${STATE}/link`)
  clean = await snapshot(vm)
})
afterAll(() => tearDown(vm, net))

/** The lines that `change` makes; `undo` has to take all of them back. */
async function seen(change: string, undo: string): Promise<string[]> {
  await vm.must(change)
  const lines = diffSnapshot(clean, await snapshot(vm))
  await vm.must(undo)
  expect(diffSnapshot(clean, await snapshot(vm))).toEqual([])
  return lines
}

/** All settings of interfaces, of which a snapshot has to say the same as the files. */
async function settingsAsFiles(): Promise<Snapshot> {
  const folders = '/proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf'
  const files = parseSnapshot(`== sysctl\n${await vm.must(`grep -rs . ${folders} | sed 's/:/\\t/'`)}`)
  const facts = [...(await snapshot(vm))].filter(([name]) => /^sysctl .*\/conf\//.test(name))
  expect(diffSnapshot(files, new Map(facts))).toEqual([])
  expect(files.size).toBeGreaterThan(500)
  return files
}

// The shell would read such a file byte by byte, of which only the first is given.
const CHANGE_ALL = `perl -e '
  sub text { open my $file, "<", $_[0]; scalar <$file> }
  for my $path (glob "/proc/sys/net/ipv[46]/conf/probe/*") {
    my $was = text($path);
    for my $value ("1", "0", "2", "1400", "fd00::1") {
      open my $file, ">", $path;
      syswrite $file, $value and text($path) ne $was and last;
    }
  }'`

describe('a snapshot', () => {
  test('stays the same while nothing but traffic happens', async () => {
    await vm.must(
      'ip netns exec client-b ping -q -c 3 -i 0.2 10.1.0.1; ip netns exec client-a ping -q -c 1 fd00:1::1',
    )
    expect(diffSnapshot(clean, await snapshot(vm))).toEqual([])
    expect(clean.get(`link ${net.pf}.address`)).toBe(`"${net.pfMac}"`)
    expect(clean.size).toBeGreaterThan(500)
  })

  test('shows an alternative name, MTU and flags of a VF, and what the PF holds for it', async () => {
    const [dev, pf] = [net.vfs[1]?.netdev, net.pf]
    const lines = await seen(
      `ip link property add dev ${dev} altname other; ip link set ${dev} mtu 1400 allmulticast on
       ip link set ${pf} vf 1 vlan 100 qos 3 spoofchk off trust on max_tx_rate 100`,
      `ip link property del dev ${dev} altname other; ip link set ${dev} mtu 1500 allmulticast off
       ip link set ${pf} vf 1 vlan 0 spoofchk on trust off max_tx_rate 0`,
    )
    expect(lines.filter((line) => line.startsWith(`link ${dev}.flags: `))).toHaveLength(1)
    const at = `link ${pf}.vfinfo_list.1`
    for (const line of [
      `only after: link ${dev}.altnames: ["other"]`,
      `link ${dev}.mtu: 1500 -> 1400`,
      `${at}.rate.max_tx: 0 -> 100`,
      `${at}.spoofchk: true -> false`,
      `${at}.trust: false -> true`,
      `only after: ${at}.vlan_list.0.qos: 3`,
      `only after: ${at}.vlan_list.0.vlan: 100`,
    ]) {
      expect(lines).toContain(line)
    }
  })

  test('shows filters, nftables, addresses, routes, rules, sysctls and namespaces', async () => {
    const lines = await seen(
      `tc qdisc add dev ${net.pf} clsact
       tc filter add dev ${net.pf} ingress protocol ip prio 10 flower ip_proto tcp dst_ip 10.1.0.1 dst_port 8080 action drop
       nft add table ip probe
       ip address add 10.9.0.1/24 dev ${net.pf}
       ip rule add from 10.9.0.1 table 100
       ip route add 10.8.0.0/24 dev ${net.pf} table 100
       echo 1 >/proc/sys/net/ipv4/conf/${net.pf}/route_localnet
       ip netns add probe`,
      `tc qdisc del dev ${net.pf} clsact; nft delete table ip probe; ip address del 10.9.0.1/24 dev ${net.pf}
       ip rule del from 10.9.0.1 table 100; ip route flush table 100; ip netns del probe
       echo 0 >/proc/sys/net/ipv4/conf/${net.pf}/route_localnet`,
    )
    const all = lines.join('\n')
    expect(all).toMatch(/only after: qdisc .*clsact/)
    expect(all).toMatch(/only after: filter \S+ ingress .*"dst_port":8080/)
    expect(all).toMatch(/only after: action gact .*drop/)
    expect(all).toMatch(/only after: nft .*"probe"/)
    expect(all).toMatch(/only after: address .*"10\.9\.0\.1"/)
    expect(all).toMatch(/only after: rule v4 .*"10\.9\.0\.1"/)
    expect(all).toMatch(/only after: route .*"10\.8\.0\.0\/24"/)
    expect(all).toMatch(/sysctl .*route_localnet: 0 -> 1/)
    expect(all).toMatch(/only after: namespace probe/)
  })

  test('shows settings of IPv4 and IPv6, those of all and of new interfaces too', async () => {
    const files = ['ipv4', 'ipv6'].flatMap((family) =>
      [net.pf, 'all', 'default'].map(
        (link) => `${family}/conf/${link}/${family === 'ipv4' ? 'arp' : 'ndisc'}_notify`,
      ),
    )
    const write = (value: number) =>
      `cd /proc/sys/net; for file in ${files.join(' ')}; do echo ${value} >$file; done`
    // A setting that nobody has set on an interface follows the IPv4 default.
    expect(await seen(write(1), write(0))).toEqual(
      expect.arrayContaining(files.map((file) => `sysctl /proc/sys/net/${file}: 0 -> 1`)),
    )
  })

  test('shows every setting of an interface as its file does, whatever it is', async () => {
    await vm.must('[ ! -e /sys/class/net/probe ] || ip link delete probe; ip link add probe type dummy')
    const before = await settingsAsFiles()
    await vm.must(CHANGE_ALL)
    const after = await settingsAsFiles()
    const same = [...after].filter(([name, value]) => name.includes('/probe/') && before.get(name) === value)
    // Made by a daemon that routes multicast.
    expect(same.map(([name]) => name)).toEqual([
      'sysctl /proc/sys/net/ipv4/conf/probe/mc_forwarding',
      'sysctl /proc/sys/net/ipv6/conf/probe/mc_forwarding',
    ])
    expect(after.has('sysctl /proc/sys/net/ipv6/conf/probe/stable_secret')).toBe(true)
    await vm.must('ip link delete probe')
  })

  test('shows files by mode and content, that of large files too, and other kinds than files', async () => {
    const lines = await seen(
      `cd ${STATE}; echo -n x | dd of=large conv=notrunc; ln -sfn there link; mkfifo pipe
       echo -n other >one; chmod 644 one; mkdir /run/new`,
      `cd ${STATE}; head -c 100000 /dev/zero >large; ln -sfn here link; rm pipe
       echo -n first >one; chmod 600 one; rmdir /run/new`,
    )
    expect(lines).toEqual([
      expect.stringMatching(/^only after: file \/run\/new: d /),
      expect.stringMatching(
        /^file \S+\/large: f \d+ 0:0 {2}100000 bytes (\w{64}) -> f .* bytes (?!\1)\w{64}$/,
      ),
      expect.stringMatching(/^file \S+\/link: l 777 0:0 here -> l 777 0:0 there$/),
      expect.stringMatching(/^file \S+\/one: f 600 .* 5 bytes .* -> f 644 .* 5 bytes /),
      expect.stringMatching(/^only after: file \S+\/pipe: p \d+ 0:0 $/),
    ])
  })

  test('shows features of a card, a driver, and an action without a filter', async () => {
    const pci = net.vfs[1]?.pci
    const lines = await seen(
      `ethtool -K ${net.pf} gro off; tc actions add action gact drop index 7
       echo pci-stub >/sys/bus/pci/devices/${pci}/driver_override`,
      `ethtool -K ${net.pf} gro on; tc actions flush action gact
       echo >/sys/bus/pci/devices/${pci}/driver_override`,
    )
    const all = lines.join('\n')
    expect(lines).toContain(`feature ${net.pf}.rx-gro: on -> off`)
    expect(all).toMatch(/^only after: action gact .*"index":7/m)
    expect(all).toMatch(/^driver \S+driver_override: \(null\) -> pci-stub$/m)
    expect(all).not.toMatch(/^only (before|after): failed/m)
  })

  test('shows a VF that is in a pod as missing, and itself again when it is back', async () => {
    const dev = net.vfs[0]?.netdev
    const lines = await seen(
      `ip link set ${dev} netns snap name net1`,
      `ip -n snap link set net1 netns 1 name ${dev}`,
    )
    expect(lines.filter((line) => line.startsWith(`only before: link ${dev}.`)).length).toBeGreaterThan(10)
    const inside = await snapshot(vm, { namespace: 'snap', folders: [] })
    expect([...inside.keys()].filter((key) => key.startsWith('link lo.')).length).toBeGreaterThan(5)
    expect(inside.has(`link ${net.pf}.mtu`)).toBe(false)
  })
})

test('tearing the topology down leaves the host as it was before', async () => {
  expect(diffSnapshot(bare, clean).length).toBeGreaterThan(100)
  await deletePod(vm, 'snap')
  await vm.must(`rm -r ${STATE}`)
  await tearDown(vm, net)
  expect(diffSnapshot(bare, await snapshot(vm))).toEqual([])
})
