// An ADD with `pf` takes a free VF. The test lays out the folder of PCI functions; the rest is real: interfaces are veths,
// and namespaces, locks and records are the node's own. test/lab/attach/select.test.ts and test/lab/attach/open.test.ts
// have VFs of hardware.
// needs: veth, tbf
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { makeNativeBed, type NativeBed } from '../../support/attach-native-bed.ts'

const FOLDER = '/sys/bus/pci/devices'
const POLICY = '/etc/vf-flower/policy.json'
const PF = 'ffff:ff:00.0'
const [FIRST, SECOND, THIRD] = ['ffff:ff:02.0', 'ffff:ff:02.1', 'ffff:ff:02.2'] as const
const byPf: PluginConfig = { type: 'vf-attach', pf: PF }

let bed: NativeBed

beforeAll(async () => {
  bed = await makeNativeBed(3, ['pod-one', 'pod-two'])
  await bed.lab.must(`mount -t tmpfs none ${FOLDER}`)
})
afterAll(async () => {
  await bed?.lab.must(`umount ${FOLDER}; rm -f ${POLICY}`)
  await bed?.end()
})

/** Lays out the VFs of the PF: by address what is in their folders, as lines for a shell. */
async function layOut(vfs: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(vfs).map(
    ([address, more], index) => `mkdir -p ${address}; ln -s ../${address} ${PF}/virtfn${index}
      (cd ${address}; ln -s ../${PF} physfn; ${more})`,
  )
  await bed.lab.must(`cd ${FOLDER}; rm -rf ffff:*; mkdir ${PF}; echo ${lines.length} >${PF}/sriov_numvfs
    ${lines.join('\n')}`)
}

const inUserSpace = 'ln -s /sys/bus/pci/drivers/vfio-pci driver; echo 0 >enable'
const open = (address: string, count: 0 | 1) => bed.lab.must(`echo ${count} >${FOLDER}/${address}/enable`)

/** The VF that an ADD with `pf` gives to a pod, and what it says. */
async function given(pod: string): Promise<{ vf: string | undefined; stderr: string }> {
  const { code, stdout, stderr } = await bed.call('ADD', byPf, pod)
  expect(code, stdout).toBe(0)
  return { vf: JSON.parse(stdout).interfaces[0].pciID, stderr }
}

describe('a VF that an attachment has left', () => {
  beforeEach(async () => {
    await bed.rebuild()
    await layOut({ [FIRST]: inUserSpace })
  })

  test('is given out when another namespace has the path of its owner', async () => {
    expect(await given('pod-one')).toMatchObject({ vf: FIRST })
    expect(await bed.refused('ADD', byPf, 'pod-two')).toMatchObject({ code: 11 })
    await bed.podDies('pod-one')
    await bed.podIsBack('pod-one')
    const { vf, stderr } = await given('pod-two')
    expect([vf, stderr]).toEqual([FIRST, expect.stringContaining('is gone')])
    expect(await bed.lab.must(`cat /var/lib/cni/sriov/pci/${FIRST}`)).toBe('/run/netns/pod-two')
  })

  test('is given out when its program has closed it since the DEL, while the pod lives', async () => {
    await given('pod-one')
    await bed.lab.must(`sed -i 's/"journal": *{/&"pendingClose":true,/' '${await bed.recordOf('pod-one')}'`)
    await open(FIRST, 1)
    expect(await bed.refused('ADD', byPf, 'pod-two')).toMatchObject({ code: 11 })
    await open(FIRST, 0)
    expect(await given('pod-two')).toMatchObject({ vf: FIRST })
  })

  test('is passed over when sriov-cni has given it to another namespace', async () => {
    await given('pod-one')
    await bed.podDies('pod-one')
    await bed.lab.must(`printf %s /run/netns/pod-two >/var/lib/cni/sriov/pci/${FIRST}`)
    expect(await bed.refused('ADD', byPf, 'pod-two')).toMatchObject({
      code: 11,
      msg: expect.stringContaining('none of its 1 virtual functions is free'),
    })
  })

  test('from before the last boot may be open when its attachment gets another one', async () => {
    await given('pod-one')
    await layOut({ [FIRST]: inUserSpace, [SECOND]: inUserSpace })
    await bed.lab.must(`sed -i 's/"bootId": *"[^"]*"/"bootId":"before"/' '${await bed.recordOf('pod-one')}'`)
    await open(FIRST, 1)
    const { interfaces } = await bed.add({ type: 'vf-attach', deviceID: SECOND }, 'pod-one')
    expect(interfaces).toMatchObject([{ pciID: SECOND }])
    expect(await bed.recordOf('pod-one')).toContain(SECOND)
  })
})

test('a VF that the host uses is passed over, and named where no other is free', async () => {
  await bed.rebuild()
  const folder = (name: string) => `mkdir -p net/${name}`
  await layOut({ [FIRST]: folder('nic0'), [SECOND]: folder('nic1'), [THIRD]: folder('nic2') })
  await bed.lab.must(`set -e; ip link set nic0 up; ip route add default dev nic0
    tc qdisc add dev nic1 root tbf rate 1mbit burst 10k latency 10ms`)
  await bed.lab.writeFile(POLICY, '{ "allowNodeDevice": true }', 0o644)
  const { vf, stderr } = await given('pod-one')
  expect(vf).toBe(THIRD)
  expect(stderr).toContain(`"${FIRST}" is passed over: the node lives by "nic0"`)
  expect(stderr).toContain(`"${SECOND}" is passed over: "nic1" could not be given back as it is`)
  // The node's policy and the config allow it for a device that is named.
  expect(await bed.refused('ADD', { ...byPf, allowNodeDevice: true }, 'pod-two')).toMatchObject({
    code: 11,
    details: expect.stringMatching(`"${FIRST}" is passed over: .*"${SECOND}" is passed over: `),
  })
  await bed.rebuild()
})
