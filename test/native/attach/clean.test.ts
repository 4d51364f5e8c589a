// Nothing that a pod has put on its interface comes home with it: programs, interfaces that lie on it, altnames, flags,
// limits, features, channels and files of queues. A device that cannot be cleaned is not given out, and ADD refuses one
// that is not clean. test/lab/attach/clean.test.ts has what only hardware can show.
// needs: veth, bridge, macvlan, ifb
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WIRE } from '../../../hack/lab/bed/topology.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'
import { PROGRAMS, PROGRAMS_FILE } from '../../support/programs.ts'

let bed: NativeBed

beforeAll(async () => {
  bed = await makeNativeBed(1, ['pod-one', 'pod-two'])
  await bed.lab.writeFile(PROGRAMS_FILE, PROGRAMS)
})
afterAll(async () => {
  await bed?.lab.must(`rm -f ${PROGRAMS_FILE}`)
  await bed?.end()
})
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

const inPod = (script: string) => `ip netns exec pod-one sh -ec '${script}'`

/** Settings of the host's interface that nothing else shows: sysfs, ethtool, tcx and who lies on it. */
async function whole(): Promise<string> {
  const { netdev } = bed.nic()
  return bed.lab.must(`ip -d link show dev ${netdev} | sed 's/^[0-9]*: //'
    cd /sys/class/net/${netdev}
    for file in flags link_mode netdev_group proto_down broadcast gro_flush_timeout napi_defer_hard_irqs threaded \\
      queues/*/rps_cpus queues/*/rps_flow_cnt; do echo "$file $(cat $file 2>/dev/null)"; done
    ethtool -k ${netdev}; ethtool -l ${netdev}`)
}

/** A macvlan in mode passthru can be made on what nothing else lies on. */
async function expectAlone(): Promise<void> {
  const { netdev } = bed.nic()
  await bed.lab.must(
    `set -e; ip link add probe0 link ${netdev} type macvlan mode passthru; ip link del probe0; ip link set ${netdev} up; ip link set ${netdev} down`,
  )
}

/** The next pod on the device hears the wire, and the wire hears it. */
async function expectTraffic(): Promise<void> {
  const { peer } = bed.nic()
  await bed.add(onNic(bed.nic()), 'pod-two')
  await bed.lab.must(`set -e
    ip -n pod-two address add 192.0.2.7/24 dev net1
    ip -n ${WIRE.namespace} address add 192.0.2.1/24 dev ${WIRE.bridge}
    ip netns exec pod-two ping -c 1 -W 5 192.0.2.1
    ip -n ${WIRE.namespace} address del 192.0.2.1/24 dev ${WIRE.bridge}; ip -n ${WIRE.namespace} link show ${peer}`)
  await bed.del(onNic(bed.nic()), 'pod-two')
}

