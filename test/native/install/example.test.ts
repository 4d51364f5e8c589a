// The example network that the installer writes: a pod on it gets an address, its host port answers a client on the wire, its limit is there,
// and its DEL leaves nothing. The plugins are those that the installer has put into the CNI folder.
// needs: veth, bridge, nft
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachment } from '../../../hack/lab/bed/plugins.ts'
import {
  buildTopology,
  CLIENT_A,
  deletePod,
  HOST,
  newPod,
  type Topology,
  tearDown,
  vethWire,
} from '../../../hack/lab/bed/topology.ts'
import { type ConfigList, cniRuntime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { builds, CNI, configureContainerd, mustInstall, outputOf } from '../../support/install-node.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const [release] = builds
const file = '/etc/cni/net.d/10-vf-flower.conflist'
let lab: Lab
let topology: Topology
beforeAll(async () => {
  lab = await sharedLab()
  topology = await buildTopology(lab, await vethWire(lab), 0)
  await configureContainerd(lab)
  await mustInstall(lab, release.program, 'install', '--network', 'example')
})
afterAll(async () => {
  await deletePod(lab, 'web')
  await mustInstall(lab, release.program, 'uninstall')
  await tearDown(lab, topology)
  await outputOf(lab, 'ip link del up0; ip link del vf-flower0; rm -rf /var/lib/cni/*; nft flush ruleset')
})

test('a host port of a pod answers from the wire', async () => {
  const list = JSON.parse(await outputOf(lab, `cat ${file}`)) as ConfigList
  const runtime = cniRuntime(lab, [CNI], ['/usr/bin/env', 'PATH=/usr/sbin:/usr/bin'])
  const web = attachment(await newPod(lab, 'web'), {
    capabilityArgs: {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
      bandwidth: { ingressRate: 8e6, ingressBurst: 8e5 },
    },
  })
  const result = await runtime.add(list, web)
  const server = await lab.spawn([
    'ip',
    'netns',
    'exec',
    'web',
    'socat',
    'TCP-LISTEN:80,fork,reuseaddr',
    'SYSTEM:echo it works',
  ])
  const ask = `ip netns exec ${CLIENT_A.namespace} socat -t 5 - TCP:${HOST.v4}:8080,retry=100,interval=0.05 </dev/null`
  expect(await outputOf(lab, ask)).toBe('it works')
  const shown = await outputOf(lab, 'vfctl show')
  expect(shown).toContain('tcp 8080 -> 80')
  expect(shown).toContain('is limited to 8000000 bit/s')
  server.kill('SIGKILL')
  await server.wait()
  await runtime.check(list, web, result)
  await runtime.del(list, web, result)
  expect(await outputOf(lab, 'vfctl show')).toBe('no attachments')
  expect(await outputOf(lab, 'nft list ruleset')).not.toContain('8080')
})
