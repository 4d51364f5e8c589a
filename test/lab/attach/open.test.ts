// A VF that a program in user space has open changes hands only when it is closed: igb with vfio-pci in a machine of its own,
// which has an IOMMU. A small program opens the VF as DPDK does; what is on the wire then is in test/soak/lab/attach-dpdk.test.ts.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { attachConfig, json } from '../../../hack/lab/bed/plugins.ts'
import { setMode } from '../../../hack/lab/bed/simnic.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { type AttachCalls, attachCalls, FORGET_CALLS, type More } from '../../support/attach-calls.ts'
import { bindTo, emulated, type Nic, openedBy, simulated, vfInfo } from '../../support/userspace-bed.ts'

const [ONE, TWO] = ['pod-one', 'pod-two'] as const
const MACS = { [ONE]: '02:00:00:00:00:71', [TWO]: '02:00:00:00:00:72' }
/** Lists records of ours and claims in sriov-cni's form. */
const RECORDS =
  'find /var/lib/cni/vf-flower/attach /var/lib/cni/sriov/pci -maxdepth 1 -type f 2>/dev/null || true'
const noMac = '00:00:00:00:00:00'

let nic: Nic
let calls: AttachCalls
/** PCI addresses of the two VFs, both on vfio-pci. */
let vfs: [string, string]
let before: Record<string, unknown>

beforeAll(async () => {
  nic = await emulated(2)
  const { lab, pf } = nic
  calls = await attachCalls(lab)
  const out = await lab.must(`modprobe vfio-pci; cd /sys/class/net/${pf}/device
    for index in 0 1; do basename "$(readlink virtfn$index)"; done`)
  vfs = out.trim().split('\n') as [string, string]
  for (const pci of vfs) await bindTo(nic, 'vfio-pci', pci)
  for (const pod of [ONE, TWO]) await newPod(lab, pod)
  before = await vfInfo(nic)
})
// A machine of its own is not used again.
afterAll(() => nic?.remove())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await nic.lab.must(`${FORGET_CALLS}; ip link set ${nic.pf} up`)
})

const plugin = (pod: keyof typeof MACS, more: Record<string, unknown> = {}): PluginConfig =>
  attachConfig(nic.vf, { mac: MACS[pod], vlan: pod === ONE ? 9 : 8, ...more })

const inOne = { address: MACS[ONE], vlan_list: [expect.objectContaining({ vlan: 9 })] }

/** A call that must succeed; what it said on stderr. */
async function told(command: string, config: PluginConfig, pod: string, more?: More): Promise<string> {
  const { code, stdout, stderr } = await calls.call(command, config, pod, more)
  expect([code, code === 0 ? '' : stdout]).toEqual([0, ''])
  return stderr
}

const gc = (pod: keyof typeof MACS, keys: Record<string, unknown>) =>
  ['GC', plugin(pod), pod, { cniVersion: '1.1.0', config: keys }] as const
const noneValid = { 'cni.dev/valid-attachments': [] }

async function isUnchanged(): Promise<void> {
  expect(await vfInfo(nic)).toEqual(before)
  expect(await nic.lab.must(RECORDS)).toBe('')
}

