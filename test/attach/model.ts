// One VF and its two sides, as far as the plans of vf-attach can see it: changes by operations only, refuses what the
// kernel refuses. Enough to prove that a plan and what takes it back fit together; drivers are judged in the lab.
import type { LiveState } from '../../src/attach/device/live-state.ts'
import type { LinkFacts } from '../../src/kernel/api/facts.ts'
import type { LinkAttributes, Op, Outcome, Side, VfAttributes } from '../../src/ops/op.ts'
import type { Runner } from '../../src/ops/runner.ts'

/** The visible state of the device. `vf` has the attributes that the PF's driver reports, no others. */
export interface State {
  readonly vf: VfAttributes
  readonly link: {
    readonly side: Side
    readonly name: string
    readonly altnames: readonly string[]
    readonly mac: string
    readonly mtu: number
    readonly up: boolean
  }
}

export const noMac = '00:00:00:00:00:00'

/**
 * `plain`: a PF and its VF know nothing of each other. `strict`, after igb: the VF may not choose another MAC than the
 * one that its PF has set, and the PF shows the one that the VF chose while it had set none.
 */
export type Driver = 'plain' | 'strict'

export class Model implements Runner {
  state: State
  readonly driver: Driver
  readonly ran: Op[] = []

  constructor(state: State, driver: Driver = 'plain') {
    this.state = { vf: { ...state.vf }, link: { ...state.link, altnames: [...state.link.altnames] } }
    this.driver = driver
  }

  run(op: Op): Outcome {
    this.ran.push(op)
    const { link } = this.state
    switch (op.do) {
      case 'vf.set':
        return this.#setVf(op.set)
      case 'link.set':
        this.#find(op.side, op.name)
        try {
          this.#setLink(withoutUndefined(op.set))
        } catch (error) {
          if (op.mayFail !== true) throw error
        }
        return {}
      case 'link.move':
        this.#find(op.from, op.name)
        if (op.newName !== link.name && link.altnames.includes(op.newName)) throw new Refusal('EEXIST')
        if (op.from === op.to && link.up) throw new Refusal('EBUSY')
        this.#setLink({ side: op.to, name: op.newName, up: false })
        return {}
      case 'altname.add':
        this.#find(op.side, op.name)
        if ([link.name, ...link.altnames].includes(op.altname)) throw new Refusal('EEXIST')
        this.#setLink({ altnames: [...link.altnames, op.altname] })
        return {}
      case 'altname.del':
        this.#find(op.side, op.name)
        if (!link.altnames.includes(op.altname)) throw new Refusal('ENOENT')
        this.#setLink({ altnames: link.altnames.filter((name) => name !== op.altname) })
        return {}
      default:
        throw new TypeError(`vf-attach's plans have no ${op.do} for a device`)
    }
  }

  /** The device as a restore reads it. */
  live(): LiveState {
    const { vf, link } = this.state
    const { side, ...seen } = link
    return {
      vf: { pfName: 'pf0', index: 3, attributes: vf, switchdev: false },
      link: { side, facts: factsOf(seen) },
      representor: undefined,
      taken: new Set(),
    }
  }

  #find(side: Side, name: string): void {
    const { link } = this.state
    if (link.side !== side || link.name !== name) throw new Refusal('ENODEV')
  }

  #setVf(set: VfAttributes): Outcome {
    const reported = Object.entries(set).filter(([key]) => key in this.state.vf)
    this.state = { ...this.state, vf: { ...this.state.vf, ...Object.fromEntries(reported) } }
    return {}
  }

  #setLink(set: Partial<State['link']>): void {
    const { vf, link } = this.state
    if (this.driver === 'strict' && set.mac !== undefined && set.mac !== link.mac && vf.mac !== undefined) {
      if (vf.mac !== noMac && vf.mac !== set.mac) throw new Refusal('EPERM')
      this.#setVf({ mac: set.mac })
    }
    this.state = { ...this.state, link: { ...link, ...set } }
  }
}

function withoutUndefined({ mac, mtu, up }: LinkAttributes): Partial<State['link']> {
  return {
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(up === undefined ? {} : { up }),
  }
}

class Refusal extends Error {
  readonly code: string
  constructor(code: string) {
    super(`refused: ${code}`)
    this.code = code
  }
}

/** Facts of an interface that has nothing else to tell. */
export function factsOf(link: Omit<State['link'], 'side'>): LinkFacts {
  return {
    ...link,
    ifindex: 7,
    permanentMac: undefined,
    carrier: link.up,
    master: undefined,
    lower: undefined,
    kind: undefined,
    vlanId: undefined,
    slaveKind: undefined,
    xdp: [],
    parent: '0000:3b:02.3',
    ...{ alias: '', promisc: false, allmulti: false, txqlen: 1000 },
    ...{ parentBus: 'pci', physSwitchId: undefined, physPortName: undefined },
    vfs: undefined,
  }
}