describe('what the pod left is gone at home', () => {
  test.each([
    ['flags and mode', 'ip link set net1 arp off multicast off dynamic on group 9 mode dormant'],
    ['the broadcast address', 'ip link set net1 broadcast 02:00:00:00:00:01'],
    [
      'limits of segmentation',
      `for key in gso_max_segs gso_max_size gro_max_size gso_ipv4_max_size gro_ipv4_max_size; do
        ip link set net1 $key 3000; done`,
    ],
    ['features', 'ethtool -K net1 tx off gro off'],
    ['channels', 'ethtool -L net1 rx 2 tx 2'],
    [
      'files of queues',
      `mount -t sysfs none /sys; cd /sys/class/net/net1; echo 1 >queues/rx-0/rps_cpus; echo 4 >queues/rx-0/rps_flow_cnt
        echo 300 >gro_flush_timeout; cd /; umount /sys`,
    ],
    ['altnames', 'ip link property add dev net1 altname evil altname pf0'],
    ['XDP', `perl ${PROGRAMS_FILE} xdp net1`],
    ['XDP in the driver', `perl ${PROGRAMS_FILE} xdp-drv net1`],
    ['tcx', `perl ${PROGRAMS_FILE} tcx net1`],
    ['a macvlan', 'ip link add mv0 link net1 type macvlan mode bridge; ip link set mv0 up'],
    [
      "a macvlan with the device's MAC, and the device down",
      `ip link set net1 address 02:bb:bb:bb:bb:bb; ip link set mv0 up 2>/dev/null ||
        ip link add mv0 link net1 address 02:00:00:00:f0:00 type macvlan mode private; ip link set mv0 up; ip link set net1 down`,
    ],
    ['a macvlan that takes all', 'ip link add mv0 link net1 type macvlan mode passthru; ip link set mv0 up'],
  ])('%s', async (_, script) => {
    const before = await whole()
    await bed.add(onNic(bed.nic()), 'pod-one')
    await bed.lab.must(inPod(script))
    await bed.del(onNic(bed.nic()), 'pod-one')
    expect(await whole()).toBe(before)
    await bed.expectUnchanged()
    await expectAlone()
    await expectTraffic()
    await bed.podDies('pod-one')
    await bed.podIsBack('pod-one')
  })

  test.each(['xdp-link', 'tcx-link'])('a program that a process holds by a link: %s', async (kind) => {
    const before = await whole()
    await bed.add(onNic(bed.nic()), 'pod-one')
    const holder = await bed.lab.must(
      `mkfifo /tmp/held; ip netns exec pod-one perl ${PROGRAMS_FILE} ${kind} net1 >/tmp/held 2>&1 & echo $!; grep -q ready /tmp/held; rm /tmp/held`,
    )
    try {
      await bed.del(onNic(bed.nic()), 'pod-one')
      expect(await whole()).toBe(before)
      await expectTraffic()
    } finally {
      await bed.lab.must(`kill ${holder.trim()}`)
    }
    await bed.expectUnchanged()
  })

  test('a macvlan keeps the device from its bridge no longer', async () => {
    const { netdev } = bed.nic()
    await bed.lab.must(`ip link add own type bridge; ip link set own up; ip link set ${netdev} master own`)
    const before = await whole()
    await bed.add(onNic(bed.nic()), 'pod-one')
    await bed.lab.must(inPod('ip link add mv0 link net1 type macvlan mode passthru; ip link set mv0 up'))
    await bed.del(onNic(bed.nic()), 'pod-one')
    expect(await whole()).toBe(before)
    await bed.lab.must(`ip link del own; ip link set ${netdev} down`)
    await bed.expectUnchanged()
  })
})

describe('what can not be taken off', () => {
  test.each(['bridge', 'passthru'])(
    'a macvlan (%s) in a third namespace: 103, until it is gone',
    async (mode) => {
      const before = await whole()
      await bed.lab.must('ip netns add pod-third')
      await bed.add(onNic(bed.nic()), 'pod-one')
      await bed.lab.must(
        inPod(`ip link add mv0 link net1 type macvlan mode ${mode}; ip link set mv0 netns pod-third`),
      )
      expect(await bed.refused('DEL', onNic(bed.nic()), 'pod-one')).toMatchObject({
        ...{ code: 103, details: expect.stringContaining('a macvlan in another namespace lies on it') },
      })
      // It is not given out: while its pod lives, and when that is gone.
      expect(await bed.refused('ADD', onNic(bed.nic()), 'pod-two')).toMatchObject({ code: 11 })
      await bed.podDies('pod-one')
      expect(await bed.refused('ADD', onNic(bed.nic()), 'pod-two')).toMatchObject({
        ...{ code: 103, details: expect.stringContaining('a macvlan in another namespace lies on it') },
      })
      await bed.podIsBack('pod-one')
      await bed.lab.must('ip netns del pod-third')
      await bed.lab.must(
        `until [ -z "$(ip netns list-id | grep -v pod)" ] || [ $((tries += 1)) -gt 40 ]; do sleep 0.05; done`,
      )
      await expectGoneThen()
      expect(await whole()).toBe(before)
      await bed.expectUnchanged()
    },
  )
})

/** DEL as soon as the kernel has taken the third namespace apart. */
async function expectGoneThen(): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const { code } = await bed.call('DEL', onNic(bed.nic()), 'pod-one')
    if (code === 0) return
    expect(attempt).toBeLessThan(50)
    await bed.lab.must('sleep 0.1')
  }
}

describe('ADD of what is not clean', () => {
  test.each([
    ['an XDP program', `perl ${PROGRAMS_FILE} xdp NIC`, 'ip link set NIC xdpgeneric off', /XDP program \d+/],
    [
      'a macvlan of another namespace',
      'ip netns add other-pod; ip link add mv0 link NIC type macvlan; ip link set mv0 netns other-pod',
      'ip -n other-pod link del mv0; ip netns del other-pod; ip link set NIC up; ip link set NIC down',
      /a macvlan in another namespace lies on it/,
    ],
  ])('%s: code 7, with its name, and nothing is changed', async (_, make, end, words) => {
    const { netdev } = bed.nic()
    await bed.lab.must(make.replaceAll('NIC', netdev))
    try {
      const error = await bed.refused('ADD', onNic(bed.nic()), 'pod-one')
      expect(error).toMatchObject({ code: 7, msg: expect.stringMatching(words) })
    } finally {
      await bed.lab.must(end.replaceAll('NIC', netdev))
    }
    await bed.expectUnchanged()
  })
})

