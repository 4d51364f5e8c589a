// Limits of what a pod behind the distribution's Go bridge plugin sends, on a kernel without matchall, then without flower, then
// without u32 too: each has the filter by the first classifier that is left, known to CHECK, vfctl and DEL. Traffic at the
// rate is in test/native/bandwidth/detour.test.ts.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BRIDGE, warmBridge } from '../../../hack/lab/bed/bridge-bed.ts'
import { errorOf, pluginPath, silently, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import type { ShownLimit } from '../../support/limits.ts'
import { RatePod, SMALL_FROM_POD } from '../../support/rate-veth.ts'

const pod = 'pod-one'

let lab: Lab
let bed: RatePod

beforeAll(async () => {
  lab = await sharedLab()
  const runtime = testRuntime(lab)
  await warmBridge(lab, runtime)
  bed = await RatePod.attach(lab, runtime, pod)
  await bed.remember()
})
afterAll(async () => {
  await lab.must('rm -f /etc/modprobe.d/none.conf')
  await bed?.end()
  await lab.must('ip link del cni0')
})

/** Takes classifiers away so that nothing can load them. */
const without = (...names: readonly string[]) =>
  lab.must(
    names
      .map((name) => `rmmod ${name} 2>/dev/null; echo install ${name} /bin/false >>/etc/modprobe.d/none.conf`)
      .join('\n'),
  )

test.each([
  ['matchall', []],
  ['flower', ['cls_matchall']],
  ['u32', ['cls_matchall', 'cls_flower']],
  ['basic', ['cls_matchall', 'cls_flower', 'cls_u32']],
] as const)('%s is what the kernel has left', async (classifier, away) => {
  await without(...away)
  const { code, stdout, stderr } = await bed.call('ADD', SMALL_FROM_POD)
  expect([code, stdout]).toEqual([0, expect.any(String)])
  if (away.length === 0) expect(stderr).not.toContain('classifier')
  else expect(stderr).toMatch(new RegExp(`made by classifier ${classifier}; not by matchall: .*ENOENT`))
  expect(await lab.must(`tc filter show dev ${bed.peer} ingress`)).toContain(`pref 60000 ${classifier}`)
  await silently(bed.call('CHECK', SMALL_FROM_POD, JSON.parse(stdout)))
  await lab.must(`ip netns exec ${pod} ping -c 2 -i 0.2 ${BRIDGE.v4}`)
  const shown = JSON.parse(await lab.must(`${pluginPath[0]}/vfctl show --json`)) as { limits: ShownLimit[] }[]
  const parts = shown[0]?.limits[0]?.parts ?? []
  const filter = parts.find(({ line }) => line.includes(`prio 60000 ${classifier} `))
  expect(filter?.counters?.software.packets).toBeGreaterThanOrEqual(2)
  await bed.leavesNothing()
  await lab.must('rm -f /etc/modprobe.d/none.conf')
})

test('without any the ADD is refused with what the kernel said to each, and nothing stays', async () => {
  await without('cls_matchall', 'cls_flower', 'cls_u32', 'cls_basic')
  const { code, msg, details = '' } = errorOf(await bed.call('ADD', SMALL_FROM_POD))
  await lab.must('rm -f /etc/modprobe.d/none.conf')
  expect(code).toBe(102)
  for (const kind of ['matchall', 'flower', 'u32', 'basic'])
    expect(`${msg} ${details}`).toContain(`${kind}: RTM_NEWTFILTER: ENOENT`)
  await bed.isAsBefore()
})
