// vf-attach on a node where the distribution's host-device worked: DEL brings home what that one took away, known by name or MAC.
// VFs, and what sriov-cni leaves, are in test/lab/attach/foreign.test.ts.
// needs: veth, bridge, macvlan, ifb
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { json } from '../../../hack/lab/bed/plugins.ts'
import type { PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { BED_FOLDER, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed } from '../../support/attach-native-bed.ts'

let bed: NativeBed

beforeAll(async () => {
  bed = await makeNativeBed(2, ['pod-one'])
  await bed.lab.must(`ln -sf /usr/lib/cni/host-device ${BED_FOLDER}/go-host-device`)
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

describe('an attachment of host-device', () => {
  const theirs = (more: Record<string, unknown>): PluginConfig => ({ type: 'go-host-device', ...more })
  const ours = (more: Record<string, unknown>): PluginConfig => ({ type: 'vf-attach', ...more })

  test.each([
    ['device', () => ({ device: bed.nic().netdev })],
    ['hwaddr', () => ({ hwaddr: bed.nic().mac.toUpperCase() })],
  ])('is brought home by DEL, selected by %s', async (_, selection) => {
    const ipam = localIpam()
    await bed.add(theirs({ ...selection(), ipam }), 'pod-one')
    expect(await bed.link('pod-one', 'net1')).toMatchObject({ ifalias: bed.nic().netdev })
    await bed.del(ours({ ...selection(), ipam }), 'pod-one')
    await bed.expectUnchanged()
    await bed.del(ours({ ...selection(), ipam }), 'pod-one')
    await bed.expectUnchanged()
  })

  test.each([
    ['name', () => ({ device: bed.nic().netdev })],
    ['MAC', () => ({ hwaddr: bed.nic().mac })],
  ])(
    'is not an interface of the pod with such an alias: what the config names by %s is on the host',
    async (_, selection) => {
      const { netdev } = bed.nic()
      await bed.lab.must(
        `ip -n pod-one link add net1 type veth peer name far; ip -n pod-one link set net1 alias ${netdev}`,
      )
      await bed.del(ours(selection()), 'pod-one')
      expect(await bed.link('pod-one', 'net1')).toMatchObject({ ifalias: netdev })
      await bed.lab.must('ip -n pod-one link del net1')
      await bed.expectUnchanged()
    },
  )

  test('is brought home by DEL when it is a macvlan', async () => {
    await bed.lab.must(`ip link add theirs link ${bed.nic(1).netdev} type macvlan mode bridge`)
    await bed.remember()
    await bed.add(theirs({ device: 'theirs' }), 'pod-one')
    await bed.del(ours({ device: 'theirs' }), 'pod-one')
    await bed.expectUnchanged()
    await bed.lab.must('ip link del theirs')
    await bed.remember()
  })

  test('stays where it is when the config means another device', async () => {
    const { netdev } = bed.nic()
    await bed.add(theirs({ device: netdev }), 'pod-one')
    await bed.del(ours({ device: bed.nic(1).netdev }), 'pod-one')
    await bed.del(ours({ hwaddr: bed.nic(1).mac }), 'pod-one')
    await bed.del(ours({ device: 'net1' }), 'pod-one')
    expect(await bed.link('pod-one', 'net1')).toMatchObject({ ifalias: netdev })
    await bed.del(ours({ device: netdev }), 'pod-one')
    await bed.expectUnchanged()
  })

  test('an interface that the pod made by itself stays, whatever its name', async () => {
    await bed.lab.must('ip -n pod-one link add net1 type ifb')
    await bed.del(ours({ device: bed.nic().netdev }), 'pod-one')
    expect(await json(bed.lab, 'ip -n pod-one -j link show dev net1')).toHaveLength(1)
    await bed.lab.must('ip -n pod-one link del net1')
  })
})
