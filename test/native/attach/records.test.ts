// DEL and ADD cope with records that a reboot, a crash of the disk, a newer version or a full file system left, of
// whatever kind of interface. test/lab/attach/del.test.ts has those of VFs.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { BED_FOLDER, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const folder = '/var/lib/cni/vf-flower/attach'

let bed: NativeBed
const plain = (index = 0, more: Record<string, unknown> = {}) =>
  onNic(bed.nic(index), { ipam: localIpam(), ...more })
const recordPath = (index: number, container: string) =>
  `${folder}/netdev:${bed.nic(index).netdev} ${container}@net1.json`

beforeAll(async () => {
  bed = await makeNativeBed(2, ['pod-one', 'pod-two'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

test('DEL and the next ADD drop a record from before a reboot and touch nothing', async () => {
  const { netdev, mac } = bed.nic()
  await bed.add(plain(0, { mtu: 1400 }), 'pod-one')
  const record = await bed.recordOf('pod-one')
  const text = await bed.lab.readFile(record)
  await bed.del(plain(), 'pod-one')
  await bed.expectUnchanged()
  // After a reboot the operator has configured the interface by himself.
  await bed.lab.must(`ip link set ${netdev} address 02:00:00:00:0b:01 mtu 1420 alias 'of the operator'`)
  await bed.remember()
  const old = text.replace(/"bootId": "[^"]*"/, '"bootId": "00000000-0000-4000-8000-000000000000"')
  expect(old).not.toBe(text)
  await bed.lab.writeFile(record, old, 0o600)
  await bed.del(plain(), 'pod-one')
  await bed.expectUnchanged()
  await bed.lab.writeFile(record, old, 0o600)
  await bed.add(plain(), 'pod-two')
  await bed.del(plain(), 'pod-two')
  await bed.expectUnchanged()
  await bed.lab.must(`ip link set ${netdev} address ${mac} mtu 1500 alias ''`)
  await bed.remember()
})

test('ADD puts a record aside that is cut off, when its interface is on the host', async () => {
  const record = recordPath(0, 'old')
  await bed.lab.writeFile(record, '{ "schema": 1, "plug', 0o600)
  await bed.add(plain(), 'pod-one')
  await bed.del(plain(), 'pod-one')
  await bed.lab.must(`rm '${record}.broken'`)
  await bed.expectUnchanged()
})

test('a record of a newer version is reported and kept, and keeps no other pod from its interface', async () => {
  await bed.add(plain(), 'pod-one')
  const record = await bed.recordOf('pod-one')
  // It can't be found by its name then: of what is in a pod only the record knows that.
  const { netdev } = bed.nic()
  await bed.lab.must(`sed -i 's/"schema": 1,/"schema": 99,/' '${record}'`)
  await bed.add(plain(1), 'pod-two')
  await bed.del(plain(1), 'pod-two')
  const words = 'schema 99 is newer'
  // Somebody has made another interface of the name meanwhile.
  await bed.lab.must(`ip link add ${netdev} type bridge`)
  const add = await bed.refused('ADD', plain(), 'pod-two')
  expect(add).toMatchObject({ code: 11, msg: expect.stringContaining(words) })
  await bed.lab.must(`ip link del ${netdev}`)
  // Of one that is not understood at all nothing can be restored.
  const text = await bed.lab.readFile(record)
  await bed.lab.writeFile(record, '{ "schema": 99 }', 0o600)
  const del = await bed.refused('DEL', plain(), 'pod-one')
  expect(`${del.msg} ${del.details}`).toContain(words)
  expect(await bed.link('pod-one', 'net1')).toMatchObject({ address: bed.nic().mac })
  await bed.lab.writeFile(record, text, 0o600)
  await bed.lab.must(`sed -i 's/"schema": 99,/"schema": 1,/' '${record}'`)
  await bed.del(plain(), 'pod-one')
  await bed.expectUnchanged()
})

/** The record as a later version could have written it: a number of its own, keys that nobody here knows, one in another form. */
async function asOfLater(
  record: string,
  schema: number,
  change: (journal: Journal) => void = () => undefined,
) {
  const content = JSON.parse(await bed.lab.readFile(record)) as Journal
  Object.assign(content, { schema, checksum: 'c0ffee' })
  Object.assign(content.journal.device, { firmware: { version: '9.1' } })
  change(content)
  const text = JSON.stringify(content)
  await bed.lab.writeFile(record, text, 0o600)
  return text
}

interface Journal {
  readonly journal: Record<'device' | 'original', Record<string, unknown>>
}

test('a record of a newer format: ADD, CHECK and GC say why not, DEL restores what it understands and keeps it', async () => {
  const config = plain(0, { mtu: 1400 })
  const result = await bed.add(config, 'pod-one')
  const record = await bed.recordOf('pod-one')
  const text = await asOfLater(record, 2, ({ journal }) => {
    Object.assign(journal, { tuning: 'of another form' })
  })
  const reason = `Cannot read record "${record}": schema 2 is newer than 1, the newest known here`
  const check = await bed.refused('CHECK', config, 'pod-one', { prevResult: result })
  expect(check).toMatchObject({ code: 5, msg: reason })
  const again = await bed.refused('ADD', plain(1), 'pod-one', { ifname: 'net1' })
  expect(again).toMatchObject({ code: 11, msg: expect.stringContaining(reason) })
  const gc = await bed.call('GC', { type: 'vf-attach' }, 'pod-two', {
    ...{ cniVersion: '1.1.0', config: { 'cni.dev/valid-attachments': [] } },
  })
  expect(gc).toMatchObject({ code: 0, stderr: expect.stringContaining(`${reason}; it is kept`) })
  const del = await bed.call('DEL', config, 'pod-one')
  expect(del).toMatchObject({ code: 0, stdout: '' })
  expect(del.stderr).toContain(
    `${reason}; DEL restores what it understands of it (it does not understand journal.device.firmware, journal.tuning, checksum), and the record is kept`,
  )
  expect(await bed.lab.readFile(record)).toBe(text)
  const other = await bed.refused('ADD', plain(), 'pod-two')
  expect(other).toMatchObject({ code: 11, msg: expect.stringContaining(reason) })
  expect(await bed.call('DEL', config, 'pod-one')).toMatchObject({ code: 0, stdout: '' })
  await bed.lab.must(`rm '${record}'`)
  await bed.expectUnchanged()
})

test('keys that a later minor version added stay in a record that is written again', async () => {
  await bed.add(plain(), 'pod-one')
  const record = await bed.recordOf('pod-one')
  await asOfLater(record, 1)
  // A DEL writes the number that it chose for the interface down before the move home.
  const killed = await bed.call('DEL', plain(), 'pod-one', {
    env: { VF_FLOWER_FAULT: 'op:1:before:SIGKILL' },
  })
  expect(killed.code).not.toBe(0)
  expect(JSON.parse(await bed.lab.readFile(record))).toMatchObject({
    checksum: 'c0ffee',
    journal: { device: { homeIfindex: expect.any(Number), firmware: { version: '9.1' } } },
  })
  await bed.del(plain(), 'pod-one')
  await bed.expectUnchanged()
})

test('GC: records that can’t be read are no error; a broken one goes aside unless its interface may be in a pod', async () => {
  await bed.add(plain(0), 'pod-one')
  const record = await bed.recordOf('pod-one')
  const text = await bed.lab.readFile(record)
  await bed.lab.writeFile(record, text.slice(0, 100), 0o600)
  const [broken, newer] = [recordPath(1, 'old'), recordPath(1, 'new')]
  await bed.lab.writeFile(broken, '{ "schema": 1, "plug', 0o600)
  await bed.lab.writeFile(newer, '{ "schema": 99 }', 0o600)
  const gc = () => {
    const config = { 'cni.dev/valid-attachments': [] }
    return bed.call('GC', { type: 'vf-attach' }, 'pod-two', { cniVersion: '1.1.0', config })
  }
  const first = await gc()
  expect(first).toMatchObject({ code: 0, stdout: '' })
  expect(first.stderr).toContain(`it is put aside as "${broken}.broken"`)
  const second = await gc()
  expect(second).toMatchObject({ code: 0, stdout: '' })
  expect(second.stderr).not.toContain(broken)
  for (const { stderr } of [first, second]) {
    expect(stderr).toContain(`Cannot read record "${record}": it is not JSON; it is kept`)
    expect(stderr).toContain(`Cannot read record "${newer}": schema 99 is newer than 1`)
  }
  expect(await bed.link('pod-one', 'net1')).toMatchObject({ address: bed.nic(0).mac })
  await bed.lab.must(`rm '${broken}.broken' '${newer}'`)
  await bed.lab.writeFile(record, text, 0o600)
  await bed.del(plain(0), 'pod-one')
  await bed.expectUnchanged()
})

test('DEL frees the address and succeeds when the folder of records is gone, which ADD makes anew', async () => {
  const away = `${BED_FOLDER}/away`
  await bed.lab.must('rm -rf /var/lib/cni/vf-flower')
  await bed.add(plain(), 'pod-one')
  await bed.lab.must(`mv /var/lib/cni/vf-flower ${away}`)
  await bed.del(plain(), 'pod-one')
  expect(await bed.lab.must('ls /var/lib/cni/networks/lab-net')).not.toMatch(/^10\./m)
  await bed.add(plain(1), 'pod-two')
  await bed.del(plain(1), 'pod-two')
  await bed.lab.must(`rm -r /var/lib/cni/vf-flower; mv ${away} /var/lib/cni/vf-flower`)
  await bed.del(plain(), 'pod-one')
  await bed.expectUnchanged()
})

test('ADD without room for a record ends with code 5 before anything changes, and DEL needs no room', async () => {
  const disk = `${BED_FOLDER}/disk`
  const policy = '/etc/vf-flower/policy.json'
  await bed.lab.writeFile(policy, JSON.stringify({ stateDirs: [disk] }), 0o600)
  const config = plain(0, { mtu: 1400, stateDir: `${disk}/state` })
  await bed.lab.must(`mkdir -p ${disk}; mount -t tmpfs -o size=64k tmpfs ${disk}`)
  const fill = `dd if=/dev/zero of=${disk}/full bs=4k 2>/dev/null; true`
  try {
    await bed.lab.must(fill)
    const error = await bed.refused('ADD', config, 'pod-one')
    expect(error).toMatchObject({ code: 5, msg: expect.stringContaining('ENOSPC') })
    await bed.expectUnchanged()
    await bed.lab.must(`rm ${disk}/full`)
    await bed.add(config, 'pod-one')
    await bed.lab.must(fill)
    await bed.del(config, 'pod-one')
    expect(await bed.lab.must(`ls ${disk}/state/attach`)).toBe('')
    await bed.expectUnchanged()
  } finally {
    await bed.lab.must(`umount ${disk}; rmdir ${disk}; rm ${policy}`)
  }
})
