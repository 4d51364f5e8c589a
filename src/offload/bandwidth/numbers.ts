/** From a limit to the numbers of the kernel and the NIC: bytes per second, bursts that do what was meant, Mbit/s. Pure. */
import type { RateSpec } from '../../ops/op.ts'
import type { Limit } from '../config/bandwidth.ts'
import { driverFacts } from '../port/drivers.ts'

/** Numbers for one shaper or policer, with a line for each wish that was not taken literally. */
export interface Numbers<T extends RateSpec> {
  readonly spec: T
  readonly notes: readonly string[]
}

/**
 * Bursts that runtimes send where nobody asked for one, in bits: 2^31-1 (old kubelet), 2^32-1 (containerd) and 8(2^32-1)-1
 * (CRI-O). Taken literally they would let half a gigabyte and more pass before the limit begins.
 */
const fillers: ReadonlySet<number> = new Set([2 ** 31 - 1, 2 ** 32 - 1, 8 * (2 ** 32 - 1) - 1])

const u32 = 0xffffffff
/** Bursts are counted in 32 bits of ticks, in seconds: 274.8 s. */
const [tick, mostSeconds] = [64e-9, 274]
/** A shaper's burst: what may go at once where nobody said; and so much that timers need not be finer. */
const [shaperFill, shaperLeast] = [0.1, 0.01]
/** The time that bytes may wait in a shaper. */
const queueSeconds = 0.05
/** Frames that may wait at the least: at a low rate the time above is less than one. */
const queueFrames = 8
/** The largest packet that a stack hands over at once (GSO_LEGACY_MAX_SIZE). */
const gsoBytes = 65_536
/**
 * A policer drops what a shaper would queue: TCP gets near its rate only with a burst of about this. (100 Mbit/s with
 * 128 KiB gave TCP 58, with 2 MiB 93 Mbit/s.)
 */
const policerLeast = 0.16
/** VF and port rates come in whole Mbit/s. */
const megabit = 1_000_000
const mostRounding = 0.05

/** Ethernet header and a VLAN tag, in bytes. */
const headers = 18

/** Numbers for a tbf on an interface of this MTU (bytes). `name` is the direction's key prefix, for the notes. */
export function shaperNumbers(
  limit: Limit,
  mtu: number,
  name: string,
): Numbers<RateSpec & { readonly limit: number }> {
  const bytesPerSecond = bytesOf(limit)
  const frame = mtu + headers
  const least = Math.max(frame, Math.ceil(bytesPerSecond * shaperLeast))
  const { burst, notes } = clamp(limit, bytesPerSecond * shaperFill, least, name)
  const queue = Math.max(Math.ceil(bytesPerSecond * queueSeconds), queueFrames * frame)
  return {
    spec: { bytesPerSecond, burst, limit: Math.min(u32, queue + Math.min(burst, gsoBytes)) },
    notes:
      burst < frame ? [...notes, `${name}Rate ${limit.rate}: too low for frames of ${frame} bytes`] : notes,
  }
}

/** Numbers for a policer in the NIC on an interface of this MTU (bytes). `driver` may keep less of a burst than the kernel. */
export function policerNumbers(limit: Limit, mtu: number, name: string, driver?: string): Numbers<RateSpec> {
  const bytesPerSecond = bytesOf(limit)
  const least = Math.max(mtu + headers, Math.ceil(bytesPerSecond * policerLeast))
  // From ticks, which are rounded up, the kernel makes bytes again, of which drivers are told 32 bits (tcf_police_burst()).
  const { policeBurstMax } = driverFacts(driver)
  const most = (policeBurstMax?.bytes ?? u32) - Math.ceil(bytesPerSecond * tick)
  const why =
    policeBurstMax && `more than driver "${driver}" keeps of a policer's burst (${policeBurstMax.source})`
  const { burst, notes } = clamp(limit, least, least, name, most, why)
  return { spec: { bytesPerSecond, burst }, notes }
}

/** The limit in Mbit/s, as a multiple of `step`; undefined where that would be off by more than 5 %. */
export function megabits({ rate }: Limit, step = 1): number | undefined {
  const rounded = Math.round(rate / (step * megabit)) * step
  const isNear = rounded >= 1 && rounded <= u32 && Math.abs(rounded * megabit - rate) <= mostRounding * rate
  return isNear ? rounded : undefined
}

/** Bytes per second that `count` Mbit/s are. */
export function bytesOfMegabits(count: number): number {
  return (count * megabit) / 8
}

function bytesOf({ rate }: Limit): number {
  return Math.max(1, Math.floor(rate / 8))
}

function clamp(
  { rate, burst: bits }: Limit,
  fill: number,
  least: number,
  name: string,
  mostBytes = u32,
  why = 'more bytes than 32 bits count',
): { readonly burst: number; readonly notes: readonly string[] } {
  const bytesPerSecond = bytesOf({ rate, burst: bits })
  const most = Math.min(mostBytes, Math.floor(bytesPerSecond * mostSeconds))
  const isFiller = fillers.has(bits)
  const wished = isFiller ? Math.ceil(fill) : Math.floor(bits / 8)
  const burst = Math.min(Math.max(wished, least), most)
  const used = `${burst} bytes are used`
  if (isFiller) return { burst, notes: [`${name}Burst ${bits}: what runtimes send for none; ${used}`] }
  if (burst > wished) return { burst, notes: [`${name}Burst ${bits}: too small for ${rate} bit/s; ${used}`] }
  if (burst < wished) {
    const what = most < mostBytes ? `more than ${mostSeconds} s at ${rate} bit/s` : why
    return { burst, notes: [`${name}Burst ${bits}: ${what}; ${used}`] }
  }
  return { burst, notes: [] }
}
