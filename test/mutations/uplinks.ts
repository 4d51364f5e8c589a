import type { Mutation } from './mutation.ts'

/** Mistakes in the port of a VF's PF, and in who manages its eSwitch. */
export const uplinks: readonly Mutation[] = [
  {
    id: 'offload-uplink-first',
    file: 'src/offload/port/uplink.ts',
    mistake: 'Of a PF with several ports the first one is taken for the one that the pod’s network is on.',
    old: 'wanted === undefined && ports.length === 1 ? ports[0] : named',
    now: 'wanted === undefined ? ports[0] : named',
    test: ['offload/port/port.test.ts', 'without the key the error names the ports'],
    tier: 'quick',
  },
  {
    id: 'offload-uplink-any',
    file: 'src/offload/port/uplink.ts',
    mistake: 'The key "uplink" may name any interface of the host for a VF.',
    old: 'return name !== undefined && ports.includes(name) ? name : undefined',
    now: 'return name',
    test: ['offload/port/port.test.ts', 'which is none of them'],
    tier: 'quick',
  },
  {
    id: 'offload-frames-to-the-wire',
    file: 'src/offload/port/uplink.ts',
    mistake: 'Ports are mapped by filters on a PF whose frames reach no VF.',
    old: "return state === 'unsupported' ? sentence(",
    now: "return state === 'legacy' ? sentence(",
    test: ['offload/port/port.test.ts', 'on sfc_ef100 frames of the PF reach no VF'],
    tier: 'quick',
  },
  {
    id: 'offload-eswitch-elsewhere',
    file: 'src/offload/port/uplink.ts',
    mistake: 'An eSwitch that another system manages is taken for one in legacy mode.',
    old: "return state === 'unsupported' ? driverFacts(driverOf(pf)).managedElsewhere?.where : undefined",
    now: 'return undefined',
    test: ['offload/port/port.test.ts', 'the manager elsewhere is'],
    tier: 'quick',
  },
  {
    id: 'pools-eswitch-elsewhere',
    file: 'device-plugin/pools/selector.ts',
    mistake: 'A pool of VFs in legacy mode takes those whose eSwitch another system manages.',
    old: 'if (pf?.managedElsewhere !== undefined) return',
    now: "if (pf?.address === '') return",
    test: ['device-plugin/pools/selectors.test.ts', 'eswitchModes is the mode of the PF'],
    tier: 'quick',
  },
  {
    id: 'offload-hairpin-elsewhere',
    file: 'src/offload/portmap/hairpin/words.ts',
    mistake:
      'Filters that send frames back by their own port are offered where another system manages the eSwitch.',
    old: '  if (manager !== undefined)\n',
    now: "  if (manager !== undefined && legacyOffload !== 'try')\n",
    test: ['offload/portmap/hairpin/words.test.ts', 'never asked where another system manages the eSwitch'],
    tier: 'quick',
  },
]
