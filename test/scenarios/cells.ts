/**
 * The table of offload and NAT (docs/configuration.md): what each wish becomes on each port. A refusal leaves nothing;
 * what is accepted serves both clients.
 */
import { expect } from 'vitest'
import { type KindName, type PortBed, portOf } from '../../hack/lab/bed/port-bed.ts'
import { hardwareRules, knob } from '../../hack/lab/bed/simnic.ts'
import { expectUsual, USUAL } from './scenario.ts'

/** The place of the translation, and the place where the rules run that steer (or translate). */
interface Served {
  readonly nat: 'pod' | 'nic' | 'host'
  readonly rules: 'nic' | 'host' | 'none'
}

/** An error object's code, and words of its message. */
interface Refused {
  readonly code: number
  readonly words: string
}

/** One cell: config keys, and what becomes of them. */
export interface Cell {
  readonly kinds: readonly KindName[]
  readonly config: Readonly<Record<string, unknown>>
  /** The card takes so many rules only. */
  readonly maxRules?: number
  readonly becomes: Served | Refused
}

const full = ['simnic-full'] as const
const representors = ['simnic-full', 'simnic-sfc'] as const
const legacy = ['igb', 'simnic-legacy'] as const
const ownNic = ['host-nic'] as const
const bySoftware = [...legacy, ...ownNic] as const
const veth = ['bridge', 'ptp'] as const
/** Networks that no client is in. */
const directSubnets = ['10.9.0.0/24', 'fd00:9::/64']

const inPod = { nat: 'pod', rules: 'host' } as const
const steered = { nat: 'pod', rules: 'nic' } as const
const translated = { nat: 'nic', rules: 'nic' } as const
const byHost = { nat: 'host', rules: 'none' } as const
const isLegacy = { code: 7, words: 'legacy mode' } as const
const isOwn = { code: 7, words: 'a NIC of its own' } as const
const untested = { code: 101, words: 'no card was seen to deliver' } as const
const needsNic = { code: 7, words: 'offload "off"' } as const

export const cells: readonly Cell[] = [
  { kinds: representors, config: { nat: 'pod', offload: 'off' }, becomes: inPod },
  { kinds: representors, config: { nat: 'pod' }, becomes: steered },
  { kinds: representors, config: { nat: 'pod', offload: 'require' }, becomes: steered },
  { kinds: full, config: { nat: 'pod' }, maxRules: 1, becomes: inPod },
  {
    kinds: full,
    config: { nat: 'pod', offload: 'require' },
    maxRules: 1,
    becomes: { code: 101, words: 'driver said' },
  },
  { kinds: representors, config: { nat: 'nic', offload: 'off' }, becomes: needsNic },
  { kinds: full, config: { nat: 'nic' }, becomes: translated },
  { kinds: full, config: { nat: 'nic', offload: 'require' }, becomes: translated },
  { kinds: full, config: { nat: 'nic' }, maxRules: 1, becomes: { code: 101, words: 'driver said' } },
  { kinds: ['simnic-sfc'], config: { nat: 'nic' }, becomes: { code: 101, words: 'driver said' } },
  {
    kinds: ['simnic-sfc'],
    config: { nat: 'nic', offload: 'require' },
    becomes: { code: 101, words: 'driver said' },
  },
  { kinds: representors, config: {}, becomes: steered },
  { kinds: representors, config: { offload: 'off', directSubnets }, becomes: inPod },
  // Of UDP an answer in fragments can be translated in the pod only.
  { kinds: full, config: { directSubnets }, becomes: steered },
  { kinds: ['simnic-sfc'], config: { directSubnets }, becomes: steered },
  { kinds: ['simnic-sfc'], config: { directSubnets, offload: 'require' }, becomes: steered },
  { kinds: bySoftware, config: { nat: 'pod', offload: 'off' }, becomes: inPod },
  { kinds: bySoftware, config: { nat: 'pod' }, becomes: inPod },
  { kinds: bySoftware, config: { nat: 'nic', offload: 'off' }, becomes: needsNic },
  { kinds: bySoftware, config: { directSubnets }, becomes: inPod },
  { kinds: bySoftware, config: { nat: 'pod', offload: 'require' }, becomes: untested },
  { kinds: legacy, config: { nat: 'nic', offload: 'require' }, becomes: isLegacy },
  { kinds: ownNic, config: { nat: 'nic', offload: 'require' }, becomes: isOwn },
  { kinds: legacy, config: { nat: 'nic' }, becomes: isLegacy },
  { kinds: ownNic, config: { nat: 'nic' }, becomes: isOwn },
  { kinds: bySoftware, config: { directSubnets, offload: 'require' }, becomes: untested },
  { kinds: veth, config: { offload: 'off' }, becomes: byHost },
  { kinds: veth, config: {}, becomes: byHost },
  { kinds: veth, config: { offload: 'require' }, becomes: { code: 7, words: 'offload "require"' } },
]