test('programs of tcx, which agents put on every interface, go along and come back, and ADD tells of them', async () => {
  const { netdev } = bed.nic()
  await bed.lab.must(`perl ${PROGRAMS_FILE} tcx ${netdev}`)
  const added = await bed.call('ADD', onNic(bed.nic()), 'pod-one')
  expect(added).toMatchObject({
    ...{ code: 0, stderr: expect.stringMatching(/program \d+ is on tcx ingress of "nic0" and goes along/) },
  })
  await bed.del(onNic(bed.nic()), 'pod-one')
  // The next one is there still: it is the node's.
  expect((await bed.call('ADD', onNic(bed.nic()), 'pod-one')).stderr).toMatch(/program \d+ is on tcx ingress/)
  await bed.del(onNic(bed.nic()), 'pod-one')
  await bed.lab.must(`ip link del ${netdev}`)
  await bed.nicIsBack()
})

test('the files of queues that a pod has taken away are there again', async () => {
  const { netdev } = bed.nic()
  const file = `/sys/class/net/${netdev}/queues/rx-1/rps_cpus`
  await bed.lab.must(`ethtool -L ${netdev} rx 2 tx 2; echo 1 >${file}`)
  const before = await whole()
  await bed.add(onNic(bed.nic()), 'pod-one')
  await bed.lab.must(inPod('ethtool -L net1 rx 1 tx 1'))
  await bed.del(onNic(bed.nic()), 'pod-one')
  expect(await whole()).toBe(before)
  await bed.lab.must(`echo 0 >${file}; ethtool -L ${netdev} rx 1 tx 1`)
})

test('protodown of a macvlan and its reason both go', async () => {
  await bed.lab.must('ip link add low0 type ifb; ip link add hd0 link low0 type macvlan')
  try {
    await bed.add({ type: 'vf-attach', device: 'hd0' }, 'pod-one')
    await bed.lab.must(inPod('ip link set net1 protodown on; ip link set net1 protodown_reason 3 on'))
    await bed.del({ type: 'vf-attach', device: 'hd0' }, 'pod-one')
    expect(await bed.lab.must('ip -d link show dev hd0')).not.toContain('protodown on')
  } finally {
    await bed.lab.must('ip link del low0')
  }
  await bed.expectUnchanged()
})

describe('CHECK', () => {
  test.each([
    ['arp off', 'arp on', 'has ARP off'],
    ['multicast off', 'multicast on', 'has multicast off'],
    ['mode dormant', 'mode default', 'has link mode 1, not 0'],
  ])('%s breaks what ADD promised', async (set, back, words) => {
    const prevResult = await bed.add(onNic(bed.nic()), 'pod-one')
    await bed.lab.must(`ip -n pod-one link set net1 ${set}`)
    const config = onNic(bed.nic())
    // Not by what errors are read with: a CHECK that succeeds prints nothing.
    expect(await bed.call('CHECK', config, 'pod-one', { prevResult })).toMatchObject({
      ...{ code: 1, stdout: expect.stringMatching(new RegExp(`"code":104.*${words}`)) },
    })
    await bed.lab.must(`ip -n pod-one link set net1 ${back}`)
    expect(await bed.call('CHECK', config, 'pod-one', { prevResult })).toMatchObject({ code: 0 })
    await bed.del(config, 'pod-one')
    await bed.expectUnchanged()
  })

  test('CHECK has nothing against programs, altnames and interfaces that the pod makes on it', async () => {
    const prevResult = await bed.add(onNic(bed.nic()), 'pod-one')
    await bed.lab.must(
      inPod(`perl ${PROGRAMS_FILE} xdp net1; ip link property add dev net1 altname mine
        ip link add mv0 link net1 type macvlan`),
    )
    expect(await bed.call('CHECK', onNic(bed.nic()), 'pod-one', { prevResult })).toMatchObject({ code: 0 })
    await bed.del(onNic(bed.nic()), 'pod-one')
    await bed.expectUnchanged()
  })
})
