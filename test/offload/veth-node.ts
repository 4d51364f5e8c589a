// A node with a pod behind a veth pair, for ADDs of vf-offload that go through all of its layers but the kernel.
import type { AddressFacts, LinkFacts } from '../../src/kernel/api/facts.ts'
import type { Kernel } from '../../src/kernel/api/kernel.ts'
import { commandLine } from '../../src/ops/command-line.ts'
import type { Op } from '../../src/ops/op.ts'
import { addressAnswers, linkAnswers } from '../support/node-answers.ts'
import { path } from './attached.ts'
import { Node } from './node.ts'

export { path }
/** The main plugin's answer about its pod. */
export const prevResult = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'net1', sandbox: path }],
  ips: [{ address: '10.88.0.5/16', interface: 0 }],
}
/** A mapping and a limit for it. */
export const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
export const bandwidth = { egressRate: 8_000_000, egressBurst: 80_000 }

const link = (name: string, ifindex: number, more: Partial<LinkFacts> = {}) =>
  ({
    name,
    ifindex,
    mac: '02:00:00:00:00:05',
    mtu: 1500,
    up: true,
    xdp: [],
    altnames: [],
    ...more,
  }) as LinkFacts

/** A node with a pod behind a veth pair; operations are written down. */
export class VethNode extends Node {
  readonly lines: string[] = []
  /** Kinds of the operations that a CHECK has asked about. */
  readonly verified: Op['do'][] = []
  /** An operation that has this in its line fails. */
  refused = '-'
  /** One of this kind is carried out, and its answer lost. */
  lost: Op['do'] | undefined
  /** Called before each operation. */
  look: () => void = () => undefined
  addresses = ['192.0.2.1/24']
  podAddresses = ['10.88.0.5/16']
  readonly #host = [
    link('eth0', 2),
    ...[7, 8].map((number) => link(`veth${number - 6}`, number, { kind: 'veth', lower: 3, lowerNetns: 0 })),
  ]
  /** Interfaces of the pod. */
  readonly inPod = [link('net1', 3, { kind: 'veth', lower: 7, lowerNetns: 1 })]

  /** The interface of the host that the other end of each of them is. */
  readonly peers = new Map([[3, 7]])

  /** Writes an operation down that is carried out by `action`. */
  #done<T>(op: Op, action: () => T): T {
    this.look()
    const line = commandLine(op)
    if (line.includes(this.refused)) throw new Error(`refused: ${line}`)
    this.lines.push(line)
    const result = action()
    if (op.do === this.lost) throw new Error(`the answer is lost: ${line}`)
    return result
  }

  override openKernel(...pod: Parameters<Node['openKernel']>): Kernel {
    const of = (side: string) => (side === 'pod' ? this.inPod : this.#host)
    return {
      ...super.openKernel(...pod),
      link: (side, by) => of(side).find((one) => one.name === by || one.ifindex === by),
      peer: ({ ifindex }) => this.#host.find((one) => one.ifindex === this.peers.get(ifindex)),
      links: (side) => of(side),
      ...hostAnswers(this.#host, this.addresses),
      addresses: (side) =>
        side === 'pod'
          ? this.podAddresses.map((address) => ({ ifindex: 3, address, scope: 0 }))
          : this.addresses.map((address) => ({ ifindex: 2, address, scope: 0 })),
      hasDefaultRoute: () => true,
      listeners: () => [],
      verify: (done) => {
        for (const { op } of done) this.verified.push(op.do)
        return []
      },
      reservePorts: (reservation, table) => {
        const isThere = this.reservations.portTable() !== undefined
        if (isThere !== (table === 'present')) return this.reservations.reservePorts(reservation, table)
        const op = { do: 'ports.reserve', ...reservation } as const
        return this.#done(op, () => this.reservations.reservePorts(reservation, table))
      },
      completeTable: (wanted) => {
        const refused: { owner: string; reason: string }[] = []
        for (const { keys, owner, ...rest } of wanted) {
          const line = commandLine({ do: 'ports.reserve', keys, owner, ...rest })
          if (line.includes(this.refused)) refused.push({ owner, reason: `refused: ${line}` })
          else this.reservations.reserve({ keys, owner })
        }
        return { table: this.reservations.portTable(), restored: [], refused }
      },
      run: (op) =>
        this.#done(op, () => {
          if (op.do === 'detour.add') {
            const place = { ifindex: 7, prio: 60_000, handle: 1, protocol: 3, kind: 'matchall' } as const
            this.filters.push({ ...place, cookie: op.detour.cookie, packets: 0n, inHw: false })
          }
          return {}
        }),
    }
  }
}

/** Answers about the host's interfaces and addresses, which are on the interface 2. */
function hostAnswers(links: readonly LinkFacts[], addresses: readonly string[]) {
  const { linksAt, linksOfKind } = linkAnswers(links)
  const known = addresses.map((address) => ({ ifindex: 2, address: address, scope: 0 }))
  const { nodeAddresses } = addressAnswers(known as AddressFacts[])
  return { linksAt, linksOfKind, nodeAddresses }
}
