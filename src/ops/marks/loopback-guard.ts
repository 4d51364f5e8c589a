/**
 * Where the guard of a host interface is, which keeps 127.0.0.0/8 from outside away while `route_localnet` is set: a BPF
 * program as a filter on clsact ingress. By this place, and by its name, it is found again.
 */
export const loopbackGuard = {
  /** The first priority that there is: before filters of all others. */
  priority: 1,
  /** "vf" and 1: nobody gets it by chance, the kernel's own begin at 1. */
  handle: 0x76660001,
  /** Of program and filter; at most 15 bytes. */
  name: 'vf_loopback',
} as const
