// A config means an interface by name or MAC, as host-device is told, and interfaces of software come home.
// test/lab/attach/select.test.ts selects VFs.
// needs: veth, bridge, ifb
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed } from '../../support/attach-native-bed.ts'

let bed: NativeBed

beforeAll(async () => {
  bed = await makeNativeBed(2, ['pod-one', 'pod-two'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

/** A config that names the device with these keys only. */
function by(selectors: Record<string, unknown>, more: Record<string, unknown> = {}): PluginConfig {
  return { type: 'vf-attach', ...selectors, ...more }
}

test('each way of naming an interface, and several that agree, give that one to the pod; code 11 to everybody else', async () => {
  const { netdev, mac } = bed.nic()
  await bed.lab.must(`ip link property add dev ${netdev} altname nic-zero-by-alt`)
  await bed.remember()
  const ways: Record<string, unknown>[] = [
    { device: netdev },
    { device: 'nic-zero-by-alt' },
    { hwaddr: mac.toUpperCase().replaceAll(':', '-') },
    { device: netdev, hwaddr: mac },
  ]
  for (const way of ways) {
    const result = await bed.add(by(way), 'pod-one')
    expect(result.interfaces, JSON.stringify(way)).toMatchObject([{ name: 'net1', mac }])
    for (const other of ways) {
      const error = await bed.refused('ADD', by(other), 'pod-two')
      expect(error, JSON.stringify([way, other])).toMatchObject({
        code: 11,
        msg: expect.stringContaining('"pod-one"'),
      })
    }
    await bed.del(by(way), 'pod-one')
  }
  await bed.expectUnchanged()
  await bed.lab.must(`ip link property del dev ${netdev} altname nic-zero-by-alt`)
  await bed.remember()
})

test('a selector that means nothing, several things, or another device than the rest is refused with code 7', async () => {
  const [one, two] = [bed.nic(0), bed.nic(1)]
  await bed.lab.must(`ip link add twin0 address 02:00:00:00:07:02 type ifb
    ip link add twin1 address 02:00:00:00:07:02 type ifb`)
  await bed.remember()
  const wrong: [Record<string, unknown>, string][] = [
    [
      { hwaddr: two.mac, device: one.netdev },
      `device means netdev:${one.netdev}, hwaddr means netdev:${two.netdev}`,
    ],
    [{ hwaddr: '02:00:00:00:07:02' }, 'it means several interfaces: twin0, twin1'],
    [{ hwaddr: '02:00:00:00:07:03' }, 'no interface of the host is that'],
    [{ hwaddr: 'first' }, 'hwaddr "first": must be a MAC address'],
    [{ device: 'eth99' }, 'device "eth99"'],
    [{ device: '../eth0' }, 'device "../eth0": must be'],
    [{ kernelpath: `/sys/class/net/${one.netdev}/device` }, 'must be an absolute path below /sys/devices/'],
    [{ kernelpath: `/sys/devices/../class/net/${one.netdev}` }, 'kernelpath'],
    [{ kernelpath: '/sys/devices/../../etc' }, 'kernelpath "/sys/devices/../../etc"'],
    [{ pciBusID: 'mlx5_core.sf.1' }, 'pciBusID "mlx5_core.sf.1"'],
    [{ deviceID: 'mlx5_core.sf.1' }, 'no such device on the auxiliary bus'],
    [{ pf: 'lo' }, 'no physical function of that name'],
    [{}, 'one of deviceID, pciBusID'],
  ]
  for (const [selectors, words] of wrong) {
    const error = await bed.refused('ADD', by(selectors), 'pod-one')
    expect(error, JSON.stringify(selectors)).toMatchObject({ code: 7, msg: expect.stringContaining(words) })
  }
  await bed.expectUnchanged()
  await bed.lab.must('ip link del twin0; ip link del twin1')
  await bed.remember()
})

describe('under the names of others', () => {
  test('host-device leaves a veth as before after DEL, with all that the pod did to it', async () => {
    await bed.lab.must(`ip link add hd0 txqlen 500 alias 'of the operator' type veth peer name hd1
      ip link property add dev hd0 altname hd0-other
      ip address add 10.77.0.1/24 dev hd1; ip link set hd1 up; ip link set hd0 up promisc on`)
    await hasOwnAddress('hd0', 'hd1')
    await bed.remember()
    const config = by({ device: 'hd0' }, { type: 'host-device', ipam: localIpam('host-local', '10.77.0') })
    const result = await bed.add(config, 'pod-one', { cniVersion: '0.4.0' })
    expect(result.interfaces).toEqual([
      { name: 'net1', mac: expect.stringMatching(/^[0-9a-f:]{17}$/), sandbox: '/run/netns/pod-one' },
    ])
    expect(result.ips).toMatchObject([{ address: '10.77.0.100/24', interface: 0 }])
    await bed.lab.must('ip netns exec pod-one ping -c 1 -W 10 10.77.0.1')
    await bed.lab.must(`ip -n pod-one link set net1 alias 'of the pod' promisc off allmulticast on txqlen 77 mtu 1280
      ip -n pod-one link property add dev net1 altname given-by-pod; ip -n pod-one link property del dev net1 altname hd0-other`)
    await bed.del(config, 'pod-one', { cniVersion: '0.4.0' })
    await hasOwnAddress('hd0')
    await bed.expectUnchanged()
    await bed.lab.must('ip link del hd0')
    await bed.remember()
  })

  test('host-device makes an interface a port of its bridge again', async () => {
    const { netdev } = bed.nic()
    await bed.lab.must(`ip link add br-hd type bridge; ip link set ${netdev} master br-hd allmulticast on`)
    await bed.remember()
    const config = by({ device: netdev }, { type: 'host-device', ipam: localIpam() })
    await bed.add(config, 'pod-one')
    expect(await bed.link('pod-one', 'net1')).not.toHaveProperty('master')
    await bed.del(config, 'pod-one')
    expect(await bed.link(null, netdev)).toMatchObject({ master: 'br-hd' })
    await bed.expectUnchanged()
    await bed.lab.must(`ip link set ${netdev} nomaster allmulticast off; ip link del br-hd`)
  })
})

/** Waits until interfaces have a link-local address that is nobody else's. */
async function hasOwnAddress(...names: string[]): Promise<void> {
  await bed.lab.must(`for name in ${names.join(' ')}; do
    until ip -6 address show dev $name scope link -tentative | grep -q inet6; do sleep 0.05; done
  done`)
}
