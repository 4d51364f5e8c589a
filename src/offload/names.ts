/** Names that the chain plugin answers to: under a peer's name it does what the peer does. */
export const offloadNames = ['vf-offload', 'portmap', 'bandwidth'] as const
export type OffloadName = (typeof offloadNames)[number]
