/** The modules that only a node with foreign NAT loads. */
export { follow, type Source } from './follow.ts'
export { ipvsServices } from './ipvs.ts'
export { legacyNat } from './legacy.ts'
export { basesOf, nftSource } from './nft.ts'
export { packetTo, portBytes } from './packet.ts'
