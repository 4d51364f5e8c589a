// A card whose ports are all on one PF, as nfp has it, and a card whose eSwitch another system manages, as BlueField in DPU mode (simnic
// with the driver's name mlx5_core and profile mlx5; from source, not hardware). The key "uplink" names the port of a VF, by which HTTP
// is in the NIC while nothing passes the other port. Errors and notes name the ports, and call no eSwitch legacy that is not.
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  attachment,
  errorOf,
  listOf,
  silently,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import {
  type Card,
  cardCounters,
  hardwareRules,
  knob,
  loadSimnic,
  setMode,
  setVfMacs,
  unloadSimnic,
} from '../../../hack/lab/bed/simnic.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  linkIsReady,
  newPod,
  ROUTER,
  tearDown,
} from '../../../hack/lab/bed/topology.ts'
import { ask, serve } from '../../../hack/lab/bed/traffic.ts'
import type { ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const [BRIDGE, POD] = ['br-node', 'pod-one']
const [v4, v6] = ['10.1.0.5', 'fd00:1::5']

let lab: Lab
let card: Card
let runtime: Runtime
let deviceID: string
/** The second port, which the network is on. */
let second: { readonly pf: string; readonly wire: string }

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  ;[card] = (await loadSimnic(lab, {
    ...{ totalVfs: 2, ports: 2, driverName: 'mlx5_core', profile: 'mlx5' },
  })) as [Card]
  second = { pf: `${card.pf}p1`, wire: `${card.wire}p1` }
  const topology = await buildTopology(lab, second, 2)
  deviceID = topology.vfs[0]?.pci ?? ''
  await setMode(lab, card, 'switchdev')
  await setVfMacs(lab, card)
  await lab.must(`set -e
    ip link set ${card.pf} up
    ip link add ${BRIDGE} address ${topology.pfMac} up type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    ip link set ${second.pf} master ${BRIDGE}
    ip address flush dev ${second.pf} scope global
    ip address add ${HOST.v4}/24 dev ${BRIDGE}
    ip address add ${HOST.v6}/64 dev ${BRIDGE} nodad
    ip route replace 10.2.0.0/24 via ${ROUTER.v4}
    ip -6 route replace fd00:2::/64 via ${ROUTER.v6}`)
  await newPod(lab, POD)
})
afterAll(async () => {
  await deletePod(lab, POD)
  await knob(lab, card, 'no_eswitch', 0)
  await lab.must(`ip link delete ${BRIDGE}`)
  await setMode(lab, card, 'legacy')
  await tearDown(lab, second)
  await unloadSimnic(lab)
})

const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
const of = () => attachment(`/run/netns/${POD}`, { capabilityArgs: { portMappings } })

/** vf-attach and vf-offload behind it. */
function listWith(offload: Record<string, unknown>, attach: Record<string, unknown> = {}): ConfigList {
  const ipam = { ...staticIpam(`${v4}/24`, `${v6}/64`), routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] }
  return listOf(
    { type: 'vf-attach', deviceID, ipam, ...attach },
    { type: 'vf-offload', deviceID, capabilities: { portMappings: true }, ...offload },
  )
}

/** What vf-offload says to an ADD behind vf-attach, which is undone. */
async function offloadSays(offload: Record<string, unknown>) {
  const [attach, behind] = listWith(offload).plugins
  if (attach === undefined || behind === undefined) throw new TypeError('no plugins')
  const list = listWith(offload)
  const added = await runtime.call('ADD', list, attach, of())
  expect(added).toMatchObject({ code: 0 })
  const result = await runtime.call('ADD', list, behind, of(), { prevResult: JSON.parse(added.stdout) })
  await silently(runtime.call('DEL', list, behind, of()))
  await silently(runtime.call('DEL', list, attach, of()))
  return result
}

test('without the key the error names the ports, and so it does for an uplink of another card', async () => {
  const ports = `"${card.pf}", "${second.pf}"`
  expect(errorOf(await offloadSays({}))).toMatchObject({
    code: 7,
    msg: expect.stringContaining(
      `the PF "${card.pci}" has ports ${ports}; the key "uplink" must name the one that the pod's network is on`,
    ),
  })
  expect(errorOf(await offloadSays({ uplink: BRIDGE }))).toMatchObject({
    code: 7,
    msg: expect.stringContaining(
      `uplink "${BRIDGE}" is no port of the PF "${card.pci}"; must be one of ${ports}`,
    ),
  })
})

test('with the key HTTP is in the NIC by that port, and attributes of the VF are those of each port', async () => {
  const mac = '02:00:00:00:0b:05'
  const wishes = { bridge: BRIDGE, mac, mtu: 1400 }
  const list = listWith({ uplink: second.pf, nat: 'nic', offload: 'require' }, wishes)
  const before = await cardCounters(lab, card)
  const result = await runtime.add(list, of())
  await linkIsReady(lab, POD)
  expect(await lab.must(`ip -d link show dev ${card.pf}; ip -d link show dev ${second.pf}`)).toMatch(
    new RegExp(`(vf 0 .*${mac}[\\s\\S]*){2}`),
  )
  const server = await serve(lab, POD, [{ name: POD, protocol: 'http', port: 80 }])
  for (const client of [CLIENT_A, CLIENT_B]) {
    for (const family of ['v4', 'v6'] as const) {
      const question = { protocol: 'http', address: HOST[family], port: 8080, bytes: 100_000 } as const
      const [answer] = await ask(lab, client.namespace, [question])
      expect(answer).toMatchObject({ server: POD, bytes: 100_000, peer: { address: client[family] } })
    }
  }
  await server.stop()
  const rules = await hardwareRules(lab, card)
  expect(rules.filter(({ ingress, packets }) => ingress === 'second' && packets > 50).length).toBe(2)
  expect(rules.some(({ ingress }) => ingress === 'uplink')).toBe(false)
  const { uplink } = await cardCounters(lab, card)
  expect(uplink?.hw_packets).toBe(before.uplink?.hw_packets)
  await runtime.check(list, of(), result)
  await runtime.del(list, of(), result)
  expect(await hardwareRules(lab, card)).toEqual([])
})

test('an eSwitch that this host does not manage is not in legacy mode: errors and notes say so', async () => {
  const words = `this host does not manage the eSwitch of "${card.pf}" (BlueField in DPU mode? devlink: EOPNOTSUPP)`
  await setMode(lab, card, 'legacy')
  // No VF is behind the second port in legacy mode.
  await lab.must(`ip link set ${second.pf} nomaster; ip link set ${card.pf} master ${BRIDGE}`)
  await knob(lab, card, 'no_eswitch', 1)
  const uplink = card.pf
  const refused = errorOf(await offloadSays({ uplink, nat: 'nic' }))
  expect(refused).toMatchObject({ code: 7, msg: expect.stringContaining(`${words} and has no`) })
  const required = errorOf(await offloadSays({ uplink, offload: 'require' }))
  expect(required).toMatchObject({ code: 101, msg: expect.stringContaining(words) })
  const software = await offloadSays({ uplink })
  expect(software).toMatchObject({ code: 0, stderr: expect.stringContaining(`in software: ${words}`) })
  for (const { msg } of [refused, required]) expect(msg).not.toContain('legacy')
  expect(software.stderr).not.toContain('legacy')
  await knob(lab, card, 'no_eswitch', 0)
  expect(errorOf(await offloadSays({ uplink, nat: 'nic' })).msg).toContain('its eSwitch is in legacy mode')
})
