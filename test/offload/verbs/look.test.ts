// ADD does a part of its work before it has the node's lock, and the rest under it, and looks again when its view is out
// of date by then.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import { parsePciAddress } from '../../../src/lib/pci-address.ts'
import { offloadPlugin } from '../../../src/offload/plugin.ts'
import { type Port, portNow } from '../../../src/offload/port/port.ts'
import type { VfAttributes } from '../../../src/ops/op.ts'
import { requestOf } from '../../support/request.ts'
import { bandwidth, path, portMappings, prevResult, VethNode } from '../veth-node.ts'

/** A node that notes what is asked and changed by whether the lock is held. */
class Watched extends VethNode {
  readonly before: string[] = []
  readonly under: string[] = []
  /** Acts of others while the lock is waited for. */
  meanwhile: () => void = () => undefined
  readonly waits: (readonly [string, number])[] = []
  #held = false

  override withLock<T>(lock: string, milliseconds: number, action: () => T): T {
    this.waits.push([lock, milliseconds])
    this.meanwhile()
    this.#held = true
    try {
      return action()
    } finally {
      this.#held = false
    }
  }

  override openKernel(...pod: Parameters<VethNode['openKernel']>): Kernel {
    const kernel = super.openKernel(...pod)
    const noted = Object.entries(kernel).map(([name, method]: [string, (...args: never[]) => unknown]) => {
      const asked = (...args: never[]) => {
        ;(this.#held ? this.under : this.before).push(name)
        return method(...args)
      }
      return [name, asked]
    })
    return Object.fromEntries(noted)
  }
}

let stateDir: string
let node: Watched
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'look-'))
  node = new Watched(join(stateDir, 'shared'))
  node.namespaces.set(path, '4:1')
})
afterEach(() => rmSync(stateDir, { recursive: true }))

let macs = 10
const becomesAnother = () => {
  const [link] = node.inPod as [LinkFacts]
  node.inPod.splice(0, 1, { ...link, mac: `02:00:00:00:00:${macs++}`.slice(0, 17) })
}
const add = () =>
  offloadPlugin(node).add(requestOf({ stateDir, prevResult, runtimeConfig: { portMappings, bandwidth } }))

/** All that grows with the node: its interfaces, addresses, sockets, filters and programs. */
const costly = [
  'addresses',
  'nodeAddresses',
  'links',
  'linksAt',
  'linksOfKind',
  'listeners',
  'conflicts',
  'routes',
  'sourceRules',
  'bridgeVlans',
]

describe('an ADD', () => {
  test('looks around before it asks for the lock, and changes things under it alone', () => {
    add()
    expect(node.before).toEqual(
      expect.arrayContaining(['nodeAddresses', 'linksAt', 'listeners', 'conflicts']),
    )
    expect(node.before).not.toContain('run')
    expect(node.under).toContain('run')
    expect(node.under.filter((name) => costly.includes(name))).toEqual([])
    expect(node.lines.filter((line) => line.includes('clsact'))).toHaveLength(1)
    // Some hundred others may come at once, each for some hundredths of a second.
    expect(node.waits).toEqual([[`${node.sharedDir}/lock`, 30_000]])
  })

  test('uses a qdisc that another one has made while it waited for the lock', () => {
    node.meanwhile = () => node.qdiscs.add(7)
    add()
    expect(node.lines.filter((line) => line.includes('clsact'))).toEqual([])
  })

  test('looks around once more when the pod’s interface has become another one meanwhile, and not with the lock', () => {
    let turns = 0
    node.meanwhile = () => {
      if (turns++ === 0) becomesAnother()
    }
    add()
    expect(node.under.filter((name) => costly.includes(name))).toEqual([])
    expect(node.before.filter((name) => name === 'listeners')).toHaveLength(2)
    expect(node.under).toContain('run')
  })

  test('gives up on an interface that is always another one, and has changed nothing', () => {
    node.meanwhile = becomesAnother
    expect(add).toThrow('was another one as soon as it had been looked at')
    expect(node.under).not.toContain('run')
    expect(node.waits).toHaveLength(5)
  })

  test('looks around once more when the other end of its pair has become another one', () => {
    let turns = 0
    node.meanwhile = () => {
      if (turns++ === 0) node.peers.set(3, 8)
    }
    add()
    expect(node.under.filter((name) => costly.includes(name))).toEqual([])
    expect(node.lines.filter((line) => line.includes('veth1'))).toEqual([])
    expect(node.lines.some((line) => line.includes('veth2'))).toBe(true)
  })

  test('that has nothing to do asks for no lock', () => {
    offloadPlugin(node).add(requestOf({ stateDir, prevResult }))
    expect([node.before, node.under]).toEqual([[], []])
  })
})

describe('a port that is read again', () => {
  const link = (name: string, ifindex: number, more: object = {}) =>
    ({ name, ifindex, mac: '02:00:00:00:00:01', up: true, ...more }) as LinkFacts
  const vfs = (attributes: Partial<VfAttributes>) => ({ vfs: new Map([[3, attributes]]) })
  const inPod = link('net1', 9)
  const pf = link('pf0', 2, vfs({ vlan: { id: 7, qos: 0, proto: 0x8100 } }))
  const port: Port = {
    ...{ kind: 'representor', name: 'net1', link: inPod, mac: inPod.mac },
    device: parsePciAddress('0000:3b:00.2'),
    vf: { pf: parsePciAddress('0000:3b:00.0') as NonNullable<ReturnType<typeof parsePciAddress>>, index: 3 },
    wire: {
      ...{ uplink: pf, vlan: 7, uplinkHasIngress: false },
      ...{ representor: link('rep0', 4), representorHasIngress: false },
    },
  }
  /** Answers of a kernel that has these interfaces, and qdiscs on those of these numbers. */
  const now = (links: { pod?: LinkFacts; host?: LinkFacts }, qdiscs: readonly number[] = []) =>
    portNow(
      {
        link: (side: 'host' | 'pod') => links[side],
        hasIngress: (ifindex: number) => qdiscs.includes(ifindex),
      } as unknown as Kernel,
      port,
    )

  test('is the same, with qdiscs and rates as they are now', () => {
    expect(now({ pod: inPod, host: pf })).toEqual(port)
    const limited = link('pf0', 2, vfs({ ...pf.vfs?.get(3), rate: { min: 0, max: 5 } }))
    expect(now({ pod: inPod, host: limited }, [2])?.wire).toMatchObject({
      ...{ uplink: limited, uplinkHasIngress: true, representorHasIngress: false },
    })
    expect(now({ pod: inPod, host: pf }, [4])?.wire).toMatchObject({
      ...{ uplinkHasIngress: false, representorHasIngress: true },
    })
  })

  test.each([
    ['the pod has none of the name', { host: pf }],
    ['it is another interface', { pod: link('net1', 10), host: pf }],
    ['it has another MAC', { pod: { ...inPod, mac: '02:00:00:00:00:09' }, host: pf }],
    ['the uplink is gone', { pod: inPod }],
    ['the uplink is down', { pod: inPod, host: { ...pf, up: false } }],
    ['its number is another one’s', { pod: inPod, host: { ...pf, name: 'pf1' } }],
    ['the VF is in another VLAN', { pod: inPod, host: link('pf0', 2, vfs({})) }],
  ])('is another one when %s', (_, links) => {
    expect(now(links)).toBeUndefined()
  })
})
