// A kernel in memory, put together from a fake for each subject.

import type { Listener } from '../../src/kernel/api/port-users.ts'
import type { FreedKey } from '../../src/kernel/api/reservations.ts'
import type { Op, Outcome, Side } from '../../src/ops/op.ts'
import { FakeAddresses } from './addresses.ts'
import { FakeLinks } from './links.ts'
import { FakePolicers } from './policers.ts'
import { FakeReservations } from './reservations.ts'

/** Interfaces, addresses and reservations. An operation of another subject is a mistake of the test. */
export class FakeKernel {
  readonly reservations = new FakeReservations()
  readonly interfaces = new FakeLinks()
  /** Sockets of the host's programs. */
  readonly listeners: Listener[] = []
  readonly #policers = new FakePolicers()
  readonly #addresses = new FakeAddresses(this.interfaces)

  run(op: Op): Outcome {
    switch (op.do) {
      case 'link.move': {
        const { moved } = this.interfaces.run(op)
        if (op.from !== op.to && moved !== undefined) this.#addresses.leave(op.from, moved)
        return {}
      }
      case 'link.set':
      case 'altname.add':
      case 'altname.del':
        this.interfaces.run(op)
        return {}
      case 'addr.add':
      case 'addr.del':
        this.#addresses.run(op)
        return {}
      case 'ports.reserve':
        this.reservations.reserve(op)
        return {}
      case 'ports.release':
        this.reservations.releasePorts(op.owner.slice(0, 32), op)
        return {}
      case 'limiter.add':
      case 'limiter.del':
        this.#policers.run(op)
        return {}
      default:
        throw new TypeError(`the fake knows no ${op.do}`)
    }
  }

  /** The questions of its subjects. */
  readonly questions = {
    link: (side: Side, by: number | string) => this.interfaces.link(side, by),
    links: (side: Side) => this.interfaces.links(side),
    linksAt: (ifindexes: readonly number[]) => this.interfaces.linksAt(ifindexes),
    linksOfKind: (kind: string) => this.interfaces.linksOfKind(kind),
    addresses: (side: Side, ifindex?: number) => this.#addresses.addresses(side, ifindex),
    nodeAddresses: (families: readonly (4 | 6)[]) => this.#addresses.nodeAddresses(families),
    portTable: () => this.reservations.portTable(),
    reservePorts: this.reservations.reservePorts.bind(this.reservations),
    releasePorts: this.reservations.releasePorts.bind(this.reservations),
    hasReservation: (cookie: string) => this.reservations.hasReservation(cookie),
    reservedCookies: (prefix: string) => this.reservations.reservedCookies(prefix),
    openedPorts: (cookie: string, keys: readonly FreedKey[]) => this.reservations.openedPorts(cookie, keys),
    everyOpenedPort: () => this.reservations.everyOpenedPort(),
    takenPolicers: (first: number) => this.#policers.takenPolicers(first),
    // No interface of the fake is a port of an eSwitch.
    eswitchPorts: () => [],
    listeners: (proto: 'tcp' | 'udp', ports: readonly number[]) =>
      this.listeners.filter((one) => one.proto === proto && ports.includes(one.port)),
  }
}
