// Interfaces of two sides in memory. It refuses what the kernel refuses: the contract (test/contract) runs on both.
import type { LinkFacts } from '../../src/kernel/api/facts.ts'
import type { LinkKernel } from '../../src/kernel/api/links.ts'
import type { LinkOp, Side } from '../../src/ops/op.ts'
import { factsOf } from '../attach/model.ts'
import { FakeRefusal } from './refusal.ts'

/** The interfaces of the host and the pod. */
export class FakeLinks implements Pick<LinkKernel, 'link' | 'links' | 'linksAt' | 'linksOfKind'> {
  #links: { readonly side: Side; readonly facts: LinkFacts }[] = []

  /** Makes an interface that is down. */
  add(side: Side, name: string, ifindex: number): void {
    const seen = { name, altnames: [], mac: '02:00:00:00:00:05', mtu: 1500, up: false }
    this.#links.push({ side, facts: { ...factsOf(seen), ifindex, kind: 'ifb' } })
  }

  link(side: Side, by: number | string): LinkFacts | undefined {
    return this.links(side).find(
      ({ ifindex, name, altnames }) => ifindex === by || name === by || altnames.includes(String(by)),
    )
  }

  links(side: Side): readonly LinkFacts[] {
    return this.#links.flatMap((one) => (one.side === side ? [one.facts] : []))
  }

  linksAt(ifindexes: readonly number[]): readonly LinkFacts[] {
    return ifindexes.flatMap((ifindex) => this.link('host', ifindex) ?? [])
  }

  linksOfKind(wanted: string): readonly LinkFacts[] {
    return this.links('host').filter(({ kind }) => kind === wanted)
  }

  /** Carries out an operation; returns the number of an interface that has left its side. */
  run(op: LinkOp): { readonly moved?: number } {
    switch (op.do) {
      case 'link.set': {
        const { traits: _, master: __, ...set } = op.set
        this.#change(op.side, this.#find(op.side, op.ifindex ?? op.name), defined(set))
        return {}
      }
      case 'altname.add':
      case 'altname.del': {
        const { side, altname } = op
        const link = this.#find(side, op.ifindex ?? op.name)
        const isNew = op.do === 'altname.add'
        if (isNew && this.link(side, altname) !== undefined) throw new FakeRefusal('EEXIST')
        if (!isNew && !link.altnames.includes(altname)) throw new FakeRefusal('ENOENT')
        const others = link.altnames.filter((name) => name !== altname)
        this.#change(side, link, { altnames: isNew ? [...others, altname] : others })
        return {}
      }
      case 'link.move': {
        const link = this.#find(op.from, op.ifindex ?? op.name)
        const ifindex = op.newIfindex ?? link.ifindex
        if (this.link(op.to, op.newName) !== undefined) throw new FakeRefusal('EEXIST')
        if (op.from !== op.to && this.link(op.to, ifindex) !== undefined) throw new FakeRefusal('EBUSY')
        this.#links = this.#links.filter(({ facts }) => facts !== link)
        this.#links.push({ side: op.to, facts: { ...link, name: op.newName, ifindex, up: false } })
        return { moved: link.ifindex }
      }
      case 'vf.set':
      case 'bridge.vlan.add':
      case 'bridge.vlan.del':
      case 'driver.rebind':
      case 'function.reset':
        throw new TypeError(`the fake has no device for ${op.do}`)
    }
  }

  #find(side: Side, by: number | string): LinkFacts {
    const link = this.link(side, by)
    if (link === undefined) throw new FakeRefusal('ENODEV')
    return link
  }

  #change(side: Side, link: LinkFacts, set: Partial<LinkFacts>): void {
    this.#links = this.#links.map((one) => (one.facts === link ? { side, facts: { ...link, ...set } } : one))
  }
}

/** A copy without the keys whose value is undefined. */
function defined<T extends object>(value: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>
  }
}
