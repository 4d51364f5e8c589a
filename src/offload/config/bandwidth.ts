/**
 * The bandwidth that a config asks for: the keys of the bandwidth plugin, at the top of the config or as the capability
 * `runtimeConfig.bandwidth`, and our own key `bandwidth`. Rates in bits per second, bursts in bits.
 */
import { CniError, code } from '../../cni/error.ts'
import { isObject, type JsonObject, type JsonValue, shown } from '../../lib/json.ts'

/** A limit as it was asked for, in one direction: bits per second and bits. */
export interface Limit {
  readonly rate: number
  readonly burst: number
}

/** What is asked for; a direction that is absent is not limited. */
export interface RateWishes {
  /** `ingress` of the config. */
  readonly toPod?: Limit
  /** `egress` of the config. */
  readonly fromPod?: Limit
  /** No limit may be where the pod, with CAP_NET_ADMIN, could take it away. */
  readonly outside: boolean
}

/** Keys of the bandwidth plugin; `normalise` knows them so. */
export const rateKeys = {
  ingressRate: true,
  ingressBurst: true,
  egressRate: true,
  egressBurst: true,
} as const

/** Of the config's own key `bandwidth`. */
export const bandwidthKeys = { require: true } as const

/** Kubernetes takes 1k to 1P. */
const [leastRate, mostRate] = [1000, 1e15]

/**
 * Reads the wishes. Keys at the top, if there is any of them, win entirely over the runtime's: nothing is mixed.
 * @throws CniError 7 for a value that is none, a rate without burst, a burst without rate, a burst of 4 GiB or more
 */
export function readRates(config: JsonObject, runtime: JsonObject): RateWishes {
  const outside = readRequire(config.bandwidth)
  const isStatic = Object.keys(rateKeys).some((key) => config[key] !== undefined)
  const [source, prefix] = isStatic ? [config, ''] : [runtime.bandwidth ?? null, 'runtimeConfig.bandwidth']
  if (source === null) return { outside }
  if (!isObject(source)) throw invalid(prefix, source, 'an object')
  const at = (key: string) => (prefix === '' ? key : `${prefix}.${key}`)
  const toPod = readLimit(source, 'ingressRate', 'ingressBurst', at)
  const fromPod = readLimit(source, 'egressRate', 'egressBurst', at)
  return {
    ...(toPod === undefined ? {} : { toPod }),
    ...(fromPod === undefined ? {} : { fromPod }),
    outside,
  }
}

/** Which pods a config limits: every one, by its own keys; those that ask, by the capability; or none. */
export type Limited = 'every' | 'asking' | 'none'

/** Reads {@link Limited} from a config that readRates() takes. */
export function limitedPods(config: JsonObject): Limited {
  const own = Object.keys(rateKeys).flatMap((key) => config[key] ?? [])
  if (own.length > 0) return own.some((value) => value !== 0) ? 'every' : 'none'
  return declares(config, 'bandwidth') ? 'asking' : 'none'
}

/** True when the config declares a capability, so that runtimes hand on what pods ask for. */
export function declares({ capabilities }: JsonObject, capability: string): boolean {
  return isObject(capabilities ?? null) && (capabilities as JsonObject)[capability] === true
}

function readRequire(value: JsonValue | undefined): boolean {
  if (value === undefined || value === null) return false
  if (!isObject(value)) throw invalid('bandwidth', value, 'an object with the key "require"')
  const { require } = value
  if (require === undefined || require === null || require === '') return false
  if (require !== 'outside') throw invalid('bandwidth.require', require, '"outside"')
  return true
}

function readLimit(
  source: JsonObject,
  rateKey: string,
  burstKey: string,
  at: (key: string) => string,
): Limit | undefined {
  const rate = readBits(source[rateKey], at(rateKey))
  const burst = readBits(source[burstKey], at(burstKey))
  if (rate === 0 && burst === 0) return undefined
  if (burst === 0) throw alone(at(rateKey), rate, at(burstKey))
  if (rate === 0) throw alone(at(burstKey), burst, at(rateKey))
  if (rate < leastRate || rate > mostRate) {
    throw invalid(at(rateKey), rate, `0 or ${leastRate} to ${mostRate} bits per second`)
  }
  if (Math.floor(burst / 8) >= 0xffffffff)
    throw invalid(at(burstKey), burst, 'less than 34359738360 bits (4 GiB)')
  return { rate, burst }
}

/** A number of bits, as Go's uint64 takes it. Beyond 2^53 all are too much, and equally so. */
function readBits(value: JsonValue | undefined, key: string): number {
  if (value === undefined || value === null) return 0
  const bits = typeof value === 'bigint' ? Number(value) : value
  if (typeof bits !== 'number' || !Number.isInteger(bits) || bits < 0 || bits >= 2 ** 64)
    throw invalid(key, value, 'an integer of bits, 0 or more')
  return bits
}

function alone(key: string, value: number, other: string): CniError {
  return new CniError(
    code.invalidConfig,
    `Cannot use ${key} ${value} without ${other}: a rate and its burst must be given together`,
  )
}

function invalid(key: string, value: JsonValue, allowed: string): CniError {
  return new CniError(code.invalidConfig, `Cannot use ${key} ${shown(value)}: must be ${allowed}`)
}
