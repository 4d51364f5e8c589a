// The program in front, as installed under the names of CNI plugins: every verb in the surroundings that the daemon of Multus makes,
// whose working directory lies outside of the root. test/conformance/shim.test.ts has other surroundings.
// needs: veth, nft
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachment, json, pluginPath, silently } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { type CniResult, type ConfigList, cniRuntime, type Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const thick = fileURLToPath(new URL('../../support/multus-thick.pl', import.meta.url))
/** Runs a program as Multus does; the mount namespace goes with it. */
const MULTUS = ['/usr/bin/unshare', '--mount', '--propagation', 'private', '/usr/bin/perl', thick] as const
const NIC = 'thick0'

let lab: Lab
let multus: Runtime
let pod: string

beforeAll(async () => {
  lab = await sharedLab()
  multus = cniRuntime(lab, pluginPath, MULTUS)
  pod = await newPod(lab, 'thick')
  await lab.must(`ip link add ${NIC} type veth peer name thick-peer; ip link set thick-peer up`)
})
afterAll(async () => {
  await deletePod(lab, 'thick')
  await lab.must(`ip link del ${NIC}; rm -rf /run/multus`)
})

const attach = {
  type: 'vf-attach',
  device: NIC,
  ipam: { type: 'static', addresses: [{ address: '10.1.9.2/24' }] },
}
const offload = { type: 'vf-offload', capabilities: { portMappings: true } }
const list: ConfigList = { cniVersion: '1.0.0', name: 'thick-net', plugins: [attach, offload] }
const newest = { ...list, cniVersion: '1.1.0' }

test('the shim runs where a program of Bun alone ends before its first line', async () => {
  const program = `${pluginPath[0]}/vf-flower`
  const { code, stdout, stderr } = await lab.exec([...MULTUS, program], { env: { CNI_COMMAND: 'VERSION' } })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain('working directory')
})

test.each([attach, offload])('VERSION and STATUS of $type get through', async (plugin) => {
  const { code, stdout, stderr } = await multus.call('VERSION', newest, plugin, attachment(''))
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(JSON.parse(stdout)).toMatchObject({ cniVersion: '1.1.0' })
  const { ipam: _, ...alone } = { ipam: undefined, ...plugin }
  await silently(multus.call('STATUS', newest, alone, attachment('')))
})

test('ADD, CHECK, DEL and GC of both plugins get through, with their calls of IPAM', async () => {
  const one = attachment(pod)
  const mac = (await json(lab, `ip -j link show dev ${NIC}`))[0]?.address
  const result: CniResult = await multus.add(list, one)
  expect(result).toMatchObject({
    interfaces: [{ name: 'net1', mac, sandbox: pod }],
    ips: [{ address: '10.1.9.2/24' }],
  })
  expect(await json(lab, 'ip -n thick -j link show dev net1')).toMatchObject([{ address: mac }])
  await multus.check(list, one, result)
  await multus.del(list, one, result)
  expect(await json(lab, `ip -j link show dev ${NIC}`)).toMatchObject([{ address: mac }])

  const alone: ConfigList = { ...newest, plugins: [{ type: 'vf-attach', device: NIC }] }
  await multus.add(alone, one)
  const nobody = { 'cni.dev/valid-attachments': [], gcLive: true }
  for (const plugin of [...alone.plugins, offload])
    await silently(multus.call('GC', newest, plugin, one, { config: nobody }))
  expect(await json(lab, `ip -j link show dev ${NIC}`)).toMatchObject([{ address: mac }])
})

test('a DEL with the few keys that Multus 4.2.4 keeps of the network of all pods takes everything back', async () => {
  const one = attachment(pod)
  const mac = (await json(lab, `ip -j link show dev ${NIC}`))[0]?.address
  const result: CniResult = await multus.add(list, one)
  const kept = [
    { type: 'vf-attach', ipam: { type: 'static' } },
    { ...offload, ipam: {} },
  ]
  await multus.del({ ...list, plugins: kept }, one, result)
  expect(await json(lab, `ip -j link show dev ${NIC}`)).toMatchObject([{ address: mac }])
  expect(await lab.must(`grep -rl '${NIC}' /var/lib/cni/vf-flower --include='*.json' || true`)).toBe('')
})
