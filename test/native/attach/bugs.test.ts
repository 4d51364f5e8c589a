// Mistakes of sriov-cni and host-device with any device do not happen here. `#n` is a public issue of sriov-cni, `plugins
// #n` one of containernetworking/plugins. test/lab/attach/bugs.test.ts has the mistakes that only a VF can show.
// needs: veth, bridge, ifb
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { json } from '../../../hack/lab/bed/plugins.ts'
import { BED_FOLDER, FLAKY, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

let bed: NativeBed

beforeAll(async () => {
  bed = await makeNativeBed(1, ['pod-one', 'pod-two'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

describe('a failed ADD', () => {
  test("neither the way back of an ADD whose CNI_IFNAME exists nor its DEL takes the pod's own interface", async () => {
    await bed.lab.must(
      'ip -n pod-one link add eth0 address 02:00:00:00:0a:02 type ifb; ip -n pod-one link set eth0 up',
    )
    const own = await bed.link('pod-one', 'eth0')
    const config = onNic(bed.nic(), { mac: '02:00:00:00:0a:03', ipam: localIpam() })
    expect(await bed.refused('ADD', config, 'pod-one', { ifname: 'eth0' })).toMatchObject({ code: 4 })
    await bed.del(config, 'pod-one', { ifname: 'eth0' })
    expect(await bed.link('pod-one', 'eth0')).toEqual(own)
    await bed.lab.must('ip -n pod-one link del eth0')
    await bed.expectUnchanged()
  })

  test('by the name host-device the NIC is back at once when IPAM fails after the move, and not only after DEL', async () => {
    const config = { type: 'host-device', device: bed.nic().netdev, ipam: { type: 'static', addresses: [] } }
    await bed.refused('ADD', config, 'pod-one')
    await bed.expectUnchanged()
  })

  test.each([
    { spoofchk: 'On' },
    { trust: 'yes' },
    { min_tx_rate: -1 },
    { mac: '01:00:5e:00:00:01' },
    { min_tx_rate: 9, max_tx_rate: 8 },
  ])('what was taken for something else without a word is refused: %j', async (wish) => {
    const [key = ''] = Object.keys(wish)
    const error = await bed.refused('ADD', onNic(bed.nic(), wish), 'pod-one')
    // Not for the reason that this is no VF, which would be as good for a value that is right.
    expect(error).toMatchObject({ code: 7, msg: expect.stringContaining(key) })
    expect(error.msg).not.toContain('no virtual function')
  })
})

describe('a DEL that comes late, early or fails', () => {
  test('DEL of an old pod, slow in IPAM, neither holds up nor resets the next pod on its interface', async () => {
    const old = onNic(bed.nic(), { mtu: 1400, ipam: localIpam(FLAKY) })
    const next = onNic(bed.nic(), { mtu: 1300 })
    await bed.add(old, 'pod-one')
    await bed.lab.must(`touch ${BED_FOLDER}/hold`)
    const del = bed.del(old, 'pod-one')
    try {
      await bed.lab.must(`until [ -e ${BED_FOLDER}/asked ]; do sleep 0.05; done`)
      await bed.add(next, 'pod-two')
    } finally {
      await bed.lab.must(`rm -f ${BED_FOLDER}/hold ${BED_FOLDER}/asked`)
      await del
    }
    await bed.del(old, 'pod-one')
    await bed.lab.must(`rm -f ${BED_FOLDER}/asked`)
    expect(await bed.link('pod-two', 'net1')).toMatchObject({ address: bed.nic().mac, mtu: 1300 })
    await bed.del(next, 'pod-two')
    await bed.expectUnchanged()
  })

  test('#273: a DEL that failed is not forgotten, its repetition really repeats it', async () => {
    const { netdev } = bed.nic()
    const config = onNic(bed.nic(), { mtu: 1400, ipam: localIpam() })
    await bed.add(config, 'pod-one')
    const spare = `vf-if${(await bed.link('pod-one', 'net1')).ifindex}`
    const taken = [netdev, spare, ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((number) => `${spare}-${number}`)].join(
      ' ',
    )
    await bed.lab.must(`for name in ${taken}; do ip link add $name type ifb; done`)
    for (let time = 0; time < 2; time++) {
      expect(await bed.refused('DEL', config, 'pod-one')).toMatchObject({ code: 103 })
    }
    await bed.lab.must(`for name in ${taken}; do ip link del $name; done`)
    await bed.del(config, 'pod-one')
    await bed.expectUnchanged()
  })

  test('plugins #714, #1196: DEL leaves another pod alone whose namespace has the path by now, and frees the address', async () => {
    const config = onNic(bed.nic(), { ipam: localIpam() })
    await bed.add(config, 'pod-one')
    await bed.podDies('pod-one')
    await bed.podIsBack('pod-one')
    await bed.lab.must(
      'ip -n pod-one link add net1 address 02:00:00:00:0a:05 type ifb; ip -n pod-one link set net1 up',
    )
    const stranger = await bed.link('pod-one', 'net1')
    await bed.del(config, 'pod-one')
    expect(await bed.link('pod-one', 'net1')).toEqual(stranger)
    await bed.lab.must('ip -n pod-one link del net1')
    await bed.nicIsBack()
    await bed.expectUnchanged()
  })
})

describe('names', () => {
  test("#250: an altname in the pod that is the interface's own name does not keep it there", async () => {
    const { netdev } = bed.nic()
    await bed.add(onNic(bed.nic()), 'pod-one')
    await bed.lab.must(`ip -n pod-one link property add dev net1 altname ${netdev}`)
    await bed.del(onNic(bed.nic()), 'pod-one')
    await bed.expectUnchanged()
  })

  test("#445: an altname on the host that is the pod's name does not fail ADD, and is there again after DEL", async () => {
    const { netdev } = bed.nic()
    await bed.lab.must(`ip link property add dev ${netdev} altname net1`)
    await bed.remember()
    for (let time = 0; time < 2; time++) {
      await bed.add(onNic(bed.nic()), 'pod-one')
      expect(await bed.link('pod-one', 'net1')).toMatchObject({ ifname: 'net1' })
      await bed.del(onNic(bed.nic()), 'pod-one')
    }
    await bed.expectUnchanged()
    await bed.lab.must(`ip link property del dev ${netdev} altname net1`)
    await bed.remember()
  })
})

describe('dirty state', () => {
  test('MAC, MTU, promiscuous mode and all that a pod sets does not stay on the interface', async () => {
    const { netdev } = bed.nic()
    await bed.lab.must(`ip link set dev ${netdev} alias 'of the operator'`)
    await bed.remember()
    await bed.add(onNic(bed.nic()), 'pod-one')
    expect(await bed.link('pod-one', 'net1')).toMatchObject({ ifalias: 'of the operator' })
    await bed.lab.must(`ip -n pod-one link set net1 address 02:00:00:00:0a:06
      ip -n pod-one link set net1 mtu 1280 promisc on allmulticast on txqueuelen 5 alias 'of the pod'`)
    await bed.del(onNic(bed.nic()), 'pod-one')
    await bed.expectUnchanged()
    await bed.lab.must(`ip link set dev ${netdev} alias ''`)
    await bed.remember()
  })
})

describe('what was compared as text or by a route', () => {
  test('a MAC written as 02-00-.. is that MAC, in the pod and in the result', async () => {
    const config = onNic(bed.nic(), { mac: '02-00-00-00-0A-09' })
    const result = await bed.add(config, 'pod-one')
    const mac = '02:00:00:00:0a:09'
    expect(result.interfaces).toMatchObject([{ mac }])
    expect(await bed.link('pod-one', 'net1')).toMatchObject({ address: mac })
    await bed.del(config, 'pod-one')
    await bed.expectUnchanged()
  })

  test('CHECK of an address without a subnet (/32, /128) finds it', async () => {
    const ipam = { type: 'static', addresses: [{ address: '10.1.0.7/32' }, { address: 'fd00:1::7/128' }] }
    const config = onNic(bed.nic(), { ipam })
    const result = await bed.add(config, 'pod-one')
    expect(await bed.call('CHECK', config, 'pod-one', { prevResult: result })).toMatchObject({ code: 0 })
    expect(await json(bed.lab, 'ip -n pod-one -4 -j address show dev net1')).toHaveLength(1)
    await bed.del(config, 'pod-one')
    await bed.expectUnchanged()
  })
})