/** A cell's name in a list of tests. */
export function cellName({ config, maxRules, becomes }: Cell): string {
  const room = maxRules === undefined ? '' : `, a table for ${maxRules}`
  const what = 'code' in becomes ? `code ${becomes.code}` : `NAT in ${becomes.nat}, rules in ${becomes.rules}`
  return `${JSON.stringify(config)}${room}: ${what}`
}

/** Carries a cell out. The bed is reset afterwards by whoever calls, who sees then what a refusal has left. */
export async function runCell(bed: PortBed, { config, maxRules, becomes }: Cell): Promise<void> {
  const { lab, node, one } = bed
  const { card } = node
  await node.setSecond(false)
  if (card !== undefined && maxRules !== undefined) await knob(lab, card, 'max_rules', maxRules)
  try {
    if ('code' in becomes) {
      const error = await bed.refused('ADD', one, USUAL, { config })
      expect(error).toMatchObject({ code: becomes.code, msg: expect.stringContaining(becomes.words) })
    } else {
      await bed.add(one, USUAL, { config })
      expect(await account(bed)).toEqual(becomes)
      await expectUsual(bed, one)
    }
    if (card !== undefined && portOf[bed.kind] === 'representor') {
      const busy = 'rules' in becomes && becomes.rules === 'nic'
      // Rules that let pass are for the node and for neighbours.
      const inTable = (await hardwareRules(lab, card))
        .filter(({ text }) => !text.endsWith(' ok'))
        .map(({ packets }) => packets > 0)
      expect(inTable).toEqual(busy ? inTable.map(() => true) : [])
    }
  } finally {
    if (card !== undefined) await knob(lab, card, 'max_rules', 0)
  }
}

/** Nothing is to come of it. */
export function isRefused({ becomes }: Cell): boolean {
  return 'code' in becomes
}

/** {@link runCell} for each, of which none may leave anything. */
export async function runCells(bed: PortBed, some: readonly Cell[]): Promise<void> {
  for (const cell of some) await runCell(bed, cell)
}

/** The record's own words. */
async function account({ lab, kind }: PortBed): Promise<Served> {
  const record = JSON.parse(await lab.must('cat /var/lib/cni/vf-flower/offload/*.json')) as {
    journal: { nat?: 'pod' | 'nic' | 'host'; rules?: { mapping: string; where: 'nic' | 'host' }[] }
  }
  const { nat = 'host', rules: all = [] } = record.journal
  // Those that mappings share are in software anyway.
  const rules = all.filter(({ mapping }) => mapping.includes(' -> '))
  const places = new Set(rules.map(({ where }) => where))
  if (places.size > 1) throw new Error(`rules in ${[...places].join(' and ')}`)
  if (portOf[kind] !== 'veth') expect(rules.length).toBeGreaterThan(0)
  return { nat, rules: [...places][0] ?? 'none' }
}
