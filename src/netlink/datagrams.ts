// Cuts a list of requests into datagrams whose answers fit into a receive buffer.
import { NLM_F, nlmsghdr, type Request } from './message.ts'

/** Largest datagram of a batch, in bytes and in messages: its ACKs must fit into a receive buffer of 208 KiB. */
const batchBytes = 32 << 10
const batchMessages = 64
/** The same for requests with an echo. Echoes are larger than ACKs: the kernel allocates a page or more for each. */
const batchEchoes = 16

/** The requests of each datagram, in order. */
export function datagramsOf(requests: readonly Request[]): (readonly Request[])[] {
  const datagrams: (readonly Request[])[] = []
  let from = 0
  while (from < requests.length) {
    let to = from
    let size = 0
    let most = batchMessages
    while (to < requests.length && to - from < most) {
      const { payload, flags } = requests[to] as Request
      size += nlmsghdr.size + payload.length
      if (flags & NLM_F.NLM_F_ECHO) most = batchEchoes
      if (to > from && (size > batchBytes || to - from >= most)) break
      to++
    }
    datagrams.push(requests.slice(from, to))
    from = to
  }
  return datagrams
}