describe('an ADD', () => {
  test.each([
    ['the device', 'device'],
    ['the group, with which the device can be opened at any time', 'group'],
  ] as const)('is refused while a program has %s open, and names it', async (_, what) => {
    const program = await openedBy(nic, what)
    try {
      const error = await calls.refused('ADD', plugin(TWO), TWO)
      expect(error).toMatchObject({
        code: 11,
        msg: `Cannot use "${nic.vf}": process ${program.pid} (perl) has it open`,
      })
    } finally {
      await program.close()
    }
    await isUnchanged()
    await calls.add(plugin(TWO), TWO)
    await calls.del(plugin(TWO), TWO)
    await isUnchanged()
  })

  test('is refused while a program has a BAR in its memory, for which it needs no open file', async () => {
    await nic.lab.must('modprobe uio_pci_generic')
    await bindTo(nic, 'uio_pci_generic')
    const program = await openedBy(nic, 'bar')
    const error = await calls.refused('ADD', plugin(TWO), TWO)
    expect(error).toMatchObject({ code: 11, msg: expect.stringContaining(`process ${program.pid} (perl)`) })
    await program.close()
    await calls.add(plugin(TWO), TWO)
    await calls.del(plugin(TWO), TWO)
    await bindTo(nic, nic.user)
    await isUnchanged()
  })

  test('with `pf` takes a VF that is closed, and none when none is', async () => {
    const byPf: PluginConfig = { type: 'vf-attach', pf: nic.pf }
    const first = await openedBy(nic, 'device')
    const { interfaces } = await calls.add(byPf, TWO)
    expect(interfaces?.[0]?.pciID).toBe(vfs[1])
    await calls.del(byPf, TWO)
    const second = await openedBy(nic, 'device', { pci: vfs[1] })
    expect(await calls.refused('ADD', byPf, TWO)).toMatchObject({ code: 11 })
    for (const program of [first, second]) await program.close()
  })

  test('says that a PF which is down tells the program no MAC', async () => {
    await nic.lab.must(`ip link set ${nic.pf} down`)
    const stderr = await calls.call('ADD', plugin(ONE), ONE)
    expect(stderr.stderr).toContain(`PF "${nic.pf}" is down`)
    await nic.lab.must(`ip link set ${nic.pf} up`)
    await calls.del(plugin(ONE), ONE)
  })
})

describe('a VF whose pod goes before its program', () => {
  test('keeps VLAN and MAC at DEL; the next ADD is refused until it is closed, and restores it', async () => {
    await calls.add(plugin(ONE), ONE)
    const program = await openedBy(nic, 'device', { pod: ONE })
    for (let time = 0; time < 2; time++) {
      const words = await told('DEL', plugin(ONE), ONE)
      expect(words).toContain(`"${nic.vf}" is not restored yet, process ${program.pid} (perl) has it open`)
      // Its driver knows no link state.
      expect(words).toMatch(/its link can not be disabled, .*EOPNOTSUPP, it stays in VLAN 9/)
      expect(await vfInfo(nic)).toMatchObject(inOne)
    }
    const refused = await calls.refused('ADD', plugin(TWO), TWO)
    expect(refused).toMatchObject({ code: 11, msg: expect.stringContaining(`process ${program.pid} (perl)`) })
    expect(await vfInfo(nic)).toMatchObject(inOne)
    await program.close()
    const { code, stderr } = await calls.call('ADD', plugin(TWO), TWO)
    expect([code, stderr]).toEqual([0, expect.stringContaining(`had "${nic.vf}" open at the DEL`)])
    expect(await vfInfo(nic)).toMatchObject({
      address: MACS[TWO],
      vlan_list: [expect.objectContaining({ vlan: 8 })],
    })
    await calls.del(plugin(TWO), TWO)
    await isUnchanged()
  })

  test.each([
    ['a second DEL', () => told('DEL', plugin(ONE), ONE)],
    ['GC, which needs no list for it', () => told(...gc(ONE, {}))],
  ])('is restored by %s when it is closed', async (_, call) => {
    await calls.add(plugin(ONE), ONE)
    const program = await openedBy(nic, 'group')
    await told('DEL', plugin(ONE), ONE)
    expect(await vfInfo(nic)).toMatchObject(inOne)
    expect(await call()).toContain('is not restored yet')
    expect(await vfInfo(nic)).toMatchObject(inOne)
    await program.close()
    expect(await call()).toBe('')
    await isUnchanged()
  })

  test('counts as alive for GC although its namespace is gone', async () => {
    await calls.add(plugin(ONE), ONE)
    const program = await openedBy(nic, 'device')
    await deletePod(nic.lab, ONE)
    expect(await told(...gc(ONE, {}))).toBe('')
    const refused = await calls.refused(...gc(ONE, noneValid))
    expect(refused).toMatchObject({
      code: 103,
      msg: expect.stringContaining(`process ${program.pid} (perl) has it open`),
    })
    expect(await vfInfo(nic)).toMatchObject(inOne)
    expect(await told(...gc(ONE, { ...noneValid, gcLive: true }))).toContain('is not restored yet')
    expect(await vfInfo(nic)).toMatchObject(inOne)
    await program.close()
    expect(await told(...gc(ONE, {}))).toBe('')
    await newPod(nic.lab, ONE)
    await isUnchanged()
  })
})

