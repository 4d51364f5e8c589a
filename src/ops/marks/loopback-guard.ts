/**
 * The place and the name of the guard of a host interface: a BPF program as a filter on clsact ingress. The guard drops packets from
 * outside to 127.0.0.0/8 while `route_localnet` is set. Place and name identify the guard later.
 */
export const loopbackGuard = {
  /** The first priority of all: before the filters of everybody else. */
  priority: 1,
  /** "vf" and 1. Nobody gets this handle by chance, because the kernel's own begin at 1. */
  handle: 0x76660001,
  /** The name of the program and of the filter; at most 15 bytes. */
  name: 'vf_loopback',
} as const
