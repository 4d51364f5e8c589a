/**
 * Finds foreign nat chains in nf_tables, those of iptables-nft included. A node without foreign NAT needs nothing but this read, so
 * this file decodes nothing and loads no decoder. Chains are read of the families alone in which others have a table: our own table has
 * a chain for each pod with ports.
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

/** NFT_MSG_GETTABLE for all families: a struct nfgenmsg of zeros. */
const dumpTables: Request = {
  name: 'NFT_MSG_GETTABLE',
  type: (10 << 8) | 1,
  flags: 0,
  payload: new Uint8Array(4),
}

/** NFT_MSG_GETCHAIN of a family: a struct nfgenmsg that begins with it. */
const dumpChains = (family: number): Request => ({
  name: 'NFT_MSG_GETCHAIN',
  type: (10 << 8) | 4,
  flags: 0,
  payload: Uint8Array.of(family, 0, 0, 0),
})
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
/** The families that have nat chains: NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6. */
const families: ReadonlySet<number> = new Set([inet, 2, 10])
/** struct nlmsghdr */
const headerSize = 16

/** Reads the tables, and the chains beside those of others. */
export function natChains(socket: NetlinkSocket): NatChains {
  const tables = tolerate(absent, () => socket.skim(dumpTables, (datagram) => messagesIn(datagram))) ?? []
  const others = tables.filter((message) => !isOurs(message))
  let kubeProxy = others.some((message) => message.includes(kubeTable)) ? 'table kube-proxy' : undefined
  const look = (datagram: Uint8Array): Uint8Array[] => {
    const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length)
    if (bytes.includes(nodePortChain)) kubeProxy ??= 'chain KUBE-NODEPORTS'
    return messagesWith(bytes, natType).filter((message) => !isOurs(message))
  }
  const asked = new Set(others.map(([family = 0]) => family).filter((family) => families.has(family)))
  const messages = [...asked].flatMap(
    (family) => tolerate(absent, () => socket.skim(dumpChains(family), look)) ?? [],
  )
  return { messages, kubeProxy }
}

/** True for our table, and for a chain in it. */
function isOurs(message: Buffer): boolean {
  return message[0] === inet && message.includes(ourTable)
}

/** Payloads of all messages of a datagram. */
function messagesIn(datagram: Uint8Array): Buffer[] {
  const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length)
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + bytes.readUInt32LE(at)
    found.push(Buffer.from(bytes.subarray(at + headerSize, end)))
    at = (end + 3) & ~3
  }
  return found
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
