// The key CNIDeviceInfoFile on devices that are on no PCI bus, and with values that name no file: both plugins take the key, no call
// fails for its value, and nothing is written.
// needs: veth
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const folder = '/run/k8s.cni.cncf.io/devinfo/cni'

let bed: NativeBed
beforeAll(async () => {
  bed = await makeNativeBed(1, ['pod-one'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

const capabilities = { CNIDeviceInfoFile: true }
const asked = (file: unknown) => ({ capabilityArgs: { CNIDeviceInfoFile: file } })

test.each([`${folder}/lab-net-pod-one_net1`, '/etc/passwd', 'relative', '', 7, null, {}, true])(
  'vf-attach with %j',
  async (file) => {
    const plugin = onNic(bed.nic(), { capabilities })
    await bed.add(plugin, 'pod-one', asked(file))
    await bed.del(plugin, 'pod-one', asked(file))
    await bed.expectUnchanged()
    expect(await bed.lab.must(`ls -A ${folder} 2>/dev/null || true`)).toBe('')
  },
)

test('vf-offload behind it, with a wish, takes the key too', async () => {
  const attach = onNic(bed.nic(), { capabilities })
  const offload = { type: 'vf-offload', ingressRate: 8_000_000, ingressBurst: 8_000_000, capabilities }
  for (const file of [`${folder}/lab-net-pod-one_net1`, 7]) {
    const prevResult = await bed.add(attach, 'pod-one', asked(file))
    const added = await bed.call('ADD', offload, 'pod-one', { ...asked(file), prevResult })
    expect([added.code, added.stderr]).toEqual([0, expect.not.stringContaining('CNIDeviceInfoFile')])
    await bed.call('DEL', offload, 'pod-one', { ...asked(file), prevResult })
    await bed.del(attach, 'pod-one', asked(file))
  }
  await bed.expectUnchanged()
  expect(await bed.lab.must(`ls -A ${folder} 2>/dev/null || true`)).toBe('')
})
