/**
 * Chains of type nat that others have in nf_tables, those of iptables-nft among them. All that a node is asked on which nobody
 * else translates: so nothing is decoded here, and nothing loaded that decodes.
 */
import type { Request } from '../../netlink/message.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import { tolerate } from '../errors.ts'

/** What the kernel has of chains. */
export interface NatChains {
  /** Messages of chains of type nat, but ours. */
  readonly messages: readonly Uint8Array[]
  /** Where kube-proxy keeps its node ports; undefined where it has none. */
  readonly kubeProxy: string | undefined
}

/** NFT_MSG_GETCHAIN of all families: a struct nfgenmsg of zeros. */
const dumpChains: Request = {
  name: 'NFT_MSG_GETCHAIN',
  type: (10 << 8) | 4,
  flags: 0,
  payload: new Uint8Array(4),
}
/** From a kernel that has no nf_tables (EINVAL: nfnetlink knows no such subsystem). */
const absent = ['ENOENT', 'EINVAL', 'EOPNOTSUPP'] as const

/** NFTA_CHAIN_TYPE "nat", as a message has it: a node can have thousands of chains, and few of them are on a hook. */
const natType = attribute(7, 'nat')
const ourTable = attribute(1, 'vf-flower')
/** The chain of mode iptables that has node ports, and the table of mode nftables, which sets them apart in a map. */
const nodePortChain = attribute(3, 'KUBE-NODEPORTS')
const kubeTable = attribute(1, 'kube-proxy')
/** NFPROTO_INET */
const inet = 1
/** struct nlmsghdr */
const headerSize = 16

/** Looks at all chains. */
export function natChains(socket: NetlinkSocket): NatChains {
  let kubeProxy: string | undefined
  const look = (datagram: Uint8Array): Uint8Array[] => {
    const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length)
    if (kubeProxy === undefined) {
      if (bytes.includes(kubeTable)) kubeProxy = 'table kube-proxy'
      else if (bytes.includes(nodePortChain)) kubeProxy = 'chain KUBE-NODEPORTS'
    }
    return messagesWith(bytes, natType).filter(
      (message) => message[0] !== inet || !message.includes(ourTable),
    )
  }
  const messages = tolerate(absent, () => socket.skim(dumpChains, look)) ?? []
  return { messages, kubeProxy }
}

/** Payloads of the messages of a datagram that have some bytes. */
function messagesWith(bytes: Buffer, needle: Buffer): Buffer[] {
  const found: Buffer[] = []
  let next = bytes.indexOf(needle)
  for (let at = 0; next >= 0 && at < bytes.length; ) {
    const end = at + bytes.readUInt32LE(at)
    if (next < end) {
      found.push(Buffer.from(bytes.subarray(at + headerSize, end)))
      next = bytes.indexOf(needle, end)
    }
    at = (end + 3) & ~3
  }
  return found
}

/** A text with its ending zero, as an attribute. */
function attribute(type: number, text: string): Buffer {
  return Buffer.from([5 + text.length, 0, type, 0, ...Buffer.from(text), 0])
}
