import type { NetworkFacts } from '../../src/kernel/api/network-facts.ts'

/** Facts for a process that may not ask the kernel: every question has an empty answer. */
export const noNetwork: NetworkFacts = {
  links: () => [],
  defaultRoutes: () => [],
  addresses: () => [],
  vfs: () => new Map(),
  eswitchModes: () => new Map(),
  troubles: () => new Map(),
  ddpProfiles: () => new Map(),
  rdmaEnabled: () => new Set(),
  tcOffloads: () => new Map(),
  close: () => {},
}
