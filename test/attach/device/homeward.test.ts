// A device goes home by the number that it has in the pod now, and a device of software is known by its other end.
import { describe, expect, test } from 'vitest'
import { homeward } from '../../../src/attach/device/homeward.ts'
import { findByPeer, isJoinedAsBefore } from '../../../src/attach/device/joined.ts'
import type { LinkFacts, OtherEnd } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { Op, Side } from '../../../src/ops/op.ts'
import type { AttachJournal } from '../../../src/records/attach.ts'
import { factsOf } from '../model.ts'

const mac = '02:00:00:00:00:01'
const base = factsOf({ name: 'net1', altnames: [], mac, mtu: 1500, up: false })
const veth = (ifindex: number, more: Partial<LinkFacts> = {}): LinkFacts => ({
  ...base,
  ...{ parent: undefined, kind: 'veth', lower: 40, ifindex },
  ...more,
})
const journal: AttachJournal = {
  device: {
    ...{ id: 'netdev:hd0', parents: [], kind: 'veth', ifindex: 7, podIfindex: 8 },
    ...{ lower: 40, lowerNetns: -1 },
  },
  original: { link: { name: 'hd0', altnames: [], mac, mtu: 1500, up: false } },
}
const end = (where: OtherEnd['where'], ifindex: number, netns?: number): OtherEnd => ({
  ...{ where, ifindex, netns },
  kind: 'veth',
})

/** A kernel where the other end says one after the other; interfaces are asked for by number. */
function kernelOf(
  ends: readonly (OtherEnd | undefined)[],
  links: Partial<Record<Side, LinkFacts[]>>,
): Kernel {
  const left = [...ends]
  return {
    otherEnd: () => (left.length > 1 ? left.shift() : left[0]),
    link: (side: Side, by: number | string) => links[side]?.find(({ ifindex }) => ifindex === by),
  } as Partial<Kernel> as Kernel
}

const home: Op = {
  ...{ do: 'link.move', from: 'pod', name: 'net1', ifindex: 8 },
  ...{ to: 'host', newName: 'hd0', newIfindex: 7 },
}

/** The operations of a move home, and the refusal. */
function moved(kernel: Kernel, of: AttachJournal, look: boolean): { ran: Op[]; refusal: string } {
  const ran: Op[] = []
  const run = (op: Op) => {
    ran.push(op)
    return {}
  }
  try {
    homeward(kernel, of, { run }, look ? { ifname: 'net1' } : undefined).run(home)
  } catch (error) {
    return { ran, refusal: (error as Error).message }
  }
  return { ran, refusal: '' }
}

describe('a move home', () => {
  test('goes by the number that the device has in the pod now', () => {
    const kernel = kernelOf([end('pod', 12), end('host', 7)], { pod: [veth(12), veth(8)] })
    expect(moved(kernel, journal, true)).toEqual({ ran: [{ ...home, ifindex: 12 }], refusal: '' })
  })

  test.each([[end('elsewhere', 8, 3)], [undefined]])('is not sent for a device that is %j', (found) => {
    const { ran, refusal } = moved(kernelOf([found], { pod: [veth(8)] }), journal, true)
    expect(ran).toEqual([])
    expect(refusal).toBe('"netdev:hd0" is not in the pod any more')
  })

  test('sends back what has come in its place', () => {
    const { ran, refusal } = moved(kernelOf([end('elsewhere', 8, 3)], { host: [veth(7)] }), journal, false)
    expect(ran).toEqual([
      home,
      { do: 'link.move', from: 'host', name: 'hd0', ifindex: 7, to: 'pod', newName: 'net1' },
    ])
    expect(refusal).toContain('another interface has taken the place of "netdev:hd0" in the pod')
  })

  test('of hardware, too, by its parent', () => {
    const vf: AttachJournal = {
      device: { id: '0000:ff:02.3', pci: '0000:ff:02.3', parents: ['0000:ff:02.3'], podIfindex: 8 },
      original: journal.original,
    }
    const kernel = (parent: string | undefined) =>
      kernelOf([], { host: [{ ...base, parent }], pod: [{ ...base, ifindex: 8, parent: '0000:ff:02.3' }] })
    expect(moved(kernel('0000:ff:02.3'), vf, true)).toEqual({ ran: [home], refusal: '' })
    expect(moved(kernel(undefined), vf, true).refusal).toContain('another interface has taken the place')
  })

  test('that the kernel’s side makes after a refused move to the pod is looked at too', () => {
    const away: Op = {
      ...{ do: 'link.move', from: 'host', name: 'hd0', ifindex: 7 },
      ...{ to: 'pod', newName: 'net1', newIfindex: 8 },
    }
    const attempt = (found: OtherEnd) => {
      const ran: Op[] = []
      const run = (op: Op) => {
        ran.push(op)
        if (ran.length === 1) throw new Error('EEXIST')
        return {}
      }
      const kernel = kernelOf([found], { host: [veth(7)] })
      expect(() => homeward(kernel, journal, { run }).run(away)).toThrow()
      return ran
    }
    expect(attempt(end('host', 7))).toEqual([away])
    expect(attempt(end('elsewhere', 8, 3)).at(-1)).toMatchObject({
      from: 'host',
      ifindex: 7,
      newName: 'net1',
    })
  })

  test('other operations pass', () => {
    const ran: Op[] = []
    const op: Op = { do: 'link.set', side: 'pod', name: 'net1', set: { up: false }, was: { up: true } }
    homeward(kernelOf([], {}), journal, { run: (one) => ({ existed: ran.push(one) > 0 }) }).run(op)
    expect(ran).toEqual([op])
  })
})

