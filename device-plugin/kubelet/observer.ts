/** The events of the front end that metrics count. */

/** The two ways to register: kubelet watches a folder (`watcher`), or the plugin calls kubelet (`legacy`). */
export type Way = 'watcher' | 'legacy'

/** Somebody who counts. Calls return at once and do not throw. */
export interface KubeletObserver {
  /** A call of kubelet is answered. `code` is the name of the gRPC status, such as `OK`. For ListAndWatch: the stream is over. */
  onRpc(method: string, resource: string, milliseconds: number, code: string): void
  /** kubelet has taken or refused a registration, or could not be asked. */
  onRegistration(resource: string, way: Way, accepted: boolean): void
  /** A ListAndWatch stream begins or ends, or a list is written to a stream. */
  onStream(resource: string, event: 'opened' | 'ended' | 'sent'): void
}

/** Counts nothing. */
export const noObserver: KubeletObserver = {
  onRpc: () => undefined,
  onRegistration: () => undefined,
  onStream: () => undefined,
}
