// ADD looks for the facts that its mappings need.
import { beforeEach, expect, test } from 'vitest'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { Port } from '../../../src/offload/port/port.ts'
import { readOffloadFacts } from '../../../src/offload/portmap/facts.ts'
import { addressAnswers, linkAnswers } from '../../support/node-answers.ts'

/** Settings of the kernel that were asked for. */
let asked: string[] = []
beforeEach(() => {
  asked = []
})

/** The facts that are found for a port on an uplink. */
function factsOf(
  slaveKind: string | undefined,
  sysctls: Readonly<Record<string, string>> = {},
  ...ips: readonly string[]
) {
  const uplink = { name: 'lo', ifindex: 2, slaveKind, master: undefined }
  const kernel = {
    ...addressAnswers([]),
    ...linkAnswers([]),
    sysctl: (_: string, key: string) => {
      asked.push(key)
      return sysctls[key]
    },
  } as unknown as Kernel
  const port = { link: undefined, wire: { uplink } } as unknown as Port
  return readOffloadFacts(
    kernel,
    port,
    ips.map((ip) => ({ ip, address: `${ip}/24`, gateway: undefined })),
  )
}

test('the bond that the uplink is a port of; one of which only the kind is known is one too', () => {
  expect(factsOf('bond').bond).toBe('a bond')
  expect(factsOf('team').bond).toBe('a team')
  for (const kind of [undefined, 'bridge', 'vrf']) expect(factsOf(kind)).not.toHaveProperty('bond')
})

test('whether the node forwards: only what says no is a no, and it is asked for the families of the pod alone', () => {
  const [v4, v6] = ['10.1.0.5', 'fd00:1::5']
  expect(factsOf(undefined, {}, v4, v6).still).toEqual(new Set())
  const off = { 'net/ipv4/ip_forward': '0', 'net/ipv6/conf/all/forwarding': '1' }
  expect(factsOf(undefined, off, v4, v6).still).toEqual(new Set([4]))
  asked = []
  expect(factsOf(undefined, off, v4).still).toEqual(new Set([4]))
  expect(asked).toEqual(['net/ipv4/ip_forward'])
})