describe('by its other end a device is', () => {
  const peer = { ifindex: 40, netns: -1 }
  const find = (kernel: Kernel, pod: boolean, moved?: boolean) =>
    findByPeer(kernel, journal, { pod, ...(moved === undefined ? {} : { moved }) }, peer)

  test('looked for again when it moves between two looks', () => {
    const kernel = kernelOf([end('pod', 8), end('pod', 9)], { pod: [veth(8, { lower: 41 }), veth(9)] })
    expect(find(kernel, true, true).link).toEqual({ side: 'pod', facts: veth(9) })
    const restless = find(kernelOf([end('pod', 8)], {}), true, true)
    expect(restless.elsewhere?.words).toContain('does not stay')
  })

  test('gone when that is gone, or of another kind', () => {
    expect(find(kernelOf([undefined], {}), true, true)).toEqual({})
    const macvlan = { ...end('pod', 8), kind: 'macvlan' }
    expect(find(kernelOf([macvlan], { pod: [veth(8)] }), true, true)).toEqual({})
  })

  test('not gone when that has left and the pod has what may be the device, which is not taken either', () => {
    const found = (more: Partial<LinkFacts>, pod = true) =>
      find(kernelOf([undefined], { pod: [veth(8, more)] }), pod, true)
    expect(found({ lowerNetns: 0 })).toEqual({
      elsewhere: { words: expect.stringContaining('its other end has left'), isEnding: false },
    })
    expect(found({ lowerNetns: 0, kind: 'macvlan' })).toEqual({})
    expect(found({ lowerNetns: 0 }, false)).toEqual({})
  })

  test('elsewhere, in a namespace that lives or is ending', () => {
    expect(find(kernelOf([end('elsewhere', 5, 3)], {}), true, true).elsewhere).toEqual({
      words: 'the interface is in a namespace that the host has the number 3 for, as number 5 there',
      isEnding: false,
    })
    expect(find(kernelOf([end('elsewhere', 5)], {}), true, true).elsewhere?.isEnding).toBe(true)
  })

  test('where a move home has just put it: the other end is not asked again', () => {
    const kernel = kernelOf([end('elsewhere', 5, 3)], { host: [veth(7)] })
    const view = { pod: true, moved: true, home: 7 }
    expect(findByPeer(kernel, journal, view, peer).link).toEqual({ side: 'host', facts: veth(7) })
    expect(findByPeer(kernel, journal, { ...view, home: 9 }, peer).elsewhere).toBeDefined()
  })

  test('on the host as long as its pod lives, else only as what it was before or a DEL made it', () => {
    const at = (ifindex: number, pod: boolean, wasMoved?: boolean) =>
      find(kernelOf([end('host', ifindex)], { host: [veth(ifindex)] }), pod, wasMoved).link?.facts.ifindex
    expect(at(12, true, true)).toBe(12)
    expect(at(7, false)).toBe(7)
    expect(at(7, false, true)).toBeUndefined()
    const noted = { ...journal, device: { ...journal.device, homeIfindex: 12 } }
    const kernel = kernelOf([end('host', 12)], { host: [veth(12)] })
    expect(findByPeer(kernel, noted, { pod: false, moved: true }, peer).link?.facts.ifindex).toBe(12)
  })
})

describe('what stands on an interface of the host', () => {
  const macvlan = { ...journal, device: { ...journal.device, kind: 'macvlan' } }
  const joined = (netns: number | 'pod' | 'unknown', lower = 40) =>
    isJoinedAsBefore(
      { lowerNetns: () => netns } as Partial<Kernel> as Kernel,
      macvlan,
      veth(8, { kind: 'macvlan', lower }),
    )

  test('stands on that number in that namespace, as far as the kernel tells', () => {
    expect(joined(-1)).toBe(true)
    expect(joined('unknown')).toBe(true)
    expect(joined('pod')).toBe(false)
    expect(joined(2)).toBe(false)
    expect(joined(-1, 41)).toBe(false)
  })
})
