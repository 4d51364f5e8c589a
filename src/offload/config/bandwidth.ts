/**
 * The bandwidth that a config asks for: the keys of the bandwidth plugin, at the top of the config or as the capability
 * `runtimeConfig.bandwidth`, and our own key `bandwidth`. Rates in bits per second, bursts in bits.
 */

import { row, type Values } from '../../cni/config-keys.ts'
import { CniError, code } from '../../cni/error.ts'
import { choice, invalid, type Leaf, leaf } from '../../cni/value-kinds.ts'
import { isObject, type JsonObject } from '../../lib/json.ts'

/** A limit as it was asked for, in one direction: bits per second and bits. */
export interface Limit {
  readonly rate: number
  readonly burst: number
}

/** The limits that are asked for; a direction that is absent is not limited. */
export interface RateWishes {
  /** `ingress` of the config. */
  readonly toPod?: Limit
  /** `egress` of the config. */
  readonly fromPod?: Limit
  /** No limit may be where the pod, with CAP_NET_ADMIN, could take it away. */
  readonly outside: boolean
}

/** Kubernetes takes 1k to 1P. */
const [leastRate, mostRate] = [1000, 1e15]
/** 4 GiB less one byte: the kernel counts a burst in 32 bits. */
const burstEnd = 0xffffffff * 8

/** A number of bits, as Go's uint64 takes it. Beyond 2^53 all are too much, and equally so. The reader of limits narrows it. */
const bits = (schema: JsonObject): Leaf<number> =>
  leaf(
    (value) => {
      const number = typeof value === 'bigint' ? Number(value) : value
      const fits = typeof number === 'number' && Number.isInteger(number) && number >= 0 && number < 2 ** 64
      return fits ? number : undefined
    },
    'an integer of bits, 0 or more',
    schema,
  )
const rateKind = bits({
  anyOf: [{ const: 0 }, { type: 'integer', minimum: leastRate, maximum: mostRate }],
})
const burstKind = bits({ type: 'integer', minimum: 0, maximum: burstEnd - 1 })
const rate =
  "bits per second, 1000 to 10^15, 0 = no limit; any of the four keys at the top of the config wins over all of the runtime's"
const burst = 'bits, below 4 GiB; must be given with its rate, and only then'

/** Keys of the bandwidth plugin. */
export const rateKeys = {
  ingressRate: row(rateKind, { of: ['bandwidth'], effect: `limit of the frames to the pod: ${rate}` }),
  ingressBurst: row(burstKind, { of: ['bandwidth'], effect: `burst of the frames to the pod: ${burst}` }),
  egressRate: row(rateKind, { of: ['bandwidth'], effect: `limit of the frames from the pod: ${rate}` }),
  egressBurst: row(burstKind, { of: ['bandwidth'], effect: `burst of the frames from the pod: ${burst}` }),
} as const

/** Of the config's own key `bandwidth`. */
export const bandwidthKeys = {
  require: row(choice(['outside'], '"outside"'), {
    of: ['vf-flower'],
    effect:
      "fails with code 7 (or 101 with the driver's words) where a limit could be had in the pod only: a pod with CAP_NET_ADMIN can take it away there",
  }),
} as const
type Rates = Values<typeof rateKeys>

/**
 * Reads the wishes. Keys at the top, if there is any of them, win entirely over the runtime's: nothing is mixed.
 * @throws CniError 7 for a rate without burst, a burst without rate, and numbers that no kernel or runtime takes
 */
export function readRates(
  top: Rates,
  runtime: Rates | undefined,
  bandwidth: Values<typeof bandwidthKeys> | undefined,
): RateWishes {
  const [source, prefix] = isGiven(top) ? [top, ''] : [runtime, 'runtimeConfig.bandwidth.']
  const toPod = source && readLimit(source, 'ingressRate', 'ingressBurst', prefix)
  const fromPod = source && readLimit(source, 'egressRate', 'egressBurst', prefix)
  return {
    ...(toPod === undefined ? {} : { toPod }),
    ...(fromPod === undefined ? {} : { fromPod }),
    outside: bandwidth?.require === 'outside',
  }
}

/** The pods that a config limits: every one, by its own keys; those that ask, by the capability; or none. */
export type Limited = 'every' | 'asking' | 'none'

/** Reads {@link Limited} from the config and its keys at the top. */
export function limitedPods(config: JsonObject, top: Rates): Limited {
  if (isGiven(top)) return ratesOf(top).some((value) => value !== undefined && value !== 0) ? 'every' : 'none'
  return declares(config, 'bandwidth') ? 'asking' : 'none'
}

/** True when the config declares a capability, so that runtimes hand on the wishes of pods. */
export function declares({ capabilities }: JsonObject, capability: string): boolean {
  return isObject(capabilities ?? null) && (capabilities as JsonObject)[capability] === true
}

function isGiven(top: Rates): boolean {
  return ratesOf(top).some((value) => value !== undefined)
}

function ratesOf({ ingressRate, ingressBurst, egressRate, egressBurst }: Rates) {
  return [ingressRate, ingressBurst, egressRate, egressBurst]
}

function readLimit(
  source: Rates,
  rateKey: keyof Rates,
  burstKey: keyof Rates,
  prefix: string,
): Limit | undefined {
  const [rate, burst] = [source[rateKey] ?? 0, source[burstKey] ?? 0]
  const [ratePath, burstPath] = [prefix + rateKey, prefix + burstKey]
  if (rate === 0 && burst === 0) return undefined
  if (burst === 0) throw alone(ratePath, rate, burstPath)
  if (rate === 0) throw alone(burstPath, burst, ratePath)
  if (rate < leastRate || rate > mostRate)
    throw invalid(ratePath, rate, `0 or ${leastRate} to ${mostRate} bits per second`)
  if (burst >= burstEnd) throw invalid(burstPath, burst, `less than ${burstEnd} bits (4 GiB)`)
  return { rate, burst }
}

function alone(key: string, value: number, other: string): CniError {
  return new CniError(
    code.invalidConfig,
    `Cannot use ${key} ${value} without ${other}: a rate and its burst must be given together`,
  )
}
