/** Allocations: who has which device. Nothing here knows how a source asks. */

/** One device in use. */
export interface Holding {
  readonly resource: string
  readonly device: string
  /** Absent where the source does not tell. A source that knows the uid alone leaves the names empty. */
  readonly pod?: { readonly namespace: string; readonly name: string; readonly uid?: string }
  readonly container?: string
}

/** Somebody who knows who has what, all of it. */
export interface HoldingSource {
  /** For logs and metrics: `podresources`, `checkpoint`. */
  readonly name: string
  /** All devices in use. Throws SourceUnavailable when the source is not to be had. */
  read(): Promise<readonly Holding[]>
  /** Calls `changed` whenever another answer of `read` is likely. The returned function ends that. */
  watch?(changed: () => void): () => void
  /** Gives up a question that goes on: the process ends, and must not wait for an answer. */
  end?(): void
}

/** A source gives no answer now. The message is one sentence. */
export class SourceUnavailable extends Error {
  override readonly name = 'SourceUnavailable'
}

/** The state of allocations. */
export interface Allocations {
  /** By device id. */
  readonly held: ReadonlyMap<string, Holding>
  /** The source that told; `guess`: none is to be had, and the devices were only seen to be given out. */
  readonly source: string
  readonly isGuess: boolean
}