describe('the MAC that a PF reports', () => {
  /** igbvf has the VF up, which tells the PF a MAC, before vfio-pci gets it. */
  async function tellMac(): Promise<unknown> {
    await bindTo(nic, nic.kernel)
    await nic.lab.must(`name=$(ls /sys/bus/pci/devices/${nic.vf}/net); ip link set $name up
      until ip link show dev ${nic.pf} | grep -qi "vf 0 .*$(cat /sys/class/net/$name/address)"; do sleep 0.05; done`)
    await bindTo(nic, nic.user)
    const { address } = await vfInfo(nic)
    expect(address).not.toBe(noMac)
    return address
  }

  /** True when igbvf may choose its MAC, which it may only while its PF has set none. */
  async function mayChoose(): Promise<boolean> {
    await bindTo(nic, nic.kernel)
    const { code } = await nic.lab.sh(
      `ip link set $(ls /sys/bus/pci/devices/${nic.vf}/net) address 02:00:00:00:00:99`,
    )
    await bindTo(nic, nic.user)
    await nic.lab.must(`echo 1 >/sys/bus/pci/devices/${nic.vf}/reset`)
    return code === 0
  }

  test.each([
    ['without a `mac`', undefined],
    ['with one', MACS[ONE]],
  ])('is not made administrative when only the driver before has told it, %s', async (_, mac) => {
    const address = await tellMac()
    const config = attachConfig(nic.vf, mac === undefined ? {} : { mac })
    const { code, stdout, stderr } = await calls.call('ADD', config, ONE)
    expect([code, stderr]).toEqual([
      0,
      expect.stringContaining(`MAC ${address as string} of "${nic.vf}" was of its last driver`),
    ])
    const [port] = (JSON.parse(stdout) as { interfaces: { mac?: string }[] }).interfaces
    expect(port?.mac).toBe(mac)
    await calls.del(config, ONE)
    expect((await vfInfo(nic)).address).toBe(noMac)
    expect(await mayChoose()).toBe(true)
  })

  test('stays and is in the result when it is administrative', async () => {
    const mac = '02:00:00:00:00:55'
    await nic.lab.must(`ip link set ${nic.pf} vf 0 mac ${mac}`)
    for (let time = 0; time < 2; time++) {
      const { interfaces } = await calls.add(attachConfig(nic.vf), ONE)
      expect(interfaces?.[0]?.mac).toBe(mac)
      await calls.del(attachConfig(nic.vf), ONE)
    }
    expect((await vfInfo(nic)).address).toBe(mac)
    await nic.lab.must(`ip link set ${nic.pf} vf 0 mac ${noMac}`)
  })

  test.each([
    ['no difference for CHECK where the PF trusts the VF', 'on', 0],
    ['a difference where it does not', 'off', 1],
  ])('and that the program has changed is %s', async (_, trust, code) => {
    const config = plugin(ONE, { trust })
    const prevResult = await calls.add(config, ONE)
    await nic.lab.must(`ip link set ${nic.pf} vf 0 mac 02:00:00:00:00:56`)
    const { code: found, stdout } = await calls.call('CHECK', config, ONE, { prevResult })
    expect([found, stdout]).toEqual([
      code,
      code === 0 ? '' : expect.stringContaining('has mac 02:00:00:00:00:56'),
    ])
    await calls.del(config, ONE)
    await isUnchanged()
  })
})

