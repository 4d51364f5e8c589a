// The card under traffic: loading, unloading, changes of mode and of the number of VFs, ends of namespaces, with rules
// installed and with frames waiting.
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type Card,
  cardCounters,
  hardwareRules,
  loadSimnic,
  setMode,
  setVfs,
  simnicModule,
  unloadSimnic,
  watchKernelLog,
} from '../../../hack/lab/bed/simnic.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'

/** On a busy machine the guest is slow. */
const LONG = { timeoutMs: 280_000 }
const POLL = { timeout: 20_000 }

let vm: Lab
let trouble: () => Promise<string[]>

beforeAll(async () => {
  vm = await lab()
  trouble = await watchKernelLog(vm)
  await loadSimnic(vm)
  await unloadSimnic(vm)
  await newPod(vm, 'outside')
  await newPod(vm, 'inside')
})
afterAll(async () => {
  await deletePod(vm, 'outside')
  await deletePod(vm, 'inside')
  await unloadSimnic(vm)
})

/**
 * Shell functions. `up`: PF, wire in namespace `outside`, two VFs of which one is in `inside`. `rules`: what
 * `ping` meets in switchdev mode. `traffic`: pings that go on until `quiet`.
 */
const FUNCTIONS = (ko: string) => `
  up() {
    [ ! -e /sys/module/simnic ] || rmmod simnic
    insmod '${ko}' total_vfs=4 || exit
    echo 2 >/sys/class/net/simpf0/device/sriov_numvfs
    printf '%s\\n' 'link set simwire0 netns outside' 'address add 10.1.0.1/24 dev simpf0' 'link set simpf0 up' | ip -b -
    printf '%s\\n' 'address add 10.1.0.10/24 dev simwire0' 'link set simwire0 up' | ip -n outside -b -
    into_pod
  }
  into_pod() {
    ip link set simpf0vf0 netns inside name net1
    printf '%s\\n' 'address add 10.1.0.20/24 dev net1' 'link set net1 up' | ip -n inside -b -
  }
  switchdev() {
    devlink dev eswitch set pci/0051:00:00.0 mode switchdev || exit
    ip link set simpf0rep0 up
    mac=$(ip netns exec inside cat /sys/class/net/net1/address)
    tc -b - <<END || exit
qdisc replace dev simpf0 clsact
qdisc add dev simpf0rep0 clsact
filter add dev simpf0 ingress protocol all prio 1 flower skip_sw dst_mac $mac action mirred egress redirect dev simpf0rep0
filter add dev simpf0 ingress protocol arp prio 2 flower skip_sw action mirred egress mirror dev simpf0rep0 action pass
filter add dev simpf0rep0 ingress protocol all prio 1 flower skip_sw action mirred egress redirect dev simpf0
END
  }
  legacy() { devlink dev eswitch set pci/0051:00:00.0 mode legacy || exit; tc qdisc delete dev simpf0 clsact; }
  traffic() {
    ip netns exec outside ping -q -i 0.05 10.1.0.20 >/dev/null 2>&1 & pids="$pids $!"
    ip netns exec outside ping -q -i 0.05 10.1.0.1 >/dev/null 2>&1 & pids="$pids $!"
    ip netns exec inside ping -q -i 0.05 10.1.0.10 >/dev/null 2>&1 & pids="$pids $!"
  }
  quiet() { [ -z "$pids" ] || { kill $pids; wait $pids; pids=; }; } 2>/dev/null
  trap quiet EXIT
  reach() {
    tries=0
    until ip netns exec outside ping -q -c 1 -w 1 10.1.0.20 >/dev/null; do
      tries=$((tries + 1)); if [ $tries -gt 20 ]; then echo "$1: the pod is not reached" >&2; exit 1; fi
    done
  }
  pids=`

test('cycles of loading and unloading under traffic leave nothing behind', async () => {
  const out = await vm.must(
    `${FUNCTIONS(await simnicModule(vm))}
    kept() { echo 3 >/proc/sys/vm/drop_caches; awk '/^(SUnreclaim|VmallocUsed|Percpu):/ { sum += $2 } END { print sum }' /proc/meminfo; }
    for cycle in $(seq 7); do
      up
      case $((cycle % 2)) in 0) switchdev ;; esac
      traffic
      reach "cycle $cycle"
      rmmod simnic || exit
      quiet
      case $cycle in 3 | 7) kept ;; esac
    done`,
    LONG,
  )
  const [early = 0, late = 0] = out.trim().split('\n').map(Number)
  // In kB, for 4 cycles; it swings by some 50, and one card has more than 50 in all.
  expect(late - early).toBeLessThan(107)
  expect(await trouble()).toEqual([])
}, 300_000)

