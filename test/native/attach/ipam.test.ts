// An IPAM plugin that outlives the ADD that started it, because that one was killed: the address that it leases afterwards must not
// stay behind.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { ExecResult } from '../../../hack/lab/lab.ts'
import { BED_FOLDER, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const [pod, next] = ['pod-one', 'pod-two']
const LEASES = '/var/lib/cni/networks/lab-net'
/** An IPAM plugin whose ADD says who started it and waits while there is a file; then it is host-local. */
const LATE = `#!/bin/sh
if [ "$CNI_COMMAND" = ADD ]; then
  echo $PPID >${BED_FOLDER}/parent.new
  mv ${BED_FOLDER}/parent.new ${BED_FOLDER}/parent
  while [ -e ${BED_FOLDER}/late-waits ]; do sleep 0.05; done
fi
exec /usr/lib/cni/host-local
`

let bed: NativeBed
beforeAll(async () => {
  bed = await makeNativeBed(1, [pod, next])
  await bed.lab.writeFile(`${BED_FOLDER}/late`, LATE, 0o755)
  // The path of the plugin is looked up once; host-local's folder stays.
  await bed.add(config(), pod)
  await bed.del(config(), pod)
  await bed.lab.must(`rm ${BED_FOLDER}/parent`)
  await bed.remember()
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  await bed.lab.must(`rm -f ${BED_FOLDER}/late-waits ${BED_FOLDER}/parent`)
  if (task.result?.state === 'fail') await bed.rebuild()
})

const config = (more: Record<string, unknown> = {}) =>
  onNic(bed.nic(), { mtu: 1400, ipam: localIpam('late'), ...more })
const leases = async () => (await bed.lab.must(`ls ${LEASES}`)).match(/^10\..*/gm) ?? []

/** An ADD that is killed while its IPAM plugin runs. The promise ends with the plugin, which has its stderr. */
async function killedAdd(): Promise<{ plugin: Promise<ExecResult>; letGo(): Promise<void> }> {
  await bed.lab.must(`touch ${BED_FOLDER}/late-waits`)
  const plugin = bed.call('ADD', config(), pod, { timeoutMs: 0 })
  await bed.lab.must(`until [ -e ${BED_FOLDER}/parent ]; do sleep 0.05; done
    pid=$(cat ${BED_FOLDER}/parent); kill -9 $pid
    until ! [ -e /proc/$pid ] || grep -q '^State:.Z' /proc/$pid/status; do sleep 0.05; done`)
  return {
    plugin,
    letGo: async () => {
      await bed.lab.must(`rm ${BED_FOLDER}/late-waits`)
    },
  }
}

/** Waits until a call has ended, or a call of ours has the attachment's record open and waits. */
async function endedOrWaiting(call: Promise<unknown>): Promise<void> {
  const record = await bed.recordOf(pod)
  const isOpen = `for process in /proc/[0-9]*; do
      [ "$(cat $process/comm 2>/dev/null)" = vf-flower ] && ls -l $process/fd 2>/dev/null | grep -qF '${record}' && exit 0
    done; exit 1`
  let ended = false
  const end = () => {
    ended = true
  }
  call.then(end, end)
  while (!ended && (await bed.lab.exec(['sh', '-c', isOpen])).code !== 0) {
    // the look itself takes the time
  }
}

test('DEL frees the addresses after the plugin has ended, so that none is leased afterwards', async () => {
  const { plugin, letGo } = await killedAdd()
  const del = bed.call('DEL', config(), pod)
  await endedOrWaiting(del)
  await letGo()
  expect(await del).toMatchObject({ code: 0, stdout: '', stderr: '' })
  await plugin
  expect(await leases()).toEqual([])
  await bed.expectUnchanged()
})

test("GC waits for the plugin's end before it gives up the record", async () => {
  const { plugin, letGo } = await killedAdd()
  const collect = () => {
    const valid = { config: { 'cni.dev/valid-attachments': [] }, cniVersion: '1.1.0' }
    return bed.call('GC', { type: 'vf-attach', gcLive: true }, pod, valid)
  }
  const gc = collect()
  await endedOrWaiting(gc)
  expect(await Promise.race([gc.then(() => 'has ended'), letGo()])).toBe(undefined)
  expect(await gc).toMatchObject({ code: 0, stdout: '', stderr: '' })
  await plugin
  expect(await leases()).toHaveLength(1)
  await bed.del(config(), pod)
  expect(await leases()).toEqual([])
  await bed.expectUnchanged()
})

test("an ADD of the next owner waits for the plugin's end before it takes the record of a dead one away", async () => {
  const { plugin, letGo } = await killedAdd()
  // As hardware comes home when its namespace dies.
  await bed.lab.must(`ip -n ${pod} link set net1 netns 1 name ${bed.nic().netdev}`)
  await bed.podDies(pod)
  const add = bed.call('ADD', onNic(bed.nic()), next)
  await endedOrWaiting(add)
  expect(await Promise.race([add.then(() => 'has ended'), letGo()])).toBe(undefined)
  expect(await add).toMatchObject({ code: 0 })
  await plugin
  await bed.del(config(), pod)
  expect(await leases()).toEqual([])
  await bed.del(onNic(bed.nic()), next)
  await bed.podIsBack(pod)
  await bed.expectUnchanged()
})

test('a plugin that does not end holds DEL up for 10 seconds, and is told', async () => {
  const { plugin, letGo } = await killedAdd()
  const del = await bed.call('DEL', config(), pod)
  expect(del).toMatchObject({ code: 0, stdout: '' })
  expect(del.stderr).toContain(
    `the IPAM plugin that an ADD of container "${pod}", interface "net1" has started still runs`,
  )
  await letGo()
  await plugin
  // The runtime's next DEL, or its GC, frees what came too late.
  await bed.del(config(), pod)
  await bed.expectUnchanged()
})
