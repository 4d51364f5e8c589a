/**
 * Keys of the portmap plugin that speak of rules which are not made here. Checked as portmap checks them, in its own words
 * where programs may look for those; without effect otherwise. What would restrict who reaches a pod is refused as soon as a
 * mapping would have it.
 */
import { row } from '../../cni/config-keys.ts'
import { CniError, code } from '../../cni/error.ts'
import { elsewhere } from '../../cni/protocol-keys.ts'
import { ipFamily } from '../../lib/ip.ts'
import { type JsonObject, type JsonValue, shown } from '../../lib/json.ts'
import type { PortKey } from '../../ops/op.ts'

const unmade =
  'checked as portmap checks it; no effect, with a warning: it speaks of rules that are not made here'
const refused = 'refused with code 2 where the pod gets a mapping of that family'
const conditions = elsewhere('an array of texts', { type: 'array', items: { type: 'string' } })

/** Keys of portmap that are checked here and have no effect of ours. */
export const portmapKeys = {
  backend: row(elsewhere('"iptables" or "nftables"', { enum: ['iptables', 'nftables'] }), {
    of: ['portmap'],
    isIdle: true,
    effect: unmade,
  }),
  markMasqBit: row(elsewhere('an integer from 0 to 31', { type: 'integer', minimum: 0, maximum: 31 }), {
    of: ['portmap'],
    isIdle: true,
    effect: unmade,
  }),
  externalSetMarkChain: row(elsewhere('the name of a chain', { type: 'string' }), {
    of: ['portmap'],
    isIdle: true,
    effect: unmade,
  }),
  conditionsV4: row(conditions, { of: ['portmap'], effect: refused }),
  conditionsV6: row(conditions, { of: ['portmap'], effect: refused }),
} as const

const iptablesOnly = ['externalSetMarkChain', 'conditionsV4', 'conditionsV6'] as const

/** The findings about these keys. */
export interface PortmapKeys {
  /** One for each key that has no effect. */
  readonly warnings: readonly string[]
  /** Conditions that mappings of a family would have, as the config has them. */
  readonly conditions: ReadonlyMap<4 | 6, string>
}

const conditionKeys = { 4: 'conditionsV4', 6: 'conditionsV6' } as const

/**
 * Reads them.
 * @throws CniError 7 for what portmap refuses too
 */
export function checkPortmapKeys(config: JsonObject): PortmapKeys {
  const { backend, markMasqBit, externalSetMarkChain } = config
  if (isSet(backend) && backend !== 'iptables' && backend !== 'nftables')
    throw new CniError(code.invalidConfig, `unrecognized backend ${shown(backend)}`)
  if (isSet(markMasqBit) && isSet(externalSetMarkChain))
    throw new CniError(code.invalidConfig, 'Cannot specify externalSetMarkChain and markMasqBit')
  if (isSet(markMasqBit) && !isBit(markMasqBit))
    throw new CniError(code.invalidConfig, 'MasqMarkBit must be between 0 and 31', {
      details: `markMasqBit is ${shown(markMasqBit)}`,
    })
  const foreign = iptablesOnly.filter((key) => isSet(config[key]) && !isNftCondition(key, config[key]))
  if (backend === 'nftables' && foreign.length > 0) {
    throw new CniError(
      code.invalidConfig,
      `nftables backend was requested but configuration contains iptables-specific options [${foreign.join(' ')}]`,
    )
  }
  const conditions = new Map<4 | 6, string>()
  for (const family of [4, 6] as const) {
    const value = config[conditionKeys[family]]
    if (isSet(value) && !(Array.isArray(value) && value.length === 0)) conditions.set(family, shown(value))
  }
  const warnings = ['backend', 'markMasqBit', 'externalSetMarkChain']
    .filter((key) => isSet(config[key]))
    .map((key) => `key "${key}" has no effect: it speaks of rules that are not made here`)
  return { warnings, conditions }
}

/**
 * A mapping that would be open to all is refused where the config has conditions for its family.
 * @throws CniError 2 with key and value
 */
export function refuseConditions(
  { conditions }: Pick<PortmapKeys, 'conditions'>,
  keys: readonly Pick<PortKey, 'address'>[],
): void {
  for (const [family, value] of conditions) {
    if (keys.some(({ address }) => ipFamily(address) === family))
      throw new CniError(code.unsupportedField, `Cannot use ${conditionKeys[family]} ${value}: not supported`)
  }
}

/** As Go has it: absent and null are the same, and so is an empty text for a key of portmap. */
function isSet(value: JsonValue | undefined): value is JsonValue {
  return value !== undefined && value !== null && value !== ''
}

function isBit(value: JsonValue): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 31
}

/** Conditions for nftables are words; those for iptables start with an option or a negation. */
function isNftCondition(key: string, value: JsonValue | undefined): boolean {
  if (key === 'externalSetMarkChain' || !Array.isArray(value)) return false
  const [first] = value
  return !(typeof first === 'string' && /^[-!]/.test(first))
}
