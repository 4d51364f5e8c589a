// An interface keeps what it carries when vf-attach gets it: an ADD that fails leaves all of it as it was, and DEL gives
// it back. An ADD refuses before the first change what nobody could give back, or what the node lives by.
// needs: veth, bridge, ifb, tbf, clsact
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { WIRE } from '../../../hack/lab/bed/topology.ts'
import { localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

/** Of each kind something, in the order in which it must be given back. */
const LOAD = `set -e
ip link set nic0 alias uplink
ip link property add dev nic0 altname the-first-nic altname net1
ip link set nic0 up
ip addr add 192.0.2.5/24 dev nic0
ip addr add 192.0.2.6/24 dev nic0 label nic0:a
ip addr add 198.51.100.5 peer 198.51.100.6/32 dev nic0
ip addr add 203.0.113.5/24 dev nic0 noprefixroute metric 20
ip addr add 169.254.7.5/16 scope link dev nic0
ip addr add 192.0.2.200/32 dev nic0 valid_lft 4000 preferred_lft 3000
ip addr add 2001:db8::5/64 dev nic0 nodad
ip addr add 2001:db8::6/64 dev nic0 nodad noprefixroute
ip addr add 2001:db8:0:1::5/64 dev nic0 nodad valid_lft 4000 preferred_lft 3000
ip addr add fe80::77/64 dev nic0 nodad
ip route add 198.18.1.0/24 dev nic0 scope link
ip route add 198.18.0.0/16 via 192.0.2.1 metric 50 mtu lock 1400 advmss 1300 proto static
ip route append 198.18.0.0/16 via 192.0.2.2 metric 50
ip route add 198.18.2.0/24 via 198.18.7.7 dev nic0 onlink table 1000
ip route add 203.0.113.0/24 dev nic0 src 203.0.113.5 proto kernel scope link metric 30
ip route add local 198.18.9.9 dev nic0 table local
ip route add 198.18.3.0/24 via inet6 fe80::1 dev nic0
ip -6 route add 2001:db8:ff::/48 via 2001:db8::1 metric 77 mtu 1400
ip -6 route add 2001:db8:fe::/48 via fe80::1 dev nic0 src 2001:db8::6
ip -6 route add 2001:db8:fd::/48 dev nic0 table 1000 expires 3000
ip neigh add 192.0.2.1 lladdr 02:00:00:00:09:01 dev nic0 nud permanent
ip neigh add 2001:db8::1 lladdr 02:00:00:00:09:02 dev nic0 nud permanent router
ip neigh add proxy 192.0.2.77 dev nic0
ip neigh add proxy 2001:db8::77 dev nic0
bridge fdb add 02:00:00:00:09:03 dev nic0 self
echo 0 >/proc/sys/net/ipv6/conf/nic0/accept_ra; echo 7 >/proc/sys/net/ipv6/conf/nic0/router_solicitation_interval
echo 2 >/proc/sys/net/ipv4/conf/nic0/rp_filter; echo 1 >/proc/sys/net/ipv4/conf/nic0/arp_ignore
ip rule add iif nic0 lookup 1000 priority 1000
ip rule add oif nic0 lookup 1000 priority 1001`
const UNLOAD = `ip rule del priority 1000; ip rule del priority 1001; ip addr flush dev nic0 scope global
ip neigh flush dev nic0 nud permanent; ip neigh del proxy 192.0.2.77 dev nic0; ip neigh del proxy 2001:db8::77 dev nic0
ip addr flush dev nic0; bridge fdb del 02:00:00:00:09:03 dev nic0 self
ip link set nic0 nomaster; ip link set nic0 down alias ''; ip link property del dev nic0 altname the-first-nic altname net1; true`

let bed: NativeBed
const failing = { type: 'static', addresses: [] }

beforeAll(async () => {
  bed = await makeNativeBed(1, ['pod-one'])
})
afterAll(() => bed?.end())

describe('an interface with something of each kind', () => {
  beforeAll(async () => {
    await bed.lab.must(LOAD)
    await bed.remember()
  })
  afterAll(async () => {
    await bed.lab.must(UNLOAD)
  })

  test('is as it was after an ADD whose IPAM plugin fails behind the move', async () => {
    await bed.refused('ADD', onNic(bed.nic(), { ipam: failing }), 'pod-one')
    await bed.expectUnchanged()
  })

  test('is as it was after an ADD whose last operations are refused', async () => {
    const ipam = { ...localIpam(), routes: [{ dst: '10.9.0.0/16', gw: '10.77.0.1' }] }
    expect(await bed.refused('ADD', onNic(bed.nic(), { ipam }), 'pod-one')).toMatchObject({
      msg: expect.stringContaining('ip route add'),
    })
    await bed.expectUnchanged()
  })

  test('goes to a pod: ADD names each thing that the node is without, and DEL gives all of it back', async () => {
    const { code, stderr } = await bed.call('ADD', onNic(bed.nic()), 'pod-one')
    expect(code).toBe(0)
    for (const words of [
      '192.0.2.5/24',
      '2001:db8::6/64',
      '198.18.0.0/16 via 192.0.2.1',
      '02:00:00:00:09:03',
    ])
      expect(stderr).toContain(words)
    await bed.del(onNic(bed.nic()), 'pod-one')
    await bed.expectUnchanged()
  })

  test('does not get back an address that another interface has by then, which DEL says', async () => {
    await bed.add(onNic(bed.nic()), 'pod-one')
    await bed.lab.must('ip addr add 192.0.2.6/24 dev up0')
    const { code, stderr } = await bed.call('DEL', onNic(bed.nic()), 'pod-one')
    expect(code).toBe(0)
    expect(stderr).toContain('"nic0" had the address 192.0.2.6/24')
    await bed.lab.must('ip addr del 192.0.2.6/24 dev up0; ip addr add 192.0.2.6/24 dev nic0 label nic0:a')
    expect(await bed.lab.must('ip -4 addr show dev nic0')).toContain('192.0.2.5/24')
    await bed.lab.must(`${UNLOAD}`)
    await bed.lab.must(LOAD)
    await bed.expectUnchanged()
  })
})

test('settings of an interface that carries nothing else are there again after DEL', async () => {
  await bed.lab.must(`echo 1 >/proc/sys/net/ipv6/conf/nic0/disable_ipv6; echo 1 >/proc/sys/net/ipv4/conf/nic0/proxy_arp
    echo 3 >/proc/sys/net/ipv6/conf/nic0/router_probe_interval`)
  await bed.remember()
  await bed.add(onNic(bed.nic()), 'pod-one')
  await bed.del(onNic(bed.nic()), 'pod-one')
  await bed.expectUnchanged()
  await bed.lab.must('echo 0 >/proc/sys/net/ipv6/conf/nic0/disable_ipv6')
})

test('an interface that is up and has no address of its own keeps its proxy entries of both families and its token', async () => {
  const proxies = ['192.0.2.78', '2001:db8::78']
  await bed.lab.must(`set -e; ip link set nic0 up; echo 2 >/proc/sys/net/ipv6/conf/nic0/accept_ra
    for address in ${proxies.join(' ')}; do ip neigh add proxy $address dev nic0; done; ip token set ::5 dev nic0`)
  await bed.remember()
  const { code, stderr } = await bed.call('ADD', onNic(bed.nic()), 'pod-one')
  expect(code).toBe(0)
  for (const words of [...proxies, 'token ::5']) expect(stderr).toContain(words)
  await bed.del(onNic(bed.nic()), 'pod-one')
  await bed.expectUnchanged()
  const shown = await bed.lab.must('ip neigh show proxy dev nic0; ip -6 neigh show proxy dev nic0')
  for (const address of proxies) expect(shown).toContain(address)
  expect(await bed.lab.must('ip token get dev nic0')).toContain('token ::5 ')
  await bed.lab.must(`for address in ${proxies.join(' ')}; do ip neigh del proxy $address dev nic0; done
    ip token del dev nic0; echo 0 >/proc/sys/net/ipv6/conf/nic0/accept_ra; ip link set nic0 down`)
})

test("an interface of the pod that has the device's name on the host is in nobody's way", async () => {
  await bed.lab.must('ip link set nic0 up; ip -n pod-one link add nic0 type ifb')
  await bed.remember()
  await bed.add(onNic(bed.nic()), 'pod-one')
  await bed.del(onNic(bed.nic()), 'pod-one')
  await bed.expectUnchanged()
  await bed.lab.must('ip -n pod-one link del nic0; ip link set nic0 down')
})

describe('a port of a bridge', () => {
  test('its entries in the bridge and its addresses are there after an ADD that failed, and after DEL', async () => {
    await bed.lab.must(`ip link add br-node type bridge && ip link set br-node up
      ip link set nic0 master br-node up && ip addr add 2001:db8::5/64 dev nic0 nodad
      bridge fdb add 02:00:00:00:09:04 dev nic0 master static
      ip link set nic0 type bridge_slave isolated on hairpin on learning off priority 5 cost 77`)
    await bed.remember()
    await bed.refused('ADD', onNic(bed.nic(), { ipam: failing }), 'pod-one')
    await bed.expectUnchanged('after a failed ADD')
    await bed.add(onNic(bed.nic()), 'pod-one')
    await bed.del(onNic(bed.nic()), 'pod-one')
    await bed.expectUnchanged('after DEL')
    await bed.lab.must('ip link del br-node; ip addr flush dev nic0; ip link set nic0 down')
  })
})

describe('refused before the first change', () => {
  let clean: string
  // Nothing is moved here: no address has to wait until nobody else is found to have it.
  beforeAll(async () => {
    await bed.lab.must('echo 0 >/proc/sys/net/ipv6/conf/nic0/accept_dad')
  })
  afterAll(async () => {
    await bed.lab.must('echo 1 >/proc/sys/net/ipv6/conf/nic0/accept_dad')
  })
  beforeEach(() => {
    clean = ''
  })
  afterEach(async () => {
    await bed.lab.must(`${clean}\nip addr flush dev nic0; ip link set nic0 nomaster down; true`)
  })
  /** Makes a state that `undo` takes away, in which an ADD is refused with these words and changes nothing. */
  async function refuses(
    make: string,
    undo: string,
    words: string,
    { device = 'nic0', code = 7, ...more }: Record<string, unknown> = {},
  ): Promise<void> {
    clean = undo
    await bed.lab.must(`set -e\n${make}`)
    await bed.remember()
    const error = await bed.refused('ADD', { type: 'vf-attach', device, ...more }, 'pod-one')
    expect(error).toMatchObject({ code })
    expect(`${error.msg} ${error.details ?? ''}`).toContain(words)
    expect(error.msg).toContain(`device "${device}"`)
    await bed.expectUnchanged()
  }

  test('a bridge that the kernel moves nowhere keeps its addresses and routes', () =>
    refuses(
      `ip link add br-node type bridge && ip link set br-node up
       ip addr add 192.0.2.5/24 dev br-node; ip addr add 2001:db8::5/64 dev br-node nodad
       ip route add 198.18.0.0/16 via 192.0.2.1; ip -6 route add 2001:db8:ff::/48 via 2001:db8::1`,
      'ip link del br-node',
      'EINVAL',
      { device: 'br-node' },
    ))

  test('ADD refuses a bridge with ports', () =>
    refuses(
      'ip link add br-node type bridge && ip link set nic0 master br-node',
      'ip link del br-node',
      'it is the master of "nic0"',
      { device: 'br-node' },
    ))

  test.each([
    [
      'the default route of IPv4',
      'ip route add default via 192.0.2.1',
      'default route 0.0.0.0/0 via 192.0.2.1',
    ],
    [
      'the default route of IPv6',
      'ip -6 route add default via 2001:db8::1',
      'default route ::/0 via 2001:db8::1',
    ],
    [
      'a default route in another table',
      'ip route add default via 192.0.2.1 table 1000',
      '0.0.0.0/0 via 192.0.2.1 table 1000',
    ],
    [
      'the source of a route by another interface',
      'ip route add 198.18.0.0/16 dev up0 src 192.0.2.5',
      '198.18.0.0/16',
    ],
  ])('%s', (_, route, words) =>
    refuses(
      `ip link set nic0 up; ip addr add 192.0.2.5/24 dev nic0; ip addr add 2001:db8::5/64 dev nic0 nodad; ${route}`,
      'ip route del 198.18.0.0/16 dev up0 2>/dev/null',
      words,
    ),
  )

  test("ADD refuses the node's only address", async () => {
    const [v4, v6] = ['10.1.0.1/24', 'fd00:1::1/64']
    await refuses(
      `ip addr add 192.0.2.5/24 dev nic0; ip addr del ${v4} dev up0`,
      `ip addr add ${v4} dev up0; ip route add 10.2.0.0/24 via 10.1.0.254; ip addr show dev up0 | grep -q ${v6}`,
      "it has the node's only address of IPv4: 192.0.2.5/24",
    )
  })

  test('ADD refuses an interface that another one lies on', () =>
    refuses(
      'ip link add tunnel0 type vxlan id 4 dev nic0 dstport 4789',
      'ip link del tunnel0',
      '"tunnel0" lies on it',
    ))

  test.each([
    ['a shaper', 'tc qdisc add dev nic0 root tbf rate 1mbit burst 10k latency 50ms', 'the qdisc tbf'],
    ['a clsact qdisc', 'tc qdisc add dev nic0 clsact', 'the qdisc clsact'],
  ])('ADD refuses %s, which a move destroys', (_, make, words) =>
    refuses(make, 'tc qdisc del dev nic0 root 2>/dev/null; tc qdisc del dev nic0 clsact 2>/dev/null', words),
  )

  test.each([
    [
      'a route by several interfaces',
      'ip route add 198.18.0.0/16 nexthop via 192.0.2.1 nexthop via 10.1.0.254',
      'ip route del 198.18.0.0/16',
      'of several interfaces',
    ],
    [
      'a route by a nexthop object',
      'ip nexthop add id 7 via 192.0.2.1 dev nic0; ip route add 198.18.0.0/16 nhid 7',
      'ip nexthop del id 7',
      'nhid 7',
    ],
    [
      'a nexthop object that no route uses',
      'ip nexthop add id 8 via 192.0.2.1 dev nic0',
      'ip nexthop del id 8',
      'the nexthop object 8',
    ],
  ])('%s', (_, make, undo, words) =>
    refuses(`ip link set nic0 up; ip addr add 192.0.2.5/24 dev nic0; ${make}`, undo, words),
  )

  test('ADD refuses an altname that the pod has', () =>
    refuses(
      `ip link set nic0 up; ip addr add 2001:db8::5/64 dev nic0 nodad; ip link property add dev nic0 altname pods-own
       ip -n pod-one link add pods-own type ifb`,
      'ip -n pod-one link del pods-own; ip link property del dev nic0 altname pods-own',
      'EEXIST',
      { code: 102 },
    ))

  test("ADD refuses an altname that the pod has, beside an interface of the device's name", () =>
    refuses(
      `ip link property add dev nic0 altname pods-own; ip -n pod-one link add pods-own type ifb
       ip -n pod-one link add nic0 type ifb`,
      `ip -n pod-one link del pods-own; ip -n pod-one link del nic0; ip link property del dev nic0 altname pods-own`,
      'EEXIST',
      { code: 102 },
    ))
})

test('where config and policy allow it a pod gets a device by which the node lives, and DEL gives its default routes back', async () => {
  await bed.lab.must(`set -e
    ip link set nic0 up; ip addr add 192.0.2.5/24 dev nic0; ip addr add 2001:db8::5/64 dev nic0 nodad
    ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8::1`)
  await bed.remember()
  const config = onNic(bed.nic(), { allowNodeDevice: true })
  const refused = await bed.refused('ADD', config, 'pod-one')
  expect(refused).toMatchObject({ code: 7, msg: expect.stringContaining("and in the node's policy") })
  await bed.lab.writeFile('/etc/vf-flower/policy.json', '{ "allowNodeDevice": true }', 0o644)
  const { code, stderr } = await bed.call('ADD', config, 'pod-one')
  expect(code).toBe(0)
  expect(stderr).toContain('the node lives by "nic0"')
  await bed.del(config, 'pod-one')
  await bed.lab.must('rm /etc/vf-flower/policy.json')
  await bed.expectUnchanged()
  await bed.lab.must(
    `ip addr flush dev nic0; ip link set nic0 down; ip -n ${WIRE.namespace} link show >/dev/null`,
  )
})
