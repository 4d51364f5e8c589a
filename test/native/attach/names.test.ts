// Names that a device in a pod had on the host are its own: nobody else's interface is meant by them, whatever a pod has called that.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { deletePod } from '../../../hack/lab/bed/topology.ts'
import type { PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { makeNativeBed, type NativeBed } from '../../support/attach-native-bed.ts'

let bed: NativeBed

beforeAll(async () => {
  bed = await makeNativeBed(2, ['pod-one', 'pod-two', 'pod-three'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

const by = (device: string): PluginConfig => ({ type: 'vf-attach', device })

test('an altname of an interface is refused with code 11 while a pod has the device of that name', async () => {
  const [one, two] = [bed.nic(0), bed.nic(1)]
  await bed.lab.must(`ip link property add dev ${two.netdev} altname nic-one-by-alt`)
  await bed.remember()
  await bed.add(by(two.netdev), 'pod-two')
  await bed.lab.must(`ip link property add dev ${one.netdev} altname ${two.netdev}
    ip link property add dev ${one.netdev} altname nic-one-by-alt`)
  for (const name of [two.netdev, 'nic-one-by-alt']) {
    const { code, msg } = await bed.refused('ADD', by(name), 'pod-three')
    expect(msg).toContain(`it is the name of "netdev:${two.netdev}", which container "pod-two"`)
    expect([code, msg.includes(`"${one.netdev}" only has that name now`)]).toEqual([11, true])
  }
  // By its own name it is what is meant.
  await bed.add(by(one.netdev), 'pod-one')
  await bed.del(by(one.netdev), 'pod-one')
  await bed.lab.must(`ip link property del dev ${one.netdev} altname ${two.netdev}
    ip link property del dev ${one.netdev} altname nic-one-by-alt`)
  await bed.del(by(two.netdev), 'pod-two')
  await bed.expectUnchanged()
  await bed.add(by(two.netdev), 'pod-three')
  await bed.del(by(two.netdev), 'pod-three')
  await bed.lab.must(`ip link property del dev ${two.netdev} altname nic-one-by-alt`)
})

test('the name of a device that went with its pod is free', async () => {
  const [one, two] = [bed.nic(0), bed.nic(1)]
  await bed.add(by(two.netdev), 'pod-two')
  await deletePod(bed.lab, 'pod-two')
  await bed.lab.must(
    `until ip link property add dev ${one.netdev} altname ${two.netdev}; do sleep 0.05; done`,
  )
  await bed.add(by(two.netdev), 'pod-three')
  expect(await bed.lab.must('ip -n pod-three -br link show dev net1')).toContain(one.mac)
  await bed.rebuild()
})