test('changes of mode and of the number of VFs get through under traffic and with rules', async () => {
  await vm.must(
    `${FUNCTIONS(await simnicModule(vm))}
    up; traffic; reach start
    switchdev; reach switchdev
    legacy; reach legacy
    for round in 1 2; do
      [ $((round % 2)) = 0 ] || switchdev
      echo 0 >/sys/class/net/simpf0/device/sriov_numvfs
      echo 2 >/sys/class/net/simpf0/device/sriov_numvfs
      [ $((round % 2)) = 0 ] || legacy
      into_pod; reach "VFs, round $round"
    done
    switchdev
    echo 0051:00:00.0 >/sys/bus/pci/drivers/simnic/unbind; echo 0051:00:00.0 >/sys/bus/pci/drivers/simnic/bind
    echo 2 >/sys/class/net/simpf0/device/sriov_numvfs
    ip address add 10.1.0.1/24 dev simpf0; ip link set simpf0 up
    into_pod; reach driver
    quiet
    rmmod simnic`,
    LONG,
  )
  expect(await trouble()).toEqual([])
}, 300_000)

test('a generator of packets fills the ring, and may not queue one buffer many times', async () => {
  const [card] = (await loadSimnic(vm)) as [Card]
  await setVfs(vm, card, 1)
  await vm.must(`set -e
    ip link set ${card.pf} up; ip link set ${card.wire} up; ip link set ${card.pf}vf0 up
    ip link set ${card.pf} vf 0 max_tx_rate 20 spoofchk off
    modprobe pktgen
    echo 'add_device ${card.pf}vf0' >/proc/net/pktgen/kpktgend_0`)
  try {
    const knobOf = (text: string) => vm.sh(`echo '${text}' >/proc/net/pktgen/${card.pf}vf0`)
    expect((await knobOf('clone_skb 10')).code).not.toBe(0)
    for (const text of ['count 600', 'pkt_size 1000', 'delay 0', 'dst_mac 02:00:00:00:00:99']) {
      expect({ text, ...(await knobOf(text)) }).toMatchObject({ code: 0 })
    }
    await vm.must('echo start >/proc/net/pktgen/pgctrl')
    await expect
      .poll(async () => (await cardCounters(vm, card)).vf0?.tx_packets, POLL)
      .toBeGreaterThanOrEqual(600)
    expect((await cardCounters(vm, card)).vf0?.tx_delayed).toBeGreaterThan(256)
  } finally {
    await vm.must('rmmod pktgen')
  }
  await unloadSimnic(vm)
  expect(await trouble()).toEqual([])
})

test('255 VFs with representors are removed at once', async () => {
  const [card] = (await loadSimnic(vm, { totalVfs: 255 })) as [Card]
  await setVfs(vm, card, 255)
  await setMode(vm, card, 'switchdev')
  const { port } = JSON.parse(await vm.must('devlink -j port show')) as { port: Record<string, object> }
  expect(Object.keys(port)).toHaveLength(256)
  expect(await vm.must(`ls /sys/class/net | grep -c '^simpf0vf'; lspci -D -d 1234:5101 | tail -1`)).toMatch(
    /^255\n0051:00:1f\.7 /,
  )
  await vm.must(`set -e
    tc qdisc add dev ${card.pf} clsact
    tc filter add dev ${card.pf} ingress protocol ip flower skip_sw action mirred egress redirect dev ${card.pf}rep254`)
  expect((await hardwareRules(vm, card))[0]?.text).toMatch(/redirect vf254$/)
  await unloadSimnic(vm)
  expect((await vm.must('lspci -D -d 1234:')).trim()).toBe('')
  expect(await trouble()).toEqual([])
})

test('racing writers of sriov_numvfs, mode and filters all get through', async () => {
  const [card] = (await loadSimnic(vm)) as [Card]
  await vm.must(`
    ip link set ${card.pf} up; tc qdisc add dev ${card.pf} clsact
    device=$(readlink -f /sys/class/net/${card.pf}/device)
    ( for i in $(seq 3); do echo 4 >$device/sriov_numvfs; echo 0 >$device/sriov_numvfs; done ) 2>/dev/null &
    ( for i in $(seq 5); do
        devlink dev eswitch set ${card.devlink} mode switchdev; devlink dev eswitch set ${card.devlink} mode legacy
      done ) &
    ( for i in $(seq 10); do
        tc filter add dev ${card.pf} ingress protocol ip prio 1 flower skip_sw action drop
        tc filter delete dev ${card.pf} ingress
        cat ${card.debugfs}/rules ${card.debugfs}/stats; ip -d -s link show; ethtool -S ${card.pf}
      done ) >/dev/null 2>&1 &
    wait`)
  expect(await trouble()).toEqual([])
})