describe('a VF on UIO, whose PF can disable its link', () => {
  let uio: Nic
  let onUio: AttachCalls
  beforeAll(async () => {
    uio = await simulated()
    onUio = await attachCalls(uio.lab)
    await uio.lab.must(`modprobe ${uio.user}`)
    await bindTo(uio, uio.user)
    for (const pod of [ONE, TWO]) await newPod(uio.lab, pod)
  })
  afterAll(async () => {
    for (const pod of [ONE, TWO]) await deletePod(uio.lab, pod)
    await uio?.remove()
  })

  test('is cut off at DEL while a program has it open, and refused', async () => {
    const [first, config] = [await vfInfo(uio), attachConfig(uio.vf, { vlan: 9 })]
    await onUio.add(config, ONE)
    const program = await openedBy(uio, 'uio')
    const { code, stderr } = await onUio.call('DEL', config, ONE)
    expect([code, stderr]).toEqual([
      0,
      expect.stringContaining(
        `process ${program.pid} (perl) has it open: its link is disabled, it stays in VLAN 9`,
      ),
    ])
    const vlans = [expect.objectContaining({ vlan: 9 })]
    expect(await vfInfo(uio)).toMatchObject({ link_state: 'disable', vlan_list: vlans })
    const error = await onUio.refused('ADD', config, TWO)
    expect(error).toMatchObject({ code: 11, msg: expect.stringContaining(`process ${program.pid} (perl)`) })
    await program.close()
    await onUio.add(config, TWO)
    expect(await vfInfo(uio)).toMatchObject({ link_state: 'auto', vlan_list: vlans })
    await onUio.del(config, TWO)
    expect(await vfInfo(uio)).toEqual(first)
    expect(await uio.lab.must(RECORDS)).toBe('')
  })

  test('is cut off and kept when sriov-cni gave it to the pod, too', async () => {
    const folder = '/var/lib/cni/sriov'
    const first = await vfInfo(uio)
    await uio.lab.must(`ip link set ${uio.pf} vf 0 vlan 9`)
    // Its files, as release 2.10 writes them.
    const original = {
      SpoofChk: true,
      AdminMAC: first.address,
      Vlan: 0,
      VlanQoS: 0,
      VlanProto: 0x8100,
      LinkState: 0,
    }
    const cache = { OrigVfState: original, deviceID: uio.vf, VFID: 0, name: 'lab-net', vlan: 9 }
    await uio.lab.writeFile(`${folder}/${ONE}-net1`, JSON.stringify(cache), 0o600)
    await uio.lab.writeFile(`${folder}/pci/${uio.vf}`, `/run/netns/${ONE}`, 0o600)
    const program = await openedBy(uio, 'uio')
    const { code, stderr } = await onUio.call('DEL', attachConfig(uio.vf), ONE)
    expect([code, stderr]).toEqual([0, expect.stringContaining('its link is disabled, it stays in VLAN 9')])
    expect(await vfInfo(uio)).toMatchObject({
      ...{ link_state: 'disable', vlan_list: [expect.objectContaining({ vlan: 9 })] },
    })
    expect((await onUio.refused('ADD', attachConfig(uio.vf), TWO)).code).toBe(11)
    await program.close()
    await onUio.del(attachConfig(uio.vf), ONE)
    expect(await vfInfo(uio)).toEqual(first)
    expect(await uio.lab.must(RECORDS)).toBe('')
  })

  test('has its representor down meanwhile in switchdev mode', async () => {
    if (uio.card === undefined) throw new TypeError('no card of simnic')
    await setMode(uio.lab, uio.card, 'switchdev')
    const rep = async () => (await json(uio.lab, `ip -j link show dev ${uio.pf}rep0`))[0]
    await uio.lab.must(`ip link set ${uio.pf}rep0 up`)
    const was = await rep()
    await onUio.add(attachConfig(uio.vf), ONE)
    const program = await openedBy(uio, 'uio')
    await onUio.del(attachConfig(uio.vf), ONE)
    expect((await rep())?.flags).not.toContain('UP')
    await program.close()
    await onUio.del(attachConfig(uio.vf), ONE)
    expect((await rep())?.flags).toEqual(was?.flags)
    expect(await uio.lab.must(RECORDS)).toBe('')
  })
})
