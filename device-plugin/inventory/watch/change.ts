/** Changes of the node that the inventory could show. Types, and the counter of changes. */

/**
 * Kinds of changes. `link` to `devlink` are those of netlink messages, `vf` is a message about an interface that differs in nothing, as
 * after a change of a VF attribute. `lost`: the kernel has dropped notifications, or a socket had to be opened again. `timer`: the
 * periodic scan. `asked`: touch().
 */
export const changeKinds = [
  ...(['pci', 'net', 'auxiliary', 'vdpa', 'infiniband', 'uio', 'vfio', 'driver'] as const),
  ...(['link', 'vf', 'route', 'address', 'devlink'] as const),
  ...(['lost', 'timer', 'asked'] as const),
] as const
export type ChangeKind = (typeof changeKinds)[number]

/** One change. */
export interface Change {
  readonly kind: ChangeKind
  /** A short name for logs: `add 0000:01:10.0`, `eth0`. */
  readonly subject: string
}

/** All changes of one window. */
export interface Changes {
  readonly total: number
  /** By kind; kinds without a change are absent. */
  readonly counts: Readonly<Partial<Record<ChangeKind, number>>>
  /** The first different ones, at most eight: `pci add 0000:01:10.0`. */
  readonly subjects: readonly string[]
  /** Nothing that was known before holds for sure: after `lost`, with `timer` and with `asked`. */
  readonly isFull: boolean
}

const mostSubjects = 8
const full: readonly ChangeKind[] = ['lost', 'timer', 'asked']

/** Counts changes. Takes the same memory for any number of them. */
export class Tally {
  #total = 0
  #counts: Partial<Record<ChangeKind, number>> = {}
  readonly #subjects = new Set<string>()

  get isEmpty(): boolean {
    return this.#total === 0
  }

  add({ kind, subject }: Change): void {
    this.#total++
    this.#counts[kind] = (this.#counts[kind] ?? 0) + 1
    if (this.#subjects.size < mostSubjects) this.#subjects.add(`${kind} ${subject}`)
  }

  /** The changes so far, and forgets them. */
  take(): Changes {
    const counts = this.#counts
    const changes = {
      total: this.#total,
      counts,
      subjects: [...this.#subjects],
      isFull: full.some((kind) => counts[kind] !== undefined),
    }
    this.#total = 0
    this.#counts = {}
    this.#subjects.clear()
    return changes
  }
}
