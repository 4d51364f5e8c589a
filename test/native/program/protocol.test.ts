// The part of the protocol that needs a device, from outside: every version's result of a real ADD, which verbs a
// version has, and what GC takes. On interfaces without hardware. The rest is in test/conformance.
// needs: ifb
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attachment, json, silently, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { ConfigList, PluginConfig, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { supportedVersions } from '../../../src/cni/version.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const devices = ['proto0', 'proto1', 'proto2']
const address = { address: '10.66.0.2/24', gateway: '10.66.0.1' }
const routes = [{ dst: '0.0.0.0/0' }]

let lab: Lab
let runtime: Runtime
let pod: string

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  pod = await newPod(lab, 'proto')
  await lab.load('ifb numifbs=0')
  await lab.must(`for device in ${devices.join(' ')}; do ip link add $device type ifb; done`)
})
afterAll(async () => {
  if (pod !== undefined) await deletePod(lab, 'proto')
  await lab.sh(`for device in ${devices.join(' ')}; do ip link del $device; done`)
})

function listFor(cniVersion: string, plugin: PluginConfig, name = 'proto-net'): ConfigList {
  return { cniVersion, name, plugins: [plugin] }
}

describe.each([undefined, ...supportedVersions])('cniVersion %s', (version) => {
  // The distribution's IPAM plugins speak 1.0.0 at most.
  const ipam = version === '1.1.0' ? {} : { ipam: { type: 'static', addresses: [address], routes } }
  const plugin = { type: 'vf-attach', device: 'proto0', ...ipam }
  // An absent key is no JSON, so it is left out of what the runtime sends.
  const list = listFor(version as string, plugin)
  const call = (command: string, config = {}) =>
    runtime.call(command, list, plugin, attachment(pod), { config })

  test('S7, S9: ADD prints its result in the form of that version', async () => {
    const added = await call('ADD')
    expect(added).toMatchObject({ code: 0 })
    const [link] = await json(lab, 'ip -n proto -j address show dev net1')
    const mac = link?.address
    const own = version ?? '0.1.0'
    const result: unknown = JSON.parse(added.stdout)
    const ofContainer = { name: 'net1', mac, sandbox: pod }
    if (own < '0.3.0') {
      const { address: ip, gateway } = address
      expect(result).toEqual({ cniVersion: own, ip4: { ip, gateway, routes }, dns: {} })
    } else if (own < '1.0.0') {
      const ips = [{ version: '4', ...address, interface: 0 }]
      expect(result).toEqual({ cniVersion: own, interfaces: [ofContainer], ips, routes, dns: {} })
    } else {
      const given = own === '1.1.0' ? {} : { ips: [{ ...address, interface: 0 }], routes }
      expect(result).toMatchObject({ cniVersion: own, interfaces: [{ ...ofContainer, mtu: 1500 }], ...given })
      expect(added.stdout).not.toContain('"version"')
    }

    // S8, S12: the verbs that the version has say nothing when they succeed.
    const prevResult = { prevResult: result }
    if (own >= '0.4.0') await silently(call('CHECK', prevResult))
    if (own === '1.1.0') for (const verb of ['STATUS', 'GC']) await silently(call(verb))
    await silently(call('DEL', prevResult))
    expect(await json(lab, 'ip -j link show dev proto0')).toMatchObject([{ address: mac }])
  })
})

describe('S11: GC', () => {
  test.each(['cni.dev/valid-attachments', 'cni.dev/attachments'])(
    'by %s takes what is not listed, of its own network only',
    async (key) => {
      const gcLive = { gcLive: true }
      const [first, second, third] = devices.map((device): PluginConfig => ({ type: 'vf-attach', device }))
      const calls = [
        [first, 'proto-net', 'gone'],
        [second, 'proto-net', 'stays'],
        [third, 'other-net', 'gone'],
      ] as const
      const held = calls.map(([plugin, network, containerID], index) => {
        const config = plugin as PluginConfig
        const ours = attachment(pod, { containerID, ifname: `net${index}` })
        return (verb: string, more = {}) =>
          runtime.call(verb, listFor('1.1.0', config, network), config, ours, { config: more })
      })
      for (const one of held) expect(await one('ADD')).toMatchObject({ code: 0 })

      const valid = { ...gcLive, [key]: [{ containerID: 'stays', ifname: 'net1' }] }
      const names = async (where: string) =>
        (await json(lab, `ip ${where} -j link show type ifb`)).map(({ ifname }) => ifname).sort()
      for (const _ of ['once', 'again']) {
        await silently((held[1] as (typeof held)[number])('GC', valid))
        expect(await names('-n proto')).toEqual(['net1', 'net2'])
        expect(await names('')).toEqual(expect.arrayContaining(['proto0']))
      }
      for (const one of held.slice(1)) await silently(one('DEL'))
      expect(await names('')).toEqual(expect.arrayContaining(devices))
    },
  )
})
