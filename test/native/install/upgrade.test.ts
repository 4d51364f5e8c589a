// An upgrade under load: pods come and go, in four lanes, by the plugins of a CNI folder in which an installer puts one build in the place of
// the other, 20 times, with an agent that is replaced as often. No ADD and no DEL fails, and each has its effect. VF_TEST_ALL=1 takes
// 200 pods at the least.
// needs: veth, nft
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachment } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { cniRuntime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import {
  addNodeAddress,
  builds,
  CNI,
  configureContainerd,
  mustInstall,
  outputOf,
  standInForSystemd,
  withStandIn,
} from '../../support/install-node.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const upgrades = 20
const pods = process.env.VF_TEST_ALL === '1' ? 200 : 40
const lanes = [0, 1, 2, 3]

let lab: Lab
beforeAll(async () => {
  lab = await sharedLab()
  await configureContainerd(lab)
  await standInForSystemd(lab)
  await addNodeAddress(lab)
  for (const lane of lanes) {
    await newPod(lab, `lane${lane}`)
    await outputOf(
      lab,
      `ip link add up${lane} type veth peer name up-peer${lane}; ip link set up-peer${lane} up`,
    )
  }
})
afterAll(async () => {
  await lab?.must('kill $(cat /run/agent.pid) 2>/dev/null; rm -rf /run/systemd /run/stand-in; true')
  for (const lane of lanes) {
    await deletePod(lab, `lane${lane}`)
    await outputOf(lab, `ip link del up-peer${lane}`)
  }
  await lab?.must('nft flush ruleset; rm -rf /var/lib/cni/*')
})

test('no ADD and no DEL fails while the installer runs 20 times', { timeout: 600_000 }, async () => {
  const install = (turn: number) =>
    lab.exec([builds[turn % 2]?.program ?? '', 'install'], { env: withStandIn })
  expect((await install(0)).code).toBe(0)
  let isOver = false
  let count = 0
  const lane = async (number: number) => {
    const runtime = cniRuntime(lab, [CNI])
    const list = {
      ...{ cniVersion: '1.0.0', name: 'load' },
      plugins: [
        {
          type: 'vf-attach',
          device: `up${number}`,
          ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.9.0/24' }]] },
        },
        { type: 'vf-offload', capabilities: { portMappings: true } },
      ],
    }
    for (let round = 0; !isOver || count < pods; round++) {
      const one = attachment(`/run/netns/lane${number}`, {
        containerID: `pod-${number}-${round}`,
        capabilityArgs: { portMappings: [{ hostPort: 8000 + number, containerPort: 80, protocol: 'tcp' }] },
      })
      const result = await runtime.add(list, one)
      expect(await outputOf(lab, `ip -n lane${number} -4 -br address show dev net1`)).toContain(
        result.ips?.[0]?.address ?? 'an address',
      )
      await runtime.del(list, one, result)
      expect(await outputOf(lab, `ip -br link show dev up${number}`)).toContain(`up${number}`)
      count++
    }
  }
  const installs = async () => {
    try {
      for (let turn = 1; turn <= upgrades; turn++) {
        const { code, stdout, stderr } = await install(turn)
        expect({ turn, code, stderr }).toEqual({ turn, code: 0, stderr: '' })
        expect(stdout).toContain(`(build ${builds[turn % 2]?.id}) runs`)
      }
    } finally {
      isOver = true
    }
  }
  const ends = await Promise.allSettled([installs(), ...lanes.map(lane)])
  expect(ends.filter(({ status }) => status === 'rejected')).toEqual([])
  expect(count).toBeGreaterThanOrEqual(pods)
  expect(
    await outputOf(
      lab,
      'find /var/lib/cni/vf-flower -name "*.json"; ls /var/lib/cni/networks/load | grep ^10 || true',
    ),
  ).toBe('')
  await mustInstall(lab, builds[0].program, 'uninstall')
})
