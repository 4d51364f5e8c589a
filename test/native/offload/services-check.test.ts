// CHECK names a service that takes a port's packets from a living pod, by its rule, and calls no pod broken for rules that take
// only some of them, come too late or lead to the pod itself. An ADD of such a port is refused all the same.
// needs: veth, bridge, nft, nft-fib, iptables, iptables-legacy
import { describe, expect, test } from 'vitest'
import { offload, PODS, tryOffload } from '../../../hack/lab/bed/bridge-bed.ts'
import { dockerPort } from '../../../hack/lab/bed/kube-proxy.ts'
import { errorOf } from '../../../hack/lab/bed/plugins.ts'
import { serve } from '../../../hack/lab/bed/traffic.ts'
import { chain } from '../../support/services-bed.ts'
import {
  add,
  answering,
  lab,
  load,
  makers,
  port,
  prevResult,
  runtime,
  useServicesNode,
} from '../../support/services-node.ts'

useServicesNode()

describe('that comes after the ADD is named by CHECK', () => {
  const check = (hostPort: number) => tryOffload(runtime, 'CHECK', 'pod-one', port(hostPort))

  const forSome = new Set([
    'a redirection for the clients of one interface',
    'a map by port and the client’s network',
  ])
  test.each(makers.filter(([who]) => !forSome.has(who)))('%s', async (_, make, hostPort, words) => {
    expect(await add(port(hostPort))).toMatchObject({ code: 0 })
    await make()
    expect(errorOf(await check(hostPort))).toMatchObject({ code: 104, msg: expect.stringMatching(words) })
  })

  const elsewhere = 'dnat to 10.88.0.6:8080'
  test.each([
    [
      'chance among endpoints',
      `tcp dport 8080 dnat to numgen random mod 2 map { 0 : ${PODS['pod-one'].v4}, 1 : 10.88.0.6 }`,
      '',
    ],
    [
      'chance among chains, one of them ours',
      'tcp dport 8080 numgen random mod 2 vmap { 0 : goto ours, 1 : goto theirs }',
      `chain ours { tcp dport 8080 dnat to ${PODS['pod-one'].v4}:80; }; chain theirs { tcp dport 8080 ${elsewhere}; }`,
    ],
    [
      'for a few another way first',
      `ip saddr 192.0.2.7 tcp dport 8080 goto theirs; tcp dport 8080 goto theirs`,
      `chain theirs { tcp dport 8080 ${elsewhere}; }`,
    ],
    [
      'ours for a few only',
      `ip saddr 192.0.2.7 tcp dport 8080 dnat to ${PODS['pod-one'].v4}:80; tcp dport 8080 ${elsewhere}`,
      '',
    ],
    ['the pod’s other port', `tcp dport 8080 dnat to ${PODS['pod-one'].v4}:81`, ''],
    ['a range that begins with the pod', `tcp dport 8080 dnat to ${PODS['pod-one'].v4}-10.88.0.9`, ''],
  ])('%s', async (_, rule, chains) => {
    expect(await add(port(8080))).toMatchObject({ code: 0 })
    await load('nft -f -', chain(rule, chains))
    const checked = await check(8080)
    expect(checked).toMatchObject({ code: 1 })
    expect(errorOf(checked)).toMatchObject({
      code: 104,
      msg: expect.stringContaining('tcp 10.1.0.1 port 8080 is taken by table ip other chain '),
    })
  })

  test.each([
    ['one interface', `iifname "nothere0" tcp dport 8080 ${elsewhere}`],
    ['one client', `ip saddr 10.88.0.5 tcp dport 8080 ${elsewhere}`],
    ['a mark', `meta mark & 0x10 != 0 tcp dport 8080 ${elsewhere}`],
    ['chance', `tcp dport 8080 numgen random mod 2 0 ${elsewhere}`],
    ['one client, in a map', `ip saddr . tcp dport vmap { 10.0.0.7 . 8080 : goto theirs }`],
  ])('but not what depends on %s: that is told, once', async (_, rule) => {
    expect(await add(port(8080))).toMatchObject({ code: 0 })
    await load('nft -f -', chain(rule, `chain theirs { meta l4proto tcp ${elsewhere}; }`))
    const checked = await check(8080)
    expect(checked).toMatchObject({ code: 0, stdout: '' })
    expect(checked.stderr.trim().split('\n')).toEqual([
      expect.stringMatching(
        /some of what comes to tcp 10\.1\.0\.1 port 8080 may be taken by table ip other chain pre: /,
      ),
    ])
    await offload(runtime, 'DEL', 'pod-one', { prevResult })
    expect(errorOf(await add(port(8080)))).toMatchObject({ code: 100 })
  })

  test('but not what takes the node’s own programs', async () => {
    expect(await add(port(8080))).toMatchObject({ code: 0 })
    await load(
      'nft -f -',
      chain(`ip daddr != 127.0.0.0/8 tcp dport 8080 ${elsewhere}`).replace('hook prerouting', 'hook output'),
    )
    expect(await check(8080)).toMatchObject({ code: 0, stderr: expect.stringContaining('may be taken by') })
  })

  test('but not a chain behind ours, which has lost the port: so an ADD is refused', async () => {
    const behind = (priority: number) =>
      load(
        'nft -f -',
        chain(`tcp dport 8080 ${elsewhere}`).replace('priority dstnat', `priority ${priority}`),
      )
    const own = await serve(lab, 'pod-one', [{ name: 'pod-one', protocol: 'http', port: 80 }])
    try {
      expect(await add(port(8080))).toMatchObject({ code: 0 })
      await behind(-50)
      expect(await check(8080)).toMatchObject({ code: 0, stdout: '', stderr: '' })
      expect(await answering(8080)).toBe('pod-one')
      await lab.must('nft delete table ip other')
      await behind(-96)
      expect(errorOf(await check(8080))).toMatchObject({ code: 104 })
      expect(await answering(8080)).toBe('service')
      await lab.must('nft delete table ip other')
      await offload(runtime, 'DEL', 'pod-one', { prevResult })
      await behind(-50)
      expect(errorOf(await add(port(8080)))).toMatchObject({ code: 100 })
    } finally {
      await own.stop()
    }
  })

  const target = `${PODS['pod-one'].v4}:80`
  test.each<readonly [string, () => Promise<void>, number]>([
    ['nft', () => load('nft -f -', chain(`tcp dport 8080 dnat to ${target}`)), 8080],
    [
      'nft, by the port that it has',
      () => load('nft -f -', chain(`tcp dport 80 dnat to ${PODS['pod-one'].v4}`)),
      80,
    ],
    [
      'iptables-nft',
      () =>
        load('iptables-nft-restore --noflush', dockerPort(8080, { address: PODS['pod-one'].v4, port: 80 })),
      8080,
    ],
    [
      'iptables-legacy',
      () =>
        load(
          'iptables-legacy-restore --noflush',
          dockerPort(8080, { address: PODS['pod-one'].v4, port: 80 }),
        ),
      8080,
    ],
  ])('but not a rule that leads to the pod’s own port: %s', async (_, make, hostPort) => {
    expect(await add(port(hostPort))).toMatchObject({ code: 0 })
    await make()
    expect(await check(hostPort)).toMatchObject({ code: 0, stdout: '', stderr: '' })
    await offload(runtime, 'DEL', 'pod-one', { prevResult })
    expect(errorOf(await add(port(hostPort)))).toMatchObject({ code: 100 })
  })
})
