// Mistakes of sriov-cni and host-device do not happen here, as far as igb can show it. `#n` is a public issue of
// sriov-cni, `plugins #n` one of containernetworking/plugins. test/native/attach/bugs.test.ts has the mistakes that any
// interface can show.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { inTurn, staticIpam } from '../../../hack/lab/bed/plugins.ts'
import { CLIENT_A, isReachable } from '../../../hack/lab/bed/topology.ts'
import { type Bed, makeBed, onVf } from '../../support/attach-bed.ts'
import { BED_FOLDER, FLAKY, localIpam } from '../../support/attach-calls.ts'

let bed: Bed

beforeAll(async () => {
  bed = await makeBed(2, ['pod-one', 'pod-two'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

describe('a failed ADD', () => {
  test('#119, #212: an attribute that is refused half-way leaves no VLAN and no MAC on the VF', async () => {
    const config = onVf(bed.vf(), { vlan: 50, mac: '02:00:00:00:0a:01', link_state: 'enable' })
    const error = await bed.refused('ADD', config, 'pod-one')
    expect(error).toMatchObject({ code: 102, msg: expect.stringContaining('link_state') })
    await bed.expectUnchanged()
  })
})

describe('a VF with addresses, routes and settings of its own', () => {
  test('has them again after an ADD that failed half-way, after DEL, and when its pod has died without one', async () => {
    const { netdev, pci } = bed.vf()
    await bed.lab.must(`set -e
      echo 0 >/proc/sys/net/ipv6/conf/${netdev}/accept_ra; ip link set ${netdev} up
      ip addr add 192.0.2.5/24 dev ${netdev}; ip addr add 2001:db8::5/64 dev ${netdev} nodad
      ip route add 198.18.0.0/16 via 192.0.2.1; ip -6 route add 2001:db8:ff::/48 via 2001:db8::1 metric 77
      ip neigh add 192.0.2.1 lladdr 02:00:00:00:09:01 dev ${netdev} nud permanent
      until ip -6 addr show dev ${netdev} scope link -tentative | grep -q fe80; do sleep 0.1; done`)
    await bed.remember()
    const mac = '02:00:00:00:0a:08'
    await bed.refused('ADD', onVf(bed.vf(), { mac, vlan: 50, link_state: 'enable' }), 'pod-one')
    await bed.expectUnchanged('after an attribute was refused')
    const ipam = { type: 'static', addresses: [] }
    await bed.refused('ADD', onVf(bed.vf(), { mac, mtu: 1400, ipam }), 'pod-one')
    await bed.expectUnchanged('after IPAM failed')
    await bed.add(onVf(bed.vf(), { mac }), 'pod-one')
    await bed.del(onVf(bed.vf(), { mac }), 'pod-one')
    await bed.expectUnchanged('after DEL')
    await bed.add(onVf(bed.vf(), { mac }), 'pod-one')
    await bed.podDies('pod-one')
    await bed.lab.must(`until [ -e /sys/bus/pci/devices/${pci}/net/net1 ]; do sleep 0.1; done`)
    await bed.podIsBack('pod-one')
    await bed.del(onVf(bed.vf(), { mac }), 'pod-one', { netns: '' })
    await bed.expectUnchanged('after the pod has died')
    await bed.lab.must(`ip addr flush dev ${netdev}; ip link set ${netdev} down
      echo 1 >/proc/sys/net/ipv6/conf/${netdev}/accept_ra`)
    await bed.remember()
  })

  test('that is a port of a bridge has its VLANs and its settings there again', async () => {
    const { netdev } = bed.vf()
    await bed.lab.must(`set -e
      ip link add br-node address 02:00:00:00:0a:09 type bridge vlan_filtering 1; ip link set br-node up
      ip link set ${netdev} master br-node; bridge vlan del dev ${netdev} vid 1
      bridge vlan add dev ${netdev} vid 7 pvid untagged; bridge vlan add dev ${netdev} vid 9
      bridge fdb add 02:00:00:00:09:05 dev ${netdev} master static vlan 9
      ip link set ${netdev} type bridge_slave isolated on`)
    await bed.remember()
    await bed.refused('ADD', onVf(bed.vf(), { ipam: { type: 'static', addresses: [] } }), 'pod-one')
    await bed.expectUnchanged('after a failed ADD')
    await bed.add(onVf(bed.vf()), 'pod-one')
    await bed.del(onVf(bed.vf()), 'pod-one')
    await bed.expectUnchanged('after DEL')
    await bed.lab.must('ip link del br-node')
    await bed.remember()
  })

  test('is refused while filters of vf-offload are on it', async () => {
    const { netdev } = bed.vf()
    await bed.lab.must(`tc qdisc add dev ${netdev} clsact && tc filter add dev ${netdev} ingress protocol ip pref 10 flower \
      ip_proto tcp dst_port 80 action pass cookie 76660101020304050607080910111213`)
    await bed.remember()
    const { code, msg } = await bed.refused('ADD', onVf(bed.vf()), 'pod-one')
    expect(code).toBe(7)
    expect(msg).toContain('the qdisc clsact, which a move destroys; port mappings or limits of vf-offload')
    await bed.expectUnchanged()
    await bed.lab.must(`tc qdisc del dev ${netdev} clsact`)
    await bed.remember()
  })

  test.each([
    ['bond', 'bond-node', 'ip link add bond-node type bond'],
    ['bridge', 'br-node', 'ip link add br-node type bridge'],
  ])('a %s belongs to its namespace, and keeps what it has', async (_, device, make) => {
    await bed.lab.must(`set -e; ${make}; ip link set ${device} up
      ip addr add 192.0.2.5/24 dev ${device}; ip addr add 2001:db8::5/64 dev ${device} nodad
      ip route add 198.18.0.0/16 via 192.0.2.1`)
    await bed.remember()
    expect(await bed.refused('ADD', { type: 'vf-attach', device }, 'pod-one')).toMatchObject({
      code: 7,
      details: expect.stringContaining('EINVAL'),
    })
    await bed.expectUnchanged()
    await bed.lab.must(`ip link del ${device}`)
    await bed.remember()
  })
})

describe('a DEL that comes late, early or fails', () => {
  test('#219, #313: DEL of an old pod, slow in IPAM, neither holds up nor resets the next pod on its VF', async () => {
    const old = onVf(bed.vf(), { vlan: 51, trust: 'on', ipam: localIpam(FLAKY) })
    const next = onVf(bed.vf(), { vlan: 52 })
    await bed.add(old, 'pod-one')
    await bed.lab.must(`rm -f ${BED_FOLDER}/asked; touch ${BED_FOLDER}/hold`)
    const del = bed.del(old, 'pod-one')
    try {
      await bed.lab.must(`until [ -e ${BED_FOLDER}/asked ]; do sleep 0.1; done`)
      await bed.add(next, 'pod-two')
    } finally {
      await bed.lab.must(`rm -f ${BED_FOLDER}/hold ${BED_FOLDER}/asked`)
      await del
    }
    await bed.del(old, 'pod-one')
    await bed.lab.must(`rm -f ${BED_FOLDER}/asked`)
    expect(await bed.vfInfo(bed.vf().index)).toMatchObject({ trust: false, vlan_list: [{ vlan: 52 }] })
    expect(await bed.link('pod-two', 'net1')).toMatchObject({ parentdev: bed.vf().pci })
    await bed.del(next, 'pod-two')
    await bed.expectUnchanged()
  })

  test("#126: the pod died first and its VF fell back under the pod's name: the next pod gets it clean, and its own name returns", async () => {
    const { pci } = bed.vf()
    await bed.add(onVf(bed.vf(), { vlan: 54, mac: '02:00:00:00:0a:04', mtu: 1300 }), 'pod-one')
    await bed.podDies('pod-one')
    await bed.lab.must(`until [ -e /sys/bus/pci/devices/${pci}/net/net1 ]; do sleep 0.1; done`)
    const plain = onVf(bed.vf(), { ipam: staticIpam('10.1.0.5/24') })
    const result = await bed.add(plain, 'pod-two')
    expect(result.interfaces).toMatchObject([{ mac: bed.vf().mac, mtu: 1500 }])
    expect(JSON.stringify((await bed.vfInfo(bed.vf().index)).vlan_list)).not.toContain('vlan')
    await isReachable(bed.lab, CLIENT_A.namespace, ['10.1.0.5'])
    await bed.del(plain, 'pod-two')
    await bed.podIsBack('pod-one')
    await bed.expectUnchanged()
  })
})

describe('several pods at once', () => {
  test('#34, #213: changes on a PF wait for one another; whoever changes nothing there does not wait', async () => {
    const lock = `/run/vf-flower/pf-lock ${bed.topology.pfPci}`
    const script = `touch ${BED_FOLDER}/locked; while [ -e ${BED_FOLDER}/locked ]; do sleep 0.05; done`
    const [other, waits] = [onVf(bed.vf(0)), onVf(bed.vf(1), { trust: 'on' })]
    await bed.lab.must('mkdir -p /run/vf-flower')
    // -o: it alone has the file open, its child does not.
    const holder = await bed.lab.spawn(['flock', '-o', lock, 'sh', '-c', script], { timeoutMs: 0 })
    await bed.lab.must(`until [ -e ${BED_FOLDER}/locked ]; do sleep 0.05; done`)
    // On a busy machine the others may take longer than an ADD waits.
    const waiting = inTurn(() => bed.call('ADD', waits, 'pod-two'))
    try {
      const openers = `ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c '${lock}$'`
      await bed.lab.must(`until [ "$(${openers})" -gt 1 ]; do sleep 0.05; done`)
      await bed.add(other, 'pod-one')
      await bed.del(other, 'pod-one')
      expect(await bed.vfInfo(bed.vf(1).index)).toMatchObject({ trust: false })
    } finally {
      await bed.lab.must(`rm -f ${BED_FOLDER}/locked`)
      await holder.wait()
    }
    expect(await waiting).toMatchObject({ code: 0 })
    expect(await bed.vfInfo(bed.vf(1).index)).toMatchObject({ trust: true })
    await bed.del(waits, 'pod-two')
    await bed.expectUnchanged()
  })

  test('an ADD that is slow in IPAM holds up no other VF of the PF', async () => {
    const wishes = { vlan: 14, trust: 'on' }
    const slow = onVf(bed.vf(0), { ...wishes, ipam: localIpam(FLAKY) })
    await bed.lab.must(`rm -f ${BED_FOLDER}/asked-add; touch ${BED_FOLDER}/hold-add`)
    const adding = bed.add(slow, 'pod-one')
    try {
      await bed.lab.must(`until [ -e ${BED_FOLDER}/asked-add ]; do sleep 0.05; done`)
      await bed.add(onVf(bed.vf(1), wishes), 'pod-two')
      expect(await bed.vfInfo(bed.vf(1).index)).toMatchObject({ trust: true, vlan_list: [{ vlan: 14 }] })
      await bed.del(onVf(bed.vf(1), wishes), 'pod-two')
    } finally {
      await bed.lab.must(`rm ${BED_FOLDER}/hold-add`)
      await adding
    }
    await bed.del(slow, 'pod-one')
    await bed.expectUnchanged()
  })
})

describe('dirty state', () => {
  test('#214, #316, #441, #175: MAC, MTU, promiscuous mode and all that a pod sets does not stay on the VF', async () => {
    const { netdev } = bed.vf()
    await bed.lab.must(`ip link set dev ${netdev} alias 'of the operator'`)
    await bed.add(onVf(bed.vf()), 'pod-one')
    expect(await bed.link('pod-one', 'net1')).toMatchObject({ ifalias: 'of the operator' })
    await bed.lab.must(`ip -n pod-one link set net1 address 02:00:00:00:0a:06
      ip -n pod-one link set net1 mtu 1280 promisc on allmulticast on txqueuelen 5 alias 'of the pod'`)
    await bed.del(onVf(bed.vf()), 'pod-one')
    expect(await bed.link(null, netdev)).toMatchObject({ ifalias: 'of the operator' })
    await bed.lab.must(`ip link set dev ${netdev} alias ''`)
    await bed.expectUnchanged()
  })

  test('#291: what the operator set and the config does not name stays, during the pod and after it', async () => {
    const { pf } = bed.topology
    const { index } = bed.vf()
    await bed.lab.must(
      `ip link set ${pf} vf ${index} vlan 77 qos 2; ip link set ${pf} vf ${index} max_tx_rate 200`,
    )
    const before = await bed.vfInfo(index)
    const config = onVf(bed.vf(), { trust: 'on' })
    const kept = { vlan_list: [{ vlan: 77, qos: 2 }], rate: { max_tx: 200, min_tx: 0 } }
    await bed.add(config, 'pod-one')
    expect(await bed.vfInfo(index)).toMatchObject({ ...kept, trust: true })
    await bed.del(config, 'pod-one')
    // igb reports a VF's own MAC from the time when the VF has told it.
    expect(await bed.vfInfo(index)).toEqual({ ...before, address: expect.any(String) })
    await bed.lab.must(`ip link set ${pf} vf ${index} vlan 0; ip link set ${pf} vf ${index} max_tx_rate 0`)
    await bed.expectUnchanged()
  })

  test('#88: the MAC that the operator gave on the PF and the one that the VF uses come back each to its place', async () => {
    const { pf } = bed.topology
    const { index, netdev, mac } = bed.vf()
    await bed.lab.must(`ip link set ${pf} vf ${index} mac 02:00:00:00:0a:07`)
    const before = await bed.vfInfo(index)
    const effective = (await bed.link(null, netdev)).address
    const config = onVf(bed.vf(), { mac: '02:00:00:00:0a:08' })
    await bed.add(config, 'pod-one')
    expect(await bed.vfInfo(index)).toMatchObject({ address: '02:00:00:00:0a:08' })
    await bed.del(config, 'pod-one')
    expect(await bed.vfInfo(index)).toEqual(before)
    expect(await bed.link(null, netdev)).toMatchObject({ address: effective })
    await bed.lab.must(`ip link set ${pf} vf ${index} mac 00:00:00:00:00:00
      ip link set dev ${netdev} address ${mac}`)
    await bed.expectUnchanged()
  })
})
