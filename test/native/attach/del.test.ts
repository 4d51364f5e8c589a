// DEL brings an interface home from every state in which a pod, an operator or a crash may have left it, whatever kind of
// interface it is; the judge is the host's snapshot from before ADD. What only a VF can show is in test/lab/attach/del.test.ts.
// needs: veth, bridge, macvlan, ifb
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { addressOf, BED_FOLDER, FLAKY, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

/** Every kind of change that any interface can: MAC, MTU, and an address of host-local. */
const wishes = { mac: '02:00:00:00:08:01', mtu: 1400 }

let bed: NativeBed
const full = (more: Record<string, unknown> = {}) =>
  onNic(bed.nic(), { ...wishes, ipam: localIpam(), ...more })

beforeAll(async () => {
  bed = await makeNativeBed(1, ['pod-one', 'pod-two'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

describe('what a pod did to its interface', () => {
  test.each([
    ['took it down and renamed it', 'ip -n pod-one link set net1 down name mine mtu 1300'],
    [
      'made it a port of a bridge',
      'ip -n pod-one link add br0 type bridge; ip -n pod-one link set net1 master br0',
    ],
    ['put a macvlan above it', 'ip -n pod-one link add link net1 name mv0 up type macvlan mode bridge'],
  ])('it %s', async (_, script) => {
    await bed.add(full(), 'pod-one')
    await bed.lab.must(script)
    await bed.del(full(), 'pod-one')
    await bed.podDies('pod-one')
    await bed.podIsBack('pod-one')
    // A macvlan had the kernel hear all unicast for it, which is taken back when the interface next goes up.
    const { netdev } = bed.nic()
    await bed.lab.must(`until ip -d -j link show dev ${netdev} | grep -q '"promiscuity":0'; do
      ip link set ${netdev} up; ip link set ${netdev} down; sleep 0.1; done`)
    await bed.expectUnchanged()
  })
})

test('an interface comes home although its bridge is gone, and DEL says so', async () => {
  const { netdev } = bed.nic()
  await bed.lab.must(`ip link add gone type bridge; ip link set ${netdev} master gone up`)
  await bed.add(full(), 'pod-one')
  await bed.lab.must('ip link del gone')
  const del = await bed.call('DEL', full(), 'pod-one')
  expect(del).toMatchObject({ code: 0, stdout: '' })
  expect(del.stderr).toContain('was attached to "gone" before ADD, which the host does not have any more')
  expect(await bed.link(null, netdev)).toMatchObject({ address: bed.nic().mac, mtu: 1500 })
  await bed.lab.must(`ip link set ${netdev} down`)
  await bed.expectUnchanged()
})

describe('calls that come twice, too late or without a namespace', () => {
  test('DEL succeeds after a DEL, after an ADD that failed, and for a container that was never added', async () => {
    await bed.add(full(), 'pod-one')
    for (let time = 0; time < 3; time++) await bed.del(full(), 'pod-one')
    const bad = { ...localIpam(), routes: [{ dst: '10.9.0.0/24', gw: '192.0.2.1' }] }
    expect(await bed.refused('ADD', full({ ipam: bad }), 'pod-one')).toMatchObject({ code: 102 })
    for (const pod of ['pod-one', 'pod-two']) await bed.del(full(), pod)
    // A runtime may have forgotten what it wanted.
    await bed.del({ type: 'vf-attach' }, 'pod-one')
    await bed.expectUnchanged()
  })

  test('DEL with an empty CNI_NETNS finds the namespace that lives', async () => {
    await bed.add(full(), 'pod-one')
    await bed.del(full(), 'pod-one', { netns: '' })
    await bed.expectUnchanged()
  })
})

describe('what happened on the host meanwhile', () => {
  test('an altname that was given to another interface meanwhile stays there', async () => {
    const { netdev } = bed.nic()
    await bed.lab.must(`ip link property add dev ${netdev} altname nic-zero altname nic-null`)
    await bed.remember()
    await bed.add(full(), 'pod-one')
    await bed.lab.must('ip link add other type ifb; ip link property add dev other altname nic-zero')
    await bed.del(full(), 'pod-one')
    expect(await bed.link(null, 'other')).toMatchObject({ altnames: ['nic-zero'] })
    expect(await bed.link(null, netdev)).toMatchObject({ altnames: ['nic-null'] })
    await bed.lab.must(`ip link del other; ip link property add dev ${netdev} altname nic-zero
      ip link property del dev ${netdev} altname nic-null; ip link property add dev ${netdev} altname nic-null`)
    await bed.expectUnchanged()
    await bed.lab.must(`ip link property del dev ${netdev} altname nic-zero altname nic-null`)
    await bed.remember()
  })

  test('the interface is home although the IPAM plugin fails, and a retry frees the address', async () => {
    const config = full({ ipam: localIpam(FLAKY) })
    const address = addressOf(await bed.add(config, 'pod-one'))
    await bed.lab.must(`touch ${BED_FOLDER}/fail`)
    const error = await bed.refused('DEL', config, 'pod-one')
    expect(error.msg).toContain('the database is away')
    expect(await bed.link(null, bed.nic().netdev)).toMatchObject({ address: bed.nic().mac })
    expect(await bed.lab.must('ls /var/lib/cni/networks/lab-net')).toContain(address)
    await bed.lab.must(`rm ${BED_FOLDER}/fail ${BED_FOLDER}/asked`)
    await bed.del(config, 'pod-one')
    await bed.expectUnchanged()
  })
})
