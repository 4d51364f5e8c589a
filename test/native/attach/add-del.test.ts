// vf-attach on an interface of software: what the kernel's own tools say after ADD, what the runtime reads, and that the host is
// as before after DEL and after a refusal. What only a VF can show is in test/lab/attach/add-del.test.ts.
// needs: veth, bridge, ifb
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import { json, silently, staticIpam } from '../../../hack/lab/bed/plugins.ts'
import { WIRE } from '../../../hack/lab/bed/topology.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const ADDRESS = '10.1.0.5'
const ipam = staticIpam(`${ADDRESS}/24`)

let bed: NativeBed

beforeAll(async () => {
  bed = await makeNativeBed(2, ['pod-one', 'pod-two'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

describe('ADD and DEL', () => {
  test('announces the address on the wire with the pod MAC', async () => {
    const mac = '02:00:00:00:00:43'
    const config = onNic(bed.nic(), { mac, ipam })
    const seen = await capture(bed.lab, WIRE.namespace, bed.topology.wire, `arp and ether src ${mac}`)
    await bed.add(config, 'pod-one')
    await expect
      .poll(() => seen.frames().map(({ destination, text }) => `${destination} ${text}`), { timeout: 30_000 })
      .toContainEqual(
        expect.stringMatching(/^ff:ff:ff:ff:ff:ff .*Request who-has 10\.1\.0\.5 .*tell 10\.1\.0\.5/),
      )
    await seen.stop()
    await bed.del(config, 'pod-one')
    await bed.expectUnchanged()
  })

  test('keeps an interface that was up on the host up after DEL', async () => {
    const { netdev } = bed.nic(1)
    await bed.lab.must(`ip link set ${netdev} up`)
    await bed.remember()
    await bed.add(onNic(bed.nic(1)), 'pod-one')
    await bed.del(onNic(bed.nic(1)), 'pod-one')
    await bed.expectUnchanged()
    await bed.lab.must(`ip link set ${netdev} down`)
    await bed.remember()
  })

  test('prints the result in the version of the config', async () => {
    for (const cniVersion of ['0.2.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']) {
      const config = onNic(bed.nic(), cniVersion === '1.1.0' ? {} : { ipam })
      const result = await bed.add(config, 'pod-one', { cniVersion })
      expect(result.cniVersion).toBe(cniVersion)
      if (cniVersion === '0.2.0') expect(result.ip4).toMatchObject({ ip: `${ADDRESS}/24` })
      if (cniVersion.startsWith('0.3')) expect(result.ips?.[0]).toMatchObject({ version: '4' })
      await bed.del(config, 'pod-one', { cniVersion })
    }
    await bed.expectUnchanged()
  })
})

describe('refusals leave nothing behind', () => {
  test('ADD refuses a device that belongs to another container with code 11, and names the owner', async () => {
    const config = onNic(bed.nic())
    await bed.add(config, 'pod-one')
    const error = await bed.refused('ADD', config, 'pod-two')
    expect(error.code).toBe(11)
    expect(error.msg).toContain('"pod-one"')
    expect(error.msg).toContain('"net1"')
    // The refused container's DEL must not touch what the owner has.
    await bed.del(config, 'pod-two')
    expect(await json(bed.lab, 'ip -n pod-one -j link show dev net1')).toHaveLength(1)
    await bed.del(config, 'pod-one')
    await bed.expectUnchanged()
  })

  test('ADD refuses a CNI_IFNAME that the pod has as name or altname, with code 4', async () => {
    await bed.lab.must(
      'ip -n pod-one link add net1 type ifb; ip -n pod-one link property add dev lo altname net2',
    )
    for (const ifname of ['net1', 'net2', 'net%d']) {
      const error = await bed.refused('ADD', onNic(bed.nic()), 'pod-one', { ifname })
      expect(error.code).toBe(4)
      expect(error.msg).toContain(`CNI_IFNAME "${ifname}"`)
    }
    await bed.lab.must('ip -n pod-one link del net1; ip -n pod-one link property del dev lo altname net2')
    await bed.expectUnchanged()
  })

  test('an ADD whose IPAM plugin fails passes its words on, and the interface is back', async () => {
    const broken = { type: 'static', addresses: [{ address: 'bogus' }] }
    const error = await bed.refused('ADD', onNic(bed.nic(), { ipam: broken }), 'pod-one')
    expect(error.msg).toContain('IPAM plugin "static"')
    await bed.expectUnchanged()
  })

  test('an ADD whose route the kernel refuses after IPAM ends with code 102, and the interface is back', async () => {
    const bad = { ...ipam, routes: [{ dst: '10.9.0.0/24', gw: '192.0.2.1' }] }
    const error = await bed.refused('ADD', onNic(bed.nic(), { ipam: bad }), 'pod-one')
    expect(error).toMatchObject({ code: 102 })
    expect(error.msg).toContain('Nexthop has invalid gateway')
    await bed.expectUnchanged()
  })

  test('wishes that are wrong are refused with code 7, key and value, and nothing is changed', async () => {
    const wrong: [Record<string, unknown>, string][] = [
      [{ vlan: 4095 }, 'vlan 4095'],
      [{ vlan: '5' }, 'vlan "5"'],
      [{ spoofchk: 'yes' }, 'spoofchk "yes"'],
      [{ max_tx_rate: -1 }, 'max_tx_rate -1'],
      [{ mac: '01:00:5e:00:00:01' }, 'mac "01:00:5e:00:00:01"'],
      [{ deviceID: '../../0000:01:10.0' }, 'deviceID "../../0000:01:10.0"'],
      [{ deviceID: '0000:01:1f.7' }, 'deviceID "0000:01:1f.7"'],
      [{ hwaddr: '02:00:00:00:00:01' }, 'hwaddr "02:00:00:00:00:01"'],
      [{ trust: 'on' }, 'trust for "netdev:nic0": it is no virtual function'],
      [
        { mtu: 1279, ipam: staticIpam(`${ADDRESS}/24`, 'fd00:1::5/64') },
        'mtu 1279 with the IPv6 address "fd00:1::5/64"',
      ],
    ]
    for (const [wish, words] of wrong) {
      const error = await bed.refused('ADD', onNic(bed.nic(), wish), 'pod-one')
      expect(error, words).toMatchObject({ code: 7, msg: expect.stringContaining(words) })
    }
    await bed.expectUnchanged()
  })
})

describe('DEL in hard cases', () => {
  const wishes = { mac: '02:00:00:00:00:45', mtu: 1400 }

  test('DEL succeeds when the namespace is gone with the interface, and the next ADD finds a new one', async () => {
    const config = onNic(bed.nic(), { ...wishes, ipam })
    await bed.add(config, 'pod-one')
    await bed.podDies('pod-one')
    await bed.del(config, 'pod-one', { netns: '' })
    await bed.podIsBack('pod-one')
    await bed.nicIsBack()
    await bed.add(config, 'pod-one')
    await bed.del(config, 'pod-one')
    await bed.expectUnchanged()
  })

  test('CHECK finds a lost address, GC with an empty list leaves a living pod alone and says so', async () => {
    const config = onNic(bed.nic(), wishes)
    const result = await bed.add(config, 'pod-one', { cniVersion: '1.1.0' })
    await bed.lab.must('ip -n pod-one link set net1 down')
    const failed = await bed.refused('CHECK', config, 'pod-one', { cniVersion: '1.1.0', prevResult: result })
    expect(failed).toMatchObject({ code: 104, msg: expect.stringContaining('"net1" is down') })

    const nothingValid = { cniVersion: '1.1.0', config: { 'cni.dev/valid-attachments': [] } }
    const kept = await bed.refused('GC', config, 'pod-one', nothingValid)
    expect(kept).toMatchObject({ code: 103, msg: expect.stringContaining('its namespace lives') })
    expect(await json(bed.lab, 'ip -n pod-one -j link show dev net1')).toHaveLength(1)

    await bed.podDies('pod-one')
    await silently(bed.call('GC', config, 'pod-one', nothingValid))
    await bed.podIsBack('pod-one')
    await bed.nicIsBack()
    await bed.expectUnchanged()
  })

  test('the interface comes home under a spare name when another one has its name now, which is left alone', async () => {
    const config = onNic(bed.nic(), wishes)
    const { netdev, mac } = bed.nic()
    await bed.add(config, 'pod-one')
    const { ifindex } = await bed.link('pod-one', 'net1')
    await bed.lab.must(`ip link add ${netdev} type ifb`)
    const untouched = await bed.link(null, netdev)
    await bed.del(config, 'pod-one')
    expect(await bed.link(null, netdev)).toEqual(untouched)
    const spare = `vf-if${ifindex}`
    expect(await bed.link(null, spare)).toMatchObject({ address: mac })
    await bed.lab.must(`ip link del ${netdev}; ip link set dev ${spare} name ${netdev}`)
    await bed.expectUnchanged()
  })
})
