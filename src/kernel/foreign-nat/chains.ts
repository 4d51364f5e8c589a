/**
 * Finds foreign nat chains in nf_tables, those of iptables-nft included. A node without foreign NAT needs nothing but this read, so
 * this file decodes nothing and loads no decoder.
 */
import type { Request } from '../../netlink/message.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import { tolerate } from '../errors.ts'

/** The foreign nat chains of the node. */
export interface NatChains {
  /** Messages of chains of type nat, without our own chains. */
  readonly messages: readonly Uint8Array[]
  /** The chain or table of kube-proxy's node ports; undefined where there is none. */
  readonly kubeProxy: string | undefined
}

/** NFT_MSG_GETCHAIN for all families: a struct nfgenmsg of zeros. */
const dumpChains: Request = {
  name: 'NFT_MSG_GETCHAIN',
  type: (10 << 8) | 4,
  flags: 0,
  payload: new Uint8Array(4),
}
/** Errors of a kernel without nf_tables (EINVAL: nfnetlink has no such subsystem). */
const absent = ['ENOENT', 'EINVAL', 'EOPNOTSUPP'] as const

/** The bytes of NFTA_CHAIN_TYPE "nat". A search finds the few chains on a hook among the thousands that a node can have. */
const natType = attribute(7, 'nat')
const ourTable = attribute(1, 'vf-flower')
/** kube-proxy's chain of node ports in mode iptables, and its table in mode nftables, which has node ports in a map. */
const nodePortChain = attribute(3, 'KUBE-NODEPORTS')
const kubeTable = attribute(1, 'kube-proxy')
/** NFPROTO_INET */
const inet = 1
/** struct nlmsghdr */
const headerSize = 16

/** Reads all chains. */
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

/** Payloads of the messages of a datagram that contain `needle`. */
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

/** The bytes of an attribute with a zero-terminated text. */
function attribute(type: number, text: string): Buffer {
  return Buffer.from([5 + text.length, 0, type, 0, ...Buffer.from(text), 0])
}
